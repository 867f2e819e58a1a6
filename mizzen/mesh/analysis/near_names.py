"""Finds the name that was probably meant by an unknown one. The lookup by halves of names is fast for any
number.

If two names differ in one letter, their first halves are equal, or their second. So a name is filed under
both of its halves, and a misspelt name finds it by one of its own. Halves that many names share are not used.
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
"""A place, such as a namespace; the length of the name; True for the second half; the half."""

Halves = Collection[Any, LayeredDict[Any, str]]
"""Names by half, and then by any key."""

_DIGITS: Final = re.compile(r"\d+")
_MOST: Final = 50
_LONGER: Final = 2
"""The most letters by which the meant name may be longer or shorter."""


def halves(place: str, name: str) -> Mapping[Half, str]:
    """Return the halves under which a name is filed."""
    length = len(name)
    middle = length // 2
    return {(place, length, False, name[:middle]): name, (place, length, True, name[middle:]): name}


def near(names: Halves, place: str, name: str) -> str | None:
    """Return the name at `place` that `name` most likely means, or None if none is similar. Names that differ
    only in digits, as v1 and v2, are different names and not misspelt."""
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
    """The names of the members of a collection, given by `place_and_name(key, member)`."""

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
        """Return the name at `place` that `name` most likely means, or None if none is similar."""
        return near(self._names, place, name)

    def places(self, name: str) -> list[str]:
        """Return the places that have this very name, sorted."""
        return sorted(set((self._names.get(name) or LayeredDict[Key, str]()).values()))
