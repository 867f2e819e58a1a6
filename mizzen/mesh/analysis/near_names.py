"""Which name was meant by one that is not there: looked up by halves of names, however many there are.

Of two names that differ in one place the first halves are the same, or the second. So a name is filed under
both of its halves, and a misspelt one finds it by one of its own. Halves that many names share find nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

from mizzen.config.schema_fields import nearest
from mizzen.incremental import Collection, Database, Grouped
from mizzen.persistent import LayeredDict

Key = TypeVar("Key")
Member = TypeVar("Member")

Half = tuple[str, int, bool, str]
"""A place, such as a namespace; the length of the name; whether it is the second half; the half."""

Halves = Collection[Any, LayeredDict[Any, str]]
"""Names by half, and by whatever else stands beside."""

_DIGITS: Final = re.compile(r"\d+")
_MOST: Final = 50
_LONGER: Final = 2
"""The meant name may be so much longer or shorter."""


def halves(place: str, name: str) -> Mapping[Half, str]:
    """Return what a name is filed under."""
    length = len(name)
    middle = length // 2
    return {(place, length, False, name[:middle]): name, (place, length, True, name[middle:]): name}


def near(names: Halves, place: str, name: str) -> str | None:
    """Return the name at `place` that `name` most likely means, None if none is like it: one that differs in
    digits alone, as v2 from v1, is another name and no slip."""
    found: set[str] = set()
    for length in range(max(2, len(name) - _LONGER), len(name) + _LONGER + 1):
        middle = length // 2
        for half in (
            (place, length, False, name[:middle]),
            (place, length, True, name[middle - length :]),
        ):
            alike = names.get(half)
            if alike is not None and len(alike) <= _MOST:
                found.update(alike.values())
    letters = _DIGITS.sub("", name)
    return nearest(name, sorted(each for each in found if _DIGITS.sub("", each) != letters))


class NearNames(Generic[Key, Member]):
    """The names of the members of a collection; `place_and_name(key, member)` says where which one is."""

    def __init__(
        self,
        database: Database,
        source: Collection[Key, Member],
        place_and_name: Callable[[Key, Member], tuple[str, str]],
    ) -> None:
        def parts(key: Key, member: Member) -> Mapping[Any, str]:
            place, name = place_and_name(key, member)
            return {**halves(place, name), name: place}

        self._names: Halves = Grouped(database, "names by half", source, parts)

    def near(self, place: str, name: str) -> str | None:
        """Return the name at `place` that `name` most likely means, None if none is like it."""
        return near(self._names, place, name)

    def places(self, name: str) -> list[str]:
        """Return the places that have this very name, sorted."""
        return sorted(set((self._names.get(name) or LayeredDict[Key, str]()).values()))
