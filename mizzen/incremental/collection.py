"""Collections: immutable mappings, each followed by its next version. Who has read a member that differs is
marked; nobody compares ten thousand members to find one (an arrangement, in the words of differential
dataflow)."""

from __future__ import annotations

from collections.abc import Hashable, ItemsView, Iterator
from typing import Any, Generic, TypeVar, overload

from mizzen.incremental.database import Database
from mizzen.incremental.node import NOTHING, Keyed, Node
from mizzen.persistent import LayeredDict

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Default = TypeVar("Default")


class Collection(Keyed[Key], Generic[Key, Value]):
    """Members by key. What a query reads of it is recorded: one member, or all."""

    __slots__ = ("_whole", "members")

    def __init__(self, database: Database, name: str, members: LayeredDict[Key, Value] | None = None) -> None:
        super().__init__(database, name)
        self.members: LayeredDict[Key, Value] = LayeredDict() if members is None else members
        """The members as they were last; reading this is not recorded."""
        # Not of this object, so that no cycle keeps a collection which nobody holds.
        self._whole = Node(Keyed(database, name), None, None)

    @overload
    def get(self, key: Key) -> Value | None: ...
    @overload
    def get(self, key: Key, default: Default) -> Value | Default: ...
    def get(self, key: Key, default: Any = None) -> Any:
        """Return the member, or `default`. The query that runs is marked when this member changes."""
        value = self._read(key)
        return default if value is NOTHING else value

    def __getitem__(self, key: Key) -> Value:
        """Return the member; raises KeyError if there is none."""
        value = self._read(key)
        if value is NOTHING:
            raise KeyError(key)
        return value  # type: ignore[no-any-return]

    def __contains__(self, key: Key) -> bool:
        return self._read(key) is not NOTHING

    def __iter__(self) -> Iterator[Key]:
        """Yield all keys. The query that runs is marked when any member changes."""
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def items(self) -> ItemsView[Key, Value]:
        """Return all keys and members."""
        return self._all().items()

    def _read(self, key: Key) -> Any:
        database = self.database
        if database.unsettled:
            database.settle()
        if database.checking:
            self.check(key)
        reads = database.reads
        if reads is None:
            return self.members.get(key, NOTHING)
        node = self.nodes.get(key)
        if node is None:
            node = self.nodes[key] = Node(self, key, self.members.get(key, NOTHING))
        reads[node] = None
        return node.value

    def _all(self) -> LayeredDict[Key, Value]:
        database = self.database
        if database.unsettled:
            database.settle()
        if database.checking:
            for key in self.members:
                self.check(key)
        if database.reads is not None:
            database.reads[self._whole] = None
        return self.members

    # The rest is for the modules of this package.

    def settle(self) -> None:
        """Bring the members up to date."""

    def check(self, key: Key) -> None:
        """Raise CheckError if the member differs from one that is computed again."""

    def replace(self, members: LayeredDict[Key, Value]) -> None:
        """Go over to a different version, and mark the readers of the members that differ."""
        before, self.members = self.members, members
        changed = members.differing(before)
        for key in changed:
            node = self.nodes.get(key)
            if node is not None:
                node.value = members.get(key, NOTHING)
                node.changed()
        if changed:
            self._whole.changed()


class Table(Collection[Key, Value]):
    """Inputs by key, set from outside one by one, or all as the versions of an immutable mapping.

    Values are immutable: a changed one is a new object, set again.
    """

    __slots__ = ()

    def __setitem__(self, key: Key, value: Value) -> None:
        """Set an input; an equal one changes nothing. Raises WriteError while a query runs."""
        if self.members.get(key, NOTHING) != value:
            self.renew(self.members.updated({key: value}))

    def discard(self, key: Key) -> None:
        """Remove an input, if it is there. Raises WriteError while a query runs."""
        self.renew(self.members.updated({}, [key]))

    def renew(self, members: LayeredDict[Key, Value]) -> None:
        """Go over to a different version, which need not be a later one. Members are compared by identity,
        and the cost is that of those that differ. Raises WriteError while a query runs."""
        if members is not self.members:
            self.database.begin_write()
            self.replace(members)
