"""Groups of members, each an immutable mapping."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from mizzen.incremental.collection import Collection
from mizzen.incremental.database import NOTHING, CheckError, Database
from mizzen.incremental.derived import DerivedCollection
from mizzen.persistent import DictEdit, LayeredDict

Key = TypeVar("Key", bound=Hashable)
Source = TypeVar("Source")
Part = TypeVar("Part")
GroupKey = TypeVar("GroupKey", bound=Hashable)


class Grouped(
    DerivedCollection[Key, Source, GroupKey, LayeredDict[Key, Part]], Generic[Key, Source, GroupKey, Part]
):
    """The groups that have members: `parts_of(key, member)` returns, for each group of the member, the
    member's part in that group. An equal part changes nothing. `parts_of` reads nothing else.

    It is a collection of the groups: a reader of one is notified of changes of that group only.
    """

    __slots__ = ("_parts_of", "_source", "_within")

    def __init__(
        self,
        database: Database,
        name: str,
        source: Collection[Key, Source],
        parts_of: Callable[[Key, Source], Mapping[GroupKey, Part]],
    ) -> None:
        self._source = source
        self._parts_of = parts_of
        self._within: dict[Key, tuple[GroupKey, ...]] = {}
        super().__init__(database, name, (source,))

    def check(self, key: GroupKey) -> None:
        """Raise CheckError if the group differs from one that is made again of all members of the source."""

        def group() -> dict[Key, Part]:
            parts = ((member, self._parts_of(member, value)) for member, value in source.items())
            return {member: of[key] for member, of in parts if key in of}

        source = self._source.values_now
        value = self.database.once_more(group)
        remembered = dict(self.values_now.get(key) or {})
        if value is not NOTHING and value != remembered:
            raise CheckError.of(self.name, key, remembered, value)

    def _settle(self, pending: Iterable[Key], changed: list[GroupKey]) -> None:
        edits: dict[GroupKey, DictEdit[Key, Part]] = {}

        def edit(group: GroupKey) -> DictEdit[Key, Part]:
            if group not in edits:
                edits[group] = (self.values_now.get(group) or LayeredDict[Key, Part]()).edit()
            return edits[group]

        for key in pending:
            member: Any = self._source.values_now.get(key, NOTHING)
            parts: Mapping[GroupKey, Part] = {} if member is NOTHING else self._parts_of(key, member)
            for group in self._within.pop(key, ()):
                if group not in parts:
                    edit(group).discard(key)
            for group, part in parts.items():
                known: Any = edit(group).get(key, NOTHING)
                if known is NOTHING or known != part:
                    edit(group).put(key, part)
            if parts:
                self._within[key] = tuple(parts)
        changed.extend(group for group, each in edits.items() if self.put(group, each.finish() or NOTHING))
