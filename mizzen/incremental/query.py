"""Queries: functions by key whose values are remembered until something that they read changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar, TypeVarTuple

from mizzen.incremental.collection import Collection
from mizzen.incremental.database import NOTHING, Database
from mizzen.incremental.node import Derived

Value = TypeVar("Value")
Key = TypeVarTuple("Key")
Member = TypeVar("Member", bound=Hashable)
MemberValue = TypeVar("MemberValue")


class _Remembered(Derived[Value]):
    """The value of a query for one key. It leaves the table of its query with its last reader."""

    __slots__ = ("_query",)

    def __init__(self, query: Query[*tuple[Any, ...], Value], key: tuple[Any, ...]) -> None:
        super().__init__(query.database, query.name, key, partial(query.function, *key))
        self._query = query

    def evict(self) -> None:
        value = self._value
        super().evict()
        self._query.forget(self.key)
        self._query.release(value)

    @property
    def checkable(self) -> bool:
        return self._query.checkable

    def same(self, before: Value, value: Value) -> bool:
        return self._query.same(before, value)

    def agrees(self, before: Value, value: Value) -> bool:
        return self._query.agrees(before, value)

    def replaced(self, before: Value, value: Value) -> None:
        if before is not NOTHING:
            self._query.release(before)


class Query(Generic[*Key, Value]):
    """A function by key. It may read tables, collections and other queries, and nothing else that changes.

    A function that asks for another query runs it inside its own call. So a chain of about 150 queries of
    which none is made yet exceeds Python's limit of calls; the RecursionError is not remembered.

    `same` tells whether a new value equals the last one, so that readers need not run; the default is `==`.
    `compared` returns what of a value is compared in a check; without it, values that know only identity are
    not checked.
    """

    __slots__ = ("_compared", "_nodes", "_same", "database", "function", "name")

    checkable: ClassVar[bool] = True
    """True if a value can be compared with one that is computed again."""

    def __init__(
        self,
        database: Database,
        name: str,
        function: Callable[[*Key], Value],
        same: Callable[[Value, Value], bool] | None = None,
        compared: Callable[[Value], Any] | None = None,
    ) -> None:
        self.database = database
        self.name = name
        self.function = function
        self._same = same
        self._compared = compared
        self._nodes: dict[tuple[Any, ...], _Remembered[Value]] = {}

    def __call__(self, *key: *Key) -> Value:
        """Return the value for `key`, up to date.

        Raises:
            QueryError: the function raises for this key, and has never returned.
            CycleError: it reads itself.
            RecursionError, MemoryError: as raised by the function; this is not remembered.
        """
        return self._node(key).get()

    def sound(self, *key: *Key) -> Value:
        """Return the value for `key`, up to date. If the function or a query that it reads fails now, raise
        that error, even if a last good value stands."""
        return self._node(key).sound()

    def watch(self, *key: *Key) -> Watch[Value]:
        """Keep the value for `key`; `Database.take_stale` reports when it may have changed."""
        return Watch(self.database, self._node(key))

    def __len__(self) -> int:
        """Number of remembered keys."""
        return len(self._nodes)

    def _node(self, key: tuple[Any, ...]) -> _Remembered[Value]:
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = _Remembered(self, key)
        return node

    def same(self, before: Value, value: Value) -> bool:
        """Return True if a new value equals the last one."""
        return before is value or bool((self._same or _equal)(before, value))

    def agrees(self, before: Value, value: Value) -> bool:
        """Return True if a cached value and one that is computed again have the same content."""
        if self._compared is not None:
            return bool(self._compared(before) == self._compared(value))
        return self.same(before, value) or type(value).__eq__ is object.__eq__

    def forget(self, key: tuple[Any, ...]) -> None:
        """Drop the value for `key`, which has no readers."""
        self._nodes.pop(key, None)

    def release(self, value: Value) -> None:
        """Release a value that was dropped or replaced."""


class CollectionQuery(Query[*Key, Collection[Member, MemberValue]], Generic[*Key, Member, MemberValue]):
    """A query that makes a collection for each key; the collection goes with its last reader.

    If something that the function read changes, a new collection is made. What its members read is tracked by
    the collection itself.
    """

    __slots__ = ()

    checkable = False  # each call makes a new object; the members are checked where they are made

    def same(self, before: Collection[Member, MemberValue], value: Collection[Member, MemberValue]) -> bool:
        """Return True if it is the same object: readers depend on the collection itself, not on its
        members."""
        return before is value

    def release(self, value: Collection[Member, MemberValue]) -> None:
        """Detach the collection from its sources."""
        if isinstance(value, Collection):
            value.release()


class Watch(Generic[Value]):
    """A subscription from outside: it keeps a value, and is reported when the value may have changed."""

    __slots__ = ("_database", "_node")

    def __init__(self, database: Database, node: Derived[Value]) -> None:
        self._database = database
        self._node: Derived[Value] = node
        if node.watched is None:
            node.watched = []
        node.watched.append(self)

    @property
    def key(self) -> Any:
        """The key of the query that is watched."""
        return self._node.key

    def value(self) -> Value:
        """Return the value, up to date; raises as the query does."""
        return self._node.get()

    def close(self) -> None:
        """Stop watching; the value is no longer kept."""
        watched = self._node.watched or []
        if self in watched:
            watched.remove(self)
        self._database.forget_watch(self)
        if not watched:
            self._node.watched = None
        if not self._node.is_read:
            self._database.note_unread(self._node)


def _equal(before: Any, value: Any) -> bool:
    return bool(before == value)
