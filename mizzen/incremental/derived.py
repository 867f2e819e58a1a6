"""Collections that are derived from other collections."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
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


class Merged(DerivedCollection[Key, Value, Key, Value]):
    """Several collections as one; if several have a key, the first of them wins."""

    __slots__ = ()

    def _settle(self, pending: Iterable[Key], changed: list[Key]) -> None:
        changed.extend(key for key in pending if self.put(key, self._first(key)))

    def _first(self, key: Key) -> Any:
        for source in self._sources:
            value = source.values_now.get(key, NOTHING)
            if value is not NOTHING:
                return value
        return NOTHING
