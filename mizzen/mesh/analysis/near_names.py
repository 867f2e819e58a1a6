"""Finds the name that was probably meant by an unknown one. The lookup is fast for any number of names.

If two names differ in one letter, their first halves are equal, or their second. If two letters are swapped,
both names have the same letters. So a name is filed under its halves and its letters, and a misspelt name
finds it by one of its own. What many names share is not used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

from mizzen.config.schema_fields import nearest
from mizzen.incremental import Collection, Database, Grouped
from mizzen.persistent import LayeredDict

Key = TypeVar("Key")
Member = TypeVar("Member")

Part = tuple[str, int, str, str]
"""A place, such as a namespace; the length of the name; which part of it; the part."""

Parts = Collection[Any, LayeredDict[Any, str]]
"""Names by part, and then by any key."""

_DIGITS: Final = re.compile(r"\d+")
_MOST: Final = 50
_LONGER: Final = 2
"""The most letters by which the meant name may be longer or shorter."""


def parts_of(place: str, name: str) -> Mapping[Part, str]:
    """Return the parts under which a name is filed."""
    return dict.fromkeys(_parts(place, name, len(name)), name)


def _parts(place: str, name: str, length: int) -> tuple[Part, ...]:
    """Return the parts of a name as those of a similar name of `length` letters."""
    middle = length // 2
    return (
        (place, length, "first half", name[:middle]),
        (place, length, "second half", name[max(0, len(name) - length + middle) :]),
        (place, length, "letters", "".join(sorted(name))),
    )


def near(names: Parts, place: str, name: str) -> str | None:
    """Return the name at `place` that `name` most likely means, or None if none is similar. Names that differ
    only in digits, as v1 and v2, are different names and not misspelt."""
    found: set[str] = set()
    for length in range(max(2, len(name) - _LONGER), len(name) + _LONGER + 1):
        for part in _parts(place, name, length):
            found.update(_few((names.get(part) or LayeredDict[Any, str]()).values()))
    letters = _DIGITS.sub("", name)
    return nearest(name, sorted(each for each in found if _DIGITS.sub("", each) != letters))


def _few(names: Iterable[str]) -> set[str]:
    """Return the names, or nothing if they are too many different ones. A name may come many times: once for
    each namespace that has it."""
    found: set[str] = set()
    for name in names:
        found.add(name)
        if len(found) > _MOST:
            return set()
    return found


class NearNames(Generic[Key, Member]):
    """The names of the members of a collection, given by `place_and_name(key, member)`; None leaves a
    member out."""

    def __init__(
        self,
        database: Database,
        source: Collection[Key, Member],
        place_and_name: Callable[[Key, Member], tuple[str, str] | None],
    ) -> None:
        def parts(key: Key, member: Member) -> Mapping[Any, str]:
            found = place_and_name(key, member)
            if found is None:
                return {}
            place, name = found
            return {**parts_of(place, name), name: place}

        self._names: Parts = Grouped(database, "names by part", source, parts)

    def near(self, place: str, name: str) -> str | None:
        """Return the name at `place` that `name` most likely means, or None if none is similar."""
        return near(self._names, place, name)

    def places(self, name: str) -> list[str]:
        """Return the places that have this very name, sorted."""
        return sorted(set((self._names.get(name) or LayeredDict[Key, str]()).values()))
