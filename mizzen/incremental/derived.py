"""Collections that are made from collections."""

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


class Standing(Collection[Key, Value], Generic[SourceKey, Source, Key, Value]):
    """A collection that stands on others, and notes which of their members changed. For this package."""

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
        """A member of a source changed. For the sources."""
        if not self._pending:
            self.database.enqueue(self)
        self._pending[key] = None

    @property
    def is_settled(self) -> bool:
        """Whether the members are up to date."""
        return not self._pending and not self._settling

    def settle(self) -> None:
        """Look again at what stands on the members that changed. For the database."""
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
        """Take the collection off its sources."""
        for source in self._sources:
            source.remove_consumer(self)
        self._pending = {}

    def _settle(self, pending: Iterable[SourceKey], changed: list[Key]) -> None:
        """Bring up to date what was made from the members `pending`, and note in `changed` which keys differ
        by it, as it goes."""
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
        """It stands for as long as the member of the source does."""
        return True

    def on_mark(self) -> None:
        self._owner.pend(self.key)

    def grow(self, height: int) -> None:
        """Stand at least so high, and the collection one higher."""
        super().grow(height)
        self._owner.grow(height + 1)

    def renewed(self, source: Any) -> Any:
        """Return the value for this member of the source, or NOTHING if there has never been one."""
        if source is not self.source:
            self.source = source
            self.outdate()
        self.refresh()
        return self._value

    def _made(self) -> Value | None:
        return self._owner.function(self.key, self.source)


class Mapped(Standing[Key, Source, Key, Value]):
    """A function of each member: `function(key, member)`, None leaves it out. What else the function reads (a
    query, another collection) is recorded, so this is also the join and the filter. A member whose function
    raises keeps its last good value, or is left out."""

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
        # Only of members that read something besides the source, or that fail.
        self._elements: dict[Key, _Element[Value]] = {}
        super().__init__(database, name, (source,))

    def release(self) -> None:
        """Take the collection off its source, and what its members read loses a reader."""
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
        """Raise CheckError if the member differs from one that is computed once more."""
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


class Flattened(Standing[SourceKey, Mapping[Key, Value], Key, Value]):
    """The members of the members: each member of the source is a mapping. Of several that give one key the
    member with the least source key counts."""

    __slots__ = ("_given", "_givers", "_source")

    def __init__(
        self, database: Database, name: str, source: Collection[SourceKey, Mapping[Key, Value]]
    ) -> None:
        self._source = source
        self._given: dict[SourceKey, tuple[Key, ...]] = {}
        self._givers: dict[Key, tuple[Any, ...]] = {}
        super().__init__(database, name, (source,))

    def inputs_of(self, key: Key) -> Iterator[Any]:
        """Yield the names of the inputs that the member was made from: (table, key)."""
        for giver in self._givers.get(key, ())[:1]:
            yield from self._source.inputs_of(giver)

    def _settle(self, pending: Iterable[SourceKey], changed: list[Key]) -> None:
        touched: dict[Key, None] = {}
        for source_key in pending:
            given = self._source.values_now.get(source_key, {})
            before = self._given.get(source_key, ())
            for key in before:
                touched[key] = None
                if key not in given:
                    self._givers[key] = tuple(giver for giver in self._givers[key] if giver != source_key)
            for key in given:
                touched[key] = None
                givers = self._givers.get(key, ())
                if source_key not in givers:
                    self._givers[key] = tuple(sorted((*givers, source_key))) if givers else (source_key,)
            if given:
                self._given[source_key] = tuple(given)
            else:
                self._given.pop(source_key, None)
        changed.extend(key for key in touched if self.put(key, self._winner(key)))

    def _winner(self, key: Key) -> Any:
        givers = self._givers[key]
        if givers:
            return self._source.values_now[givers[0]][key]
        del self._givers[key]
        return NOTHING


class Merged(Standing[Key, Value, Key, Value]):
    """Several collections as one; where several have a key, the first of them counts."""

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


class Ordered(Standing[Key, Value, Key, Value]):
    """The members in an order: `order(key, member)` gives what is compared, no two of them equal."""

    __slots__ = ("_order", "_places", "_sorted", "_source")

    def __init__(
        self,
        database: Database,
        name: str,
        source: Collection[Key, Value],
        order: Callable[[Key, Value], Any],
    ) -> None:
        self._source = source
        self._order = order
        self._places: dict[Key, Any] = {}
        self._sorted: list[tuple[Any, Key]] = []
        super().__init__(database, name, (source,))

    def in_order(self) -> list[tuple[Key, Value]]:
        """Return keys and members in order. The reader hears of every change."""
        members = self._all()
        return [(key, members[key]) for _, key in self._sorted]

    def inputs_of(self, key: Key) -> Iterator[Any]:
        """Yield the names of the inputs that the member was made from: (table, key)."""
        return self._source.inputs_of(key)

    def _settle(self, pending: Iterable[Key], changed: list[Key]) -> None:
        now = self._source.values_now
        changed.extend(key for key in pending if self.put(key, now.get(key, NOTHING)))
        places = self._places
        moved = []
        for key in changed:
            before = places.pop(key, NOTHING)
            if before is not NOTHING:
                moved.append((before, key))
            if key in self.values_now:
                places[key] = self._order(key, self.values_now[key])
        if len(moved) * 8 > len(self._sorted) or len(changed) * 8 > len(self._sorted):
            self._sorted = sorted((place, key) for key, place in places.items())
            return
        for entry in moved:
            del self._sorted[bisect_left(self._sorted, entry)]
        for key in changed:
            if key in places:
                insort(self._sorted, (places[key], key))


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


class Index(Standing[Key, Value, Key, Value], Generic[GroupKey, Key, Value]):
    """The members by group: `groups_of(key, member)` names those that a member belongs to, several or none.
    It reads nothing else. A reader of one group hears of that group only."""

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
        """Return the collection of the members of that group; empty if there are none. Asking for it is not
        recorded, what is read of it is."""
        self.database.settle_below(self)
        return self._group(key)

    def inputs_of_member(self, key: Key) -> Iterator[Any]:
        """Yield the names of the inputs that the member was made from."""
        return self._source.inputs_of(key)

    def forget_group(self, key: GroupKey) -> None:
        """The group has no members, and nobody reads it. For the group."""
        self._groups.pop(key, None)

    def grow(self, height: int) -> None:
        """Stand at least so high, the groups too."""
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
