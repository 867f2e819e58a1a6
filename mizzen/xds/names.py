"""Sets of names that many clients ask for, stored once."""

from collections.abc import Mapping
from weakref import WeakValueDictionary

from mizzen.xds.resource import Resource

_NO_NAMES: frozenset[str] = frozenset()


class NamePool:
    """Replaces equal sets of names by one object, which exists as long as a client uses it.

    Ten thousand names take a megabyte, and a hundred proxies may ask for the same ones.
    """

    def __init__(self) -> None:
        self._sets: WeakValueDictionary[int, frozenset[str]] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._sets)

    def share(
        self, names: frozenset[str], known: Mapping[str, Resource], fresh: frozenset[str]
    ) -> frozenset[str]:
        """The equal set that the pool has already, or else this one. Each name in `fresh` (those that the
        client has just added) is replaced by the equal string of a `known` resource, so that it exists once.
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
