"""Collections: members by key, kept up to date at the cost of those that changed.

A collection notifies three kinds of readers: queries that read one member, queries that read all members, and
consumers (collections derived from it), which receive the keys of the members that changed. So
no reader compares ten thousand members to find one (an arrangement, in the words of differential dataflow).

Collections are settled (brought up to date) before they are read, the lowest first. The height of a
collection is one more than that of its sources and of what its members read (as in Jane Street's
Incremental). So a mark reaches exactly the readers of what changed.
"""

from __future__ import annotations

from collections.abc import Hashable, ItemsView, Iterable, Iterator, KeysView, Mapping
from typing import Any, Generic, Protocol, TypeVar, overload

from mizzen.incremental.database import NOTHING, CycleError, Database
from mizzen.incremental.node import Node

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Default = TypeVar("Default")
KeyIn = TypeVar("KeyIn", contravariant=True)


class Consumer(Protocol[KeyIn]):
    """Receives the keys of members that changed."""

    def pend(self, key: KeyIn) -> None:
        """Note that the member of that key was added, changed or removed."""

    def grow(self, height: int) -> None:
        """Note the new height of the collection."""


class _Cell(Node, Generic[Key]):
    """One member of a collection, or its absence, as queries read it."""

    __slots__ = ("_collection", "_key")

    def __init__(self, collection: Collection[Key, Any], key: Key) -> None:
        super().__init__()
        self._collection = collection
        self._key = key

    @property
    def height(self) -> int:
        return self._collection.height

    def on_unread(self) -> None:
        self._collection.forget_cell(self._key)


class _Whole(Node):
    """All members of a collection, as queries read them."""

    __slots__ = ("_collection",)

    def __init__(self, collection: Collection[Any, Any]) -> None:
        super().__init__()
        self._collection = collection

    @property
    def height(self) -> int:
        return self._collection.height


class Collection(Generic[Key, Value]):
    """Members by key. What a query reads of it is recorded: one member, or all."""

    __slots__ = ("_cells", "_consumers", "_whole", "database", "height", "name", "values_now")

    def __init__(self, database: Database, name: str, height: int) -> None:
        self.name = name
        self.height = height
        """How many collections are derived from each other here, this one included."""
        self.values_now: dict[Key, Value] = {}
        """The members as they were when the collection was last settled; reading this is not recorded."""
        self.database = database
        self._cells: dict[Key, _Cell[Key]] = {}
        self._consumers: list[Consumer[Key]] = []
        self._whole = _Whole(self)

    @overload
    def get(self, key: Key) -> Value | None: ...
    @overload
    def get(self, key: Key, default: Default) -> Value | Default: ...
    def get(self, key: Key, default: Any = None) -> Any:
        """Return the member, or `default`. The query that runs is marked when this member changes."""
        self._read(key)
        return self.values_now.get(key, default)

    def __getitem__(self, key: Key) -> Value:
        """Return the member; raises KeyError if there is none."""
        self._read(key)
        return self.values_now[key]

    def __contains__(self, key: Key) -> bool:
        self._read(key)
        return key in self.values_now

    def __iter__(self) -> Iterator[Key]:
        """Yield all keys. The query that runs is marked when any member changes."""
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def items(self) -> ItemsView[Key, Value]:
        """Return all keys and members; valid until the next change of an input."""
        return self._all().items()

    def release(self) -> None:
        """Detach the collection from its sources: it has no readers any more."""

    def is_read(self, key: Key) -> bool:
        """True if a query reads the member, or read that there is none."""
        return key in self._cells

    @property
    def keys_read(self) -> KeysView[Key]:
        """The keys that queries have read, also those without a member."""
        return self._cells.keys()

    # The rest is for the modules of this package.

    def add_consumer(self, consumer: Consumer[Key]) -> None:
        """Notify `consumer` of changes from now on."""
        self._consumers.append(consumer)

    def remove_consumer(self, consumer: Consumer[Key]) -> None:
        """Stop notifying `consumer`."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def forget_cell(self, key: Key) -> None:
        """Drop the cell of a member that no query reads any more. For the cell."""
        self._cells.pop(key, None)

    @property
    def is_settled(self) -> bool:
        """True if the members are up to date."""
        return True

    def settle(self) -> None:
        """Bring the members up to date. For the database."""

    def check(self, key: Key) -> None:
        """Raise CheckError if the member differs from one that is computed again."""

    def grow(self, height: int) -> None:
        """Raise the height to at least `height`, and with it all that depends on this."""
        if height > self.height:
            self.height = height
            for consumer in self._consumers:
                consumer.grow(height + 1)
            for cell in (self._whole, *self._cells.values()):
                for reader in cell.readers:
                    reader.grow(height)

    def publish(self, changed: Iterable[Key]) -> None:
        """Notify all readers that these members changed."""
        cells, consumers = self._cells, self._consumers
        some = False
        for key in changed:
            some = True
            cell = cells.get(key)
            if cell is not None:
                cell.changed()
            for consumer in consumers:
                consumer.pend(key)
        if some:
            self._whole.changed()

    def put(self, key: Key, value: Value | object) -> bool:
        """Set a member, or remove it with NOTHING; return True if that changed anything."""
        before = self.values_now.get(key, NOTHING)
        if value is NOTHING:
            if before is NOTHING:
                return False
            del self.values_now[key]
            return True
        if before is not NOTHING and (before is value or before == value):
            return False
        self.values_now[key] = value  # type: ignore[assignment]
        return True

    def _bring(self) -> None:
        """Bring the members up to date; raises CycleError if the running query is computing them."""
        self.database.settle_below(self)
        if not self.is_settled:
            raise CycleError(f"{self.name} is made from itself")

    def _read(self, key: Key) -> None:
        database = self.database
        self._bring()
        if database.checking:
            self.check(key)
        if database.is_recording:
            cell = self._cells.get(key)
            if cell is None:
                cell = self._cells[key] = _Cell(self, key)
            database.record(cell)

    def _all(self) -> Mapping[Key, Value]:
        self._bring()
        if self.database.checking:
            for key in self.values_now:
                self.check(key)
        self.database.record(self._whole)
        return self.values_now
