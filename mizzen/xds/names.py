"""Names that many clients ask for, held once."""

from collections.abc import Mapping
from weakref import WeakValueDictionary

from mizzen.xds.resource import Resource

_NO_NAMES: frozenset[str] = frozenset()


class NamePool:
    """Equal sets of names become the same set, for as long as a client holds it.

    Ten thousand names are a megabyte, and a hundred proxies ask for the same ones.
    """

    def __init__(self) -> None:
        self._sets: WeakValueDictionary[int, frozenset[str]] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._sets)

    def share(
        self, names: frozenset[str], known: Mapping[str, Resource], fresh: frozenset[str]
    ) -> frozenset[str]:
        """The set that is held already, or this one. The strings of `known` resources take the place of equal
        ones among `fresh`, the names that came just now.
        """
        if not names:
            return _NO_NAMES
        found = self._sets.get(hash(names))
        if found is not None and found == names:
            return found
        here = fresh & known.keys() if len(fresh) > 1 else fresh
        if here:
            own = frozenset(known[name].name for name in here if name in known)
            names = own if len(own) == len(names) else (names - own) | own
        self._sets[hash(names)] = names
        return names
