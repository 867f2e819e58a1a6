"""Collections that are made of other collections, and brought up to date before anything is read.

They compare the versions of their sources, so the cost is that of the members that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from itertools import chain
from typing import Any, Generic, TypeVar

from mizzen.incremental.collection import Collection
from mizzen.incremental.database import CheckError, Database
from mizzen.incremental.node import NOTHING
from mizzen.persistent import LayeredDict, Multimap

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Source = TypeVar("Source")
Part = TypeVar("Part")
GroupKey = TypeVar("GroupKey", bound=Hashable)


class DerivedCollection(Collection[Key, Value]):
    """A collection made of sources. It lives as long as somebody holds it."""

    __slots__ = ("__weakref__", "_seen", "_sources")

    def __init__(self, database: Database, name: str, *sources: Collection[Any, Any]) -> None:
        super().__init__(database, name)
        self._sources = sources
        self._seen: tuple[LayeredDict[Any, Any], ...] = tuple(LayeredDict() for _ in sources)
        """The versions of the sources from which the members are made."""
        database.add(self)

    def settle(self) -> None:
        """Bring the members up to date."""
        for source in self._sources:
            source.settle()
        now = tuple([source.members for source in self._sources])
        changed = [new.differing(seen) for new, seen in zip(now, self._seen, strict=True) if new is not seen]
        if changed:
            members = self._remade(dict.fromkeys(chain.from_iterable(changed)))
            self._seen = now
            self.replace(members)

    def _remade(self, changed: Iterable[Any]) -> LayeredDict[Key, Value]:
        """Return the next version; in the sources, the members of the keys `changed` differ."""
        raise NotImplementedError


class Grouped(DerivedCollection[GroupKey, LayeredDict[Key, Part]], Generic[Key, Source, GroupKey, Part]):
    """The groups that have members: `parts_of(key, member)` returns, for each group of the member, the
    member's part in that group. An equal part changes nothing. `parts_of` reads nothing else.
    What it raises is raised to whoever asks for anything.

    It is a collection of the groups (an index, in the words of krt): a reader of one is notified of changes
    of that group only.
    """

    __slots__ = ("_parts_of",)

    def __init__(
        self,
        database: Database,
        name: str,
        source: Collection[Key, Source],
        parts_of: Callable[[Key, Source], Mapping[GroupKey, Part]],
    ) -> None:
        super().__init__(database, name, source)
        self._parts_of = parts_of

    def _remade(self, changed: Iterable[Key]) -> LayeredDict[GroupKey, LayeredDict[Key, Part]]:
        edit = Multimap(self.members).edit()
        for key in changed:
            before = self._parts(self._seen[0], key)
            parts = self._parts(self._sources[0].members, key)
            for group in before.keys() - parts.keys():
                edit.discard(group, key)
            for group, part in parts.items():
                if before.get(group, NOTHING) != part:
                    edit.put(group, key, part)
        return edit.finish().buckets

    def _parts(self, source: LayeredDict[Key, Source], key: Key) -> Mapping[GroupKey, Part]:
        return self._parts_of(key, source[key]) if key in source else {}

    def check(self, key: GroupKey) -> None:
        """Raise CheckError if the group differs from one that is made again of all members of the source."""

        def group() -> dict[Key, Part]:
            parts = ((member, self._parts_of(member, value)) for member, value in self._seen[0].items())
            return {member: of[key] for member, of in parts if key in of}

        value = self.database.once_more(group)
        remembered = dict(self.members.get(key) or {})
        if value is not NOTHING and value != remembered:
            raise CheckError.of(self.name, key, remembered, value)


class Union(DerivedCollection[Key, None]):
    """The keys that any of several collections has."""

    __slots__ = ()

    def _remade(self, changed: Iterable[Key]) -> LayeredDict[Key, None]:
        edit = self.members.edit()
        for key in changed:
            if any(key in source.members for source in self._sources):
                edit.put(key, None)
            else:
                edit.discard(key)
        return edit.finish()
