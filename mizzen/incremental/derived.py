"""Collections that are derived from other collections."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Generic, TypeVar

from mizzen.incremental.collection import Collection
from mizzen.incremental.database import NOTHING, CheckError, Database
from mizzen.incremental.node import Derived

Key = TypeVar("Key", bound=Hashable)
SourceKey = TypeVar("SourceKey", bound=Hashable)
Source = TypeVar("Source")
Value = TypeVar("Value")
GroupKey = TypeVar("GroupKey", bound=Hashable)


class DerivedCollection(Collection[Key, Value], Generic[SourceKey, Source, Key, Value]):
    """A collection made from sources; it notes which of their members changed. For this package."""

    __slots__ = ("_pending", "_settling", "_sources")

    def __init__(
        self, database: Database, name: str, sources: Iterable[Collection[SourceKey, Source]]
    ) -> None:
        self._sources = tuple(sources)
        for source in self._sources:
            database.settle_below(source)
        super().__init__(database, name, 1 + max((source.height for source in self._sources), default=0))
        self._settling = False
        self._pending: dict[SourceKey, None] = dict.fromkeys(
            chain.from_iterable(source.values_now for source in self._sources)
        )
        for source in self._sources:
            source.add_consumer(self)
        if self._pending:
            database.enqueue(self)

    def pend(self, key: SourceKey) -> None:
        """Note that a member of a source changed. For the sources."""
        if not self._pending:
            self.database.enqueue(self)
        self._pending[key] = None

    @property
    def is_settled(self) -> bool:
        """True if the members are up to date."""
        return not self._pending and not self._settling

    def settle(self) -> None:
        """Make again what depends on the members that changed. For the database."""
        pending, self._pending = self._pending, {}
        changed: list[Key] = []
        self._settling = True
        self.database.push(None)
        try:
            self._settle(pending, changed)
        except BaseException:
            self._pending = pending | self._pending
            raise
        finally:
            self._settling = False
            self.database.pop()
            self.publish(changed)

    def release(self) -> None:
        """Detach the collection from its sources."""
        for source in self._sources:
            source.remove_consumer(self)
        self._pending = {}

    def _settle(self, pending: Iterable[SourceKey], changed: list[Key]) -> None:
        """Bring up to date what was made from the members `pending`; add each key whose member changed to
        `changed` at once, so that a failure loses none."""
        raise NotImplementedError


class _Element(Derived[Value | None]):
    """One member of a mapped collection."""

    __slots__ = ("_owner", "source")

    def __init__(self, owner: Mapped[Any, Any, Value], key: Any) -> None:
        super().__init__(owner.database, owner.name, key, self._made)
        self._owner = owner
        self._value = owner.values_now.get(key, NOTHING)  # what stands if the function fails
        self.source: Any = NOTHING

    @property
    def is_read(self) -> bool:
        """True: the element lives as long as the member of the source."""
        return True

    def on_mark(self) -> None:
        self._owner.pend(self.key)

    def grow(self, height: int) -> None:
        """Raise the height to at least `height`, and that of the collection to one more."""
        super().grow(height)
        self._owner.grow(height + 1)

    def renewed(self, source: Any) -> Any:
        """Return the value for this member of the source, or NOTHING if there never was one."""
        if source is not self.source:
            self.source = source
            self.outdate()
        self.refresh()
        return self._value

    def _made(self) -> Value | None:
        return self._owner.function(self.key, self.source)


class Mapped(DerivedCollection[Key, Source, Key, Value]):
    """A function of each member: `function(key, member)`; None leaves the member out. Other reads of the
    function (a query, another collection) are recorded, so this also serves as join and as filter. A member
    whose function raises keeps its last good value, or is left out if it has none."""

    __slots__ = ("_elements", "_source", "function")

    def __init__(
        self,
        database: Database,
        name: str,
        source: Collection[Key, Source],
        function: Callable[[Key, Source], Value | None],
    ) -> None:
        self._source = source
        self.function = function
        # Only for members that read something besides the source, or that fail.
        self._elements: dict[Key, _Element[Value]] = {}
        super().__init__(database, name, (source,))

    def release(self) -> None:
        """Detach the collection from its source and from what its members read."""
        super().release()
        for element in self._elements.values():
            element.evict()
        self._elements.clear()

    def inputs_of(self, key: Key) -> Iterator[Any]:
        """Yield the names of the inputs that the member was made from: (table, key)."""
        yield from self._source.inputs_of(key)
        if key in self._elements:
            yield from self._elements[key].all_inputs()

    def check(self, key: Key) -> None:
        """Raise CheckError if the member differs from one that is computed again."""
        source = self._source.values_now.get(key, NOTHING)
        if source is NOTHING:
            return
        value = self.database.once_more(lambda: self.function(key, source))  # type: ignore[arg-type]
        remembered = self.values_now.get(key)
        if value is not NOTHING and value != remembered:
            raise CheckError.of(self.name, key, remembered, value)

    def _settle(self, pending: Iterable[Key], changed: list[Key]) -> None:
        changed.extend(key for key in pending if self.put(key, self._value_of(key)))

    def _value_of(self, key: Key) -> Any:
        element = self._elements.get(key)
        if key not in self._source.values_now:
            if element is not None:
                del self._elements[key]
                element.evict()
            return NOTHING
        if element is None:
            element = _Element(self, key)
        value = element.renewed(self._source.values_now[key])
        if element.reads or self.database.failure_of(element) is not None:
            self._elements[key] = element
        else:
            self._elements.pop(key, None)
        return NOTHING if value is None else value


class Flattened(DerivedCollection[SourceKey, Mapping[Key, Value], Key, Value]):
    """The members of the members: each member of the source is a mapping. If several of them have a key, the
    one with the least source key wins."""

    __slots__ = ("_keys_given", "_source", "_sources_of")

    def __init__(
        self, database: Database, name: str, source: Collection[SourceKey, Mapping[Key, Value]]
    ) -> None:
        self._source = source
        self._keys_given: dict[SourceKey, tuple[Key, ...]] = {}
        self._sources_of: dict[Key, tuple[Any, ...]] = {}
        super().__init__(database, name, (source,))

    def inputs_of(self, key: Key) -> Iterator[Any]:
        """Yield the names of the inputs that the member was made from: (table, key)."""
        for source_key in self._sources_of.get(key, ())[:1]:
            yield from self._source.inputs_of(source_key)

    def _settle(self, pending: Iterable[SourceKey], changed: list[Key]) -> None:
        touched: dict[Key, None] = {}
        for source_key in pending:
            given = self._source.values_now.get(source_key, {})
            before = self._keys_given.get(source_key, ())
            for key in before:
                touched[key] = None
                if key not in given:
                    self._sources_of[key] = tuple(
                        each for each in self._sources_of[key] if each != source_key
                    )
            for key in given:
                touched[key] = None
                known = self._sources_of.get(key, ())
                if source_key not in known:
                    self._sources_of[key] = tuple(sorted((*known, source_key))) if known else (source_key,)
            if given:
                self._keys_given[source_key] = tuple(given)
            else:
                self._keys_given.pop(source_key, None)
        changed.extend(key for key in touched if self.put(key, self._winner(key)))

    def _winner(self, key: Key) -> Any:
        sources = self._sources_of[key]
        if sources:
            return self._source.values_now[sources[0]][key]
        del self._sources_of[key]
        return NOTHING


class Merged(DerivedCollection[Key, Value, Key, Value]):
    """Several collections as one; if several have a key, the first of them wins."""

    __slots__ = ()

    def inputs_of(self, key: Key) -> Iterator[Any]:
        """Yield the names of the inputs that the member was made from: (table, key)."""
        for source in self._sources:
            if key in source.values_now:
                yield from source.inputs_of(key)
                return

    def _settle(self, pending: Iterable[Key], changed: list[Key]) -> None:
        changed.extend(key for key in pending if self.put(key, self._first(key)))

    def _first(self, key: Key) -> Any:
        for source in self._sources:
            value = source.values_now.get(key, NOTHING)
            if value is not NOTHING:
                return value
        return NOTHING


class Ordered(DerivedCollection[Key, Value, Key, Value]):
    """The members in an order: `order(key, member)` returns the sort key, which must be unique."""

    __slots__ = ("_order", "_sort_keys", "_sorted", "_source")

    def __init__(
        self,
        database: Database,
        name: str,
        source: Collection[Key, Value],
        order: Callable[[Key, Value], Any],
    ) -> None:
        self._source = source
        self._order = order
        self._sort_keys: dict[Key, Any] = {}
        self._sorted: list[tuple[Any, Key]] = []
        super().__init__(database, name, (source,))

    def in_order(self) -> list[tuple[Key, Value]]:
        """Return keys and members in order. The query that runs is marked when any member changes."""
        members = self._all()
        return [(key, members[key]) for _, key in self._sorted]

    def inputs_of(self, key: Key) -> Iterator[Any]:
        """Yield the names of the inputs that the member was made from: (table, key)."""
        return self._source.inputs_of(key)

    def _settle(self, pending: Iterable[Key], changed: list[Key]) -> None:
        now = self._source.values_now
        changed.extend(key for key in pending if self.put(key, now.get(key, NOTHING)))
        sort_keys = self._sort_keys
        moved = []
        for key in changed:
            before = sort_keys.pop(key, NOTHING)
            if before is not NOTHING:
                moved.append((before, key))
            if key in self.values_now:
                sort_keys[key] = self._order(key, self.values_now[key])
        if len(moved) * 8 > len(self._sorted) or len(changed) * 8 > len(self._sorted):
            self._sorted = sorted((sort_key, key) for key, sort_key in sort_keys.items())
            return
        for entry in moved:
            del self._sorted[bisect_left(self._sorted, entry)]
        for key in changed:
            if key in sort_keys:
                insort(self._sorted, (sort_keys[key], key))


class _Group(Collection[Key, Value]):
    """The members of one group of an index."""

    __slots__ = ("_index", "_key")

    def __init__(self, index: Index[Any, Key, Value], key: Any) -> None:
        super().__init__(index.database, f"{index.name}[{key!r}]", index.height)
        self._index = index
        self._key = key

    @property
    def is_settled(self) -> bool:
        return self._index.is_settled

    def on_idle(self) -> None:
        if not self.values_now and self.is_idle:
            self._index.forget_group(self._key)

    def inputs_of(self, key: Key) -> Iterator[Any]:
        """Yield the names of the inputs that the member was made from: (table, key)."""
        return self._index.inputs_of_member(key)


class Index(DerivedCollection[Key, Value, Key, Value], Generic[GroupKey, Key, Value]):
    """The members by group: `groups_of(key, member)` returns the groups of a member, several or none.
    `groups_of` reads nothing else. A reader of one group is marked only when that group changes."""

    __slots__ = ("_groups", "_groups_of", "_member_of", "_source")

    def __init__(
        self,
        database: Database,
        name: str,
        source: Collection[Key, Value],
        groups_of: Callable[[Key, Value], Iterable[GroupKey]],
    ) -> None:
        self._source = source
        self._groups_of = groups_of
        self._groups: dict[GroupKey, _Group[Key, Value]] = {}
        self._member_of: dict[Key, tuple[GroupKey, ...]] = {}
        super().__init__(database, name, (source,))

    def group(self, key: GroupKey) -> Collection[Key, Value]:
        """Return the collection of the members of that group; empty if there are none. This call is not
        recorded; reads of the collection are."""
        self.database.settle_below(self)
        return self._group(key)

    def inputs_of_member(self, key: Key) -> Iterator[Any]:
        """Yield the names of the inputs that the member was made from."""
        return self._source.inputs_of(key)

    def forget_group(self, key: GroupKey) -> None:
        """Drop a group without members and readers. For the group."""
        self._groups.pop(key, None)

    def grow(self, height: int) -> None:
        """Raise the height to at least `height`, that of the groups too."""
        super().grow(height)
        for group in self._groups.values():
            group.grow(height)

    def _group(self, key: GroupKey) -> _Group[Key, Value]:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(self, key)
        return group

    def _settle(self, pending: Iterable[Key], changed: list[Key]) -> None:
        moved: dict[GroupKey, dict[Key, None]] = {}
        for key in pending:
            value = self._source.values_now.get(key, NOTHING)
            before = self._member_of.get(key, ())
            now = () if value is NOTHING else tuple(dict.fromkeys(self._groups_of(key, value)))  # type: ignore[arg-type]
            if now:
                self._member_of[key] = now
            else:
                self._member_of.pop(key, None)
            for group_key in dict.fromkeys((*before, *now)):
                if self._group(group_key).put(key, value if group_key in now else NOTHING):
                    moved.setdefault(group_key, {})[key] = None
        for group_key, keys in moved.items():
            group = self._groups[group_key]
            group.publish(keys)
            group.on_idle()
