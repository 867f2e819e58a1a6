"""Queries: functions by key whose values are remembered for as long as what they read is the same."""

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
    """The value of a query for one key; leaves the table of its query with its last reader."""

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

    def replaced(self, before: Value, value: Value) -> None:
        if before is not NOTHING:
            self._query.release(before)


class Query(Generic[*Key, Value]):
    """A function by key. It may read tables, collections and other queries, and nothing else that changes.

    `same` says when a new value is as good as the last one, so that those who read it stay as they are;
    equality unless told otherwise.
    """

    __slots__ = ("_nodes", "_same", "database", "function", "name")

    checkable: ClassVar[bool] = True
    """Whether a value can be compared with one that is computed once more."""

    def __init__(
        self,
        database: Database,
        name: str,
        function: Callable[[*Key], Value],
        same: Callable[[Value, Value], bool] | None = None,
    ) -> None:
        self.database = database
        self.name = name
        self.function = function
        self._same = same
        self._nodes: dict[tuple[Any, ...], _Remembered[Value]] = {}

    def __call__(self, *key: *Key) -> Value:
        """Return the value for `key`, up to date.

        Raises:
            QueryError: the function raises for this key, and has never returned.
            CycleError: it reads itself.
        """
        return self._node(key).get()

    def sound(self, *key: *Key) -> Value:
        """Return the value for `key`, up to date. Unlike a call, this raises what the function raises, or
        one that it reads, even if a last good value stands."""
        return self._node(key).sound()

    def watch(self, *key: *Key) -> Watch[Value]:
        """Keep the value for `key`, and hear when it may have changed (`Database.take_stale`)."""
        return Watch(self.database, self._node(key))

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._nodes)

    def _node(self, key: tuple[Any, ...]) -> _Remembered[Value]:
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = _Remembered(self, key)
        return node

    def same(self, before: Value, value: Value) -> bool:
        """Return whether a new value is as good as the last one."""
        return before is value or bool((self._same or _equal)(before, value))

    def forget(self, key: tuple[Any, ...]) -> None:
        """The value for `key` is read by nobody."""
        self._nodes.pop(key, None)

    def release(self, value: Value) -> None:
        """A value is no longer held."""


class CollectionQuery(Query[*Key, Collection[Member, MemberValue]], Generic[*Key, Member, MemberValue]):
    """A query that makes a collection for each key, which goes with its last reader.

    What the function reads decides how the collection is made: if that changes, a new one is made. What its
    members read is the collection's own affair.
    """

    __slots__ = ()

    checkable = False  # each is another object; the members are checked where they are made

    def same(self, before: Collection[Member, MemberValue], value: Collection[Member, MemberValue]) -> bool:
        """Return whether it is the very same collection: others stand on it, not on what it holds."""
        return before is value

    def release(self, value: Collection[Member, MemberValue]) -> None:
        """Take the collection off its sources."""
        if isinstance(value, Collection):
            value.release()


class Watch(Generic[Value]):
    """Somebody outside who wants a value kept, and to hear when it may have changed."""

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
        """Keep it no longer."""
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
