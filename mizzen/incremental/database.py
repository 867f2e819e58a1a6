"""The database: which values are being computed, marked, failed, or no longer read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mizzen.incremental.collection import Collection
    from mizzen.incremental.node import Derived, Node
    from mizzen.incremental.query import Watch


NOTHING: Final = object()
"""Stands for a value that does not exist yet."""


class CycleError(Exception):
    """A query read itself, directly or through other queries: a fault of the code that defines the
    queries."""


class WriteError(Exception):
    """An input was changed while a query ran, so what the query had read would no longer be true."""


class CheckError(AssertionError):
    """A remembered value differs from a recomputed one: its query read something that was not recorded."""

    @classmethod
    def of(cls, name: str, key: Any, remembered: Any, computed: Any) -> CheckError:
        """Return the error that says what differs."""
        return cls(
            f"{name}({key!r}) is remembered as {remembered!r} and computed as {computed!r}: "
            "it reads something that is not recorded"
        )


class QueryError(Exception):
    """A query was read that fails and never had a value; `__cause__` is what it raised."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A query that raised. `stands` is True if its last good value is still in force."""

    query: str
    key: Any
    error: Exception
    stands: bool


class Database:
    """All computed values and their dependencies. Used by one thread at a time.

    With `checking`, each remembered value is computed again before it is returned, and compared: so a test
    finds a read that was not recorded (raises `CheckError`). Everything is slow then.
    """

    __slots__ = (
        "_active",
        "_failed",
        "_queue",
        "_queued",
        "_stale",
        "_unread",
        "checking",
        "computed",
        "revision",
    )

    def __init__(self, *, checking: bool = False) -> None:
        self.checking = checking
        self.revision = 0
        """Grows with each change of an input."""
        self.computed = 0
        """Number of values computed so far: the cost of a change, as a number that tests can compare."""
        self._active: list[list[Node] | None] = []
        self._failed: dict[Derived[Any], Failure] = {}
        self._queue: list[tuple[int, int, Collection[Any, Any]]] = []
        self._queued = 0
        self._stale: dict[Watch[Any], None] = {}
        self._unread: dict[Derived[Any], None] = {}

    def take_stale(self) -> list[Watch[Any]]:
        """Return the watches whose value may have changed since the last call, oldest mark first."""
        self.settle()
        stale, self._stale = list(self._stale), {}
        return stale

    @property
    def failures(self) -> list[Failure]:
        """The queries that fail now, among those that were asked for."""
        return list(self._failed.values())

    def retry_failures(self) -> None:
        """Let the functions that failed run again when they are next asked for, because what made them fail
        may be nothing that they read. Their readers are marked, and watches of these are stale."""
        for node in tuple(self._failed):
            node.retry()

    def sweep(self) -> int:
        """Forget the values that have no readers and no watches; return their number.

        A value that was asked for from outside survives only until the next sweep; a watch keeps it longer.
        """
        gone = 0
        while self._unread:
            unread, self._unread = self._unread, {}
            for node in unread:
                if not node.is_read:
                    node.evict()
                    gone += 1
        return gone

    # The rest is for the modules of this package.

    def enqueue(self, collection: Collection[Any, Any]) -> None:
        """Queue `collection`, whose members may have changed: it is settled before a reader of it runs."""
        self._queued += 1
        heappush(self._queue, (collection.height, self._queued, collection))

    @property
    def is_recording(self) -> bool:
        """True if a query runs and its reads are recorded."""
        return bool(self._active) and self._active[-1] is not None

    def settle(self) -> None:
        """Bring all collections up to date, the lowest first."""
        while self._queue:
            self._settle_lowest(None)

    def settle_below(self, reader: Node | Collection[Any, Any]) -> None:
        """Bring up to date all collections that are no higher than `reader`, the lowest first."""
        while self._queue and self._queue[0][0] <= reader.height:
            self._settle_lowest(reader)

    def _settle_lowest(self, reader: Node | Collection[Any, Any] | None) -> None:
        height, _, collection = heappop(self._queue)
        if collection.height > height:
            self.enqueue(collection)  # it has grown since
            return
        try:
            collection.settle()
        except CycleError:
            # The collection reads a query that is running. Usually that query did not ask for the collection,
            # whose height was only not known so far. If the query does depend on the collection, this is a
            # cycle.
            if reader is None:
                raise
            before = reader.height
            collection.grow(before + 1)
            self.enqueue(collection)
            if reader.height != before:
                raise

    def once_more(self, compute: Callable[[], Any]) -> Any:
        """Compute a value for a check: its reads are neither recorded nor checked. Returns NOTHING if it
        fails."""
        self.checking = False
        self.push(None)
        try:
            return compute()
        except (CycleError, RecursionError, MemoryError):
            raise
        except Exception:
            return NOTHING
        finally:
            self.pop()
            self.checking = True

    def failure_of(self, node: Derived[Any]) -> Failure | None:
        """Return the failure of the node, or None."""
        return self._failed.get(node)

    def begin_write(self) -> None:
        """Note that an input is being set; raises WriteError while a query runs."""
        if self._active:
            raise WriteError("an input was changed while a query ran")
        self.revision += 1

    def record(self, node: Node) -> None:
        """Record that the running query reads `node`."""
        if self._active:
            reads = self._active[-1]
            if reads is not None:
                reads.append(node)

    def push(self, reads: list[Node] | None) -> None:
        """Record reads in `reads` until `pop`; with None they are not recorded."""
        self._active.append(reads)

    def pop(self) -> None:
        """Record reads where they were recorded before `push`."""
        self._active.pop()

    def note_stale(self, watch: Watch[Any]) -> None:
        """Note that the watched value may have changed."""
        self._stale[watch] = None

    def forget_watch(self, watch: Watch[Any]) -> None:
        """Drop a watch that was closed."""
        self._stale.pop(watch, None)

    def note_unread(self, node: Derived[Any]) -> None:
        """Note that the node has no readers: the next sweep forgets it if it still has none."""
        self._unread[node] = None

    def note_failure(self, node: Derived[Any], failure: Failure | None) -> None:
        """Note the failure of the node, or with None that it no longer fails."""
        if failure is not None:
            self._failed[node] = failure
        else:
            self._failed.pop(node, None)
