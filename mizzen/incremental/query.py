"""Queries: functions by key whose values are remembered until something that they read changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, TypeVarTuple, cast

from mizzen.incremental.database import NOT_REMEMBERED, CheckError, CycleError, Database, Failure
from mizzen.incremental.node import CHECK, CLEAN, DIRTY, NOTHING, RUNNING, Keyed, Node

Value = TypeVar("Value")
Key = TypeVarTuple("Key")


class Query(Keyed[tuple[Any, ...]], Generic[*Key, Value]):
    """A function by key. It may read tables, collections, lookups and other queries, and nothing else that
    changes. What it raises is remembered as what it returns is, and raised to whoever asks.

    A function that asks for another query runs it inside its own call. So a chain of about 200 queries of
    which none is made yet exceeds Python's limit of calls; the RecursionError is not remembered.

    `compared` returns what of a value is compared in a check; without it, values that know only identity are
    not checked.
    """

    __slots__ = ("compared", "function", "stale")

    def __init__(
        self,
        database: Database,
        name: str,
        function: Callable[[*Key], Value],
        compared: Callable[[Value], Any] | None = None,
    ) -> None:
        super().__init__(database, name)
        self.function = function
        self.compared = compared
        self.stale: dict[tuple[*Key], None] = {}
        """For the modules of this package."""

    def __call__(self, *key: *Key) -> Value:
        """Return the value for `key`, up to date; raises what the function raises.

        Raises:
            CycleError: it reads itself.
        """
        database = self.database
        if database.unsettled:
            database.settle()
        node = self.nodes.get(key) or self.node(key)
        if database.reads is not None:
            database.reads[node] = None
        if node.state or database.checking:
            node.refresh()
        value = node.value
        if value.__class__ is Failure:
            raise value.error.with_traceback(value.traceback)
        return cast("Value", value)

    def watch(self, *key: *Key) -> None:
        """Keep the value for `key` until `unwatch`; `take_stale` reports when it may have changed."""
        self.node(key).is_watched = True

    def unwatch(self, *key: *Key) -> None:
        """Stop watching a key; its value is no longer kept."""
        node = self.node(key)
        node.is_watched = False
        self.database.unread[node] = None
        self.stale.pop(key, None)

    def take_stale(self) -> list[tuple[*Key]]:
        """Return the watched keys whose value may have changed since the last call, oldest mark first."""
        if self.database.unsettled:
            self.database.settle()
        stale = list(self.stale)
        if stale:
            self.stale.clear()
        return stale

    def node(self, key: tuple[*Key]) -> Derived[Value]:
        """Return the node of a key. For the modules of this package."""
        node = self.nodes.get(key)
        if node is None:
            node = self.nodes[key] = Derived(self, key)
        return cast("Derived[Value]", node)


class Derived(Node, Generic[Value]):
    """The value of a query for one key. Hashed by identity."""

    __slots__ = ("is_watched", "reads", "state")

    owner: Query[*tuple[Any, ...], Value]

    def __init__(self, owner: Query[*tuple[Any, ...], Value], key: tuple[Any, ...]) -> None:
        super().__init__(owner, key, NOTHING)
        self.state = DIRTY
        self.is_watched = False
        self.reads: tuple[Node, ...] = ()

    @property
    def is_read(self) -> bool:
        """True if this has readers or is watched."""
        return self._readers is not None or self.is_watched

    def refresh(self) -> None:
        """Bring the value up to date; marks the readers if it changes."""
        checking = self.owner.database.checking
        if self.state == RUNNING:
            raise CycleError(f"{self.owner.name}({self.key!r}) reads itself")
        if self.state == CHECK or (checking and self.state != DIRTY):
            for node in self.reads:
                if node.state or checking:
                    node.refresh()
                    if self.state == DIRTY:
                        break
            else:
                self.state = CLEAN
        if self.state == DIRTY:
            self._run()
        elif checking:
            self._check()

    def _run(self) -> None:
        query, before = self.owner, self.value
        database = query.database
        reads: dict[Node, None] = {}
        outer, database.reads = database.reads, reads
        database.computed += 1
        value: Any
        self.state = RUNNING
        try:
            value = query.function(*self.key)
        except NOT_REMEMBERED:
            raise
        except Exception as error:
            value = Failure(query.name, self.key, error, error.__traceback__)
        finally:
            database.reads = outer
            self.state = DIRTY
        # In this order, so that an error between (no memory, too many calls) leaves work for the next time.
        self._set_reads(tuple(reads))
        if before.__class__ is Failure:
            database.failed.pop(self, None)
        if value.__class__ is Failure:
            database.failed[self] = None
        if before is not value and before != value:
            if self._readers is not None:
                self.changed()
            self.value = value
        self.state = CLEAN

    def fail(self, error: Exception) -> None:
        """Take as the value, until `Database.retry_failures`, a failure with the error that `refresh` raised.
        Only for a node without readers: what it read is not up to date."""
        self.value = Failure(self.owner.name, self.key, error, error.__traceback__)
        self.owner.database.failed[self] = None
        self.state = CLEAN

    def _set_reads(self, reads: tuple[Node, ...]) -> None:
        before = self.reads
        if reads == before:
            return
        for node in set(reads).difference(before):
            node.add_reader(self)
        for node in set(before).difference(reads):
            node.remove_reader(self)
        self.reads = reads

    def _check(self) -> None:
        query, remembered = self.owner, self.value
        value = query.database.once_more(lambda: query.function(*self.key))
        if value is NOTHING or remembered.__class__ is Failure:
            return
        if query.compared is not None:
            agrees = query.compared(remembered) == query.compared(value)
        else:
            agrees = bool(remembered == value) or _knows_identity(value)
        if not agrees:
            raise CheckError.of(query.name, self.key, remembered, value)

    def evict(self) -> None:
        """Forget the value, which has no readers; what it read loses a reader."""
        super().evict()
        for node in self.reads:
            node.remove_reader(self)
        self.owner.database.failed.pop(self, None)


def _knows_identity(value: object) -> bool:
    """True if a value equals only itself."""
    return type(value).__eq__ is object.__eq__
