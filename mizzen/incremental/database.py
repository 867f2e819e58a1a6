"""The database: what is being computed, what was marked, what failed, and what nobody reads any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mizzen.incremental.collection import Collection
    from mizzen.incremental.node import Derived, Node
    from mizzen.incremental.query import Watch


NOTHING: Final = object()
"""Stands where there is no value yet."""


class CycleError(Exception):
    """A query read itself, directly or by way of others: a fault of whoever wrote the queries."""


class WriteError(Exception):
    """An input was changed while a query ran: what the query had read would no longer be true."""


class CheckError(AssertionError):
    """A remembered value differs from a computed one: something was read that was not recorded."""

    @classmethod
    def of(cls, name: str, key: Any, remembered: Any, computed: Any) -> CheckError:
        """Return the error that says what differs."""
        return cls(
            f"{name}({key!r}) is remembered as {remembered!r} and computed as {computed!r}: "
            "it reads something that is not recorded"
        )


class QueryError(Exception):
    """A query was read that fails and has never had a value; `__cause__` is what it raised."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A query that raised. `stands` says whether its last good value is still in force."""

    query: str
    key: Any
    error: Exception
    stands: bool


class Database:
    """Everything that was computed, and how it hangs together. Used by one thread at a time.

    With `checking`, each value that is about to be taken from memory is computed once more and compared, so
    that a test finds a read that was not recorded (raises `CheckError`). It makes everything slow.
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
        """How many values were computed so far: what a change costs, in a number that tests can compare."""
        self._active: list[list[Node] | None] = []
        self._failed: dict[Derived[Any], Failure] = {}
        self._queue: list[tuple[int, int, Collection[Any, Any]]] = []
        self._queued = 0
        self._stale: dict[Watch[Any], None] = {}
        self._unread: dict[Derived[Any], None] = {}

    def take_stale(self) -> list[Watch[Any]]:
        """Return the watches whose value may be another since this was last asked, oldest mark first."""
        self.settle()
        stale, self._stale = list(self._stale), {}
        return stale

    @property
    def failures(self) -> list[Failure]:
        """The queries that fail as things stand, as far as somebody has asked for them."""
        return list(self._failed.values())

    def failed_inputs(self) -> Iterator[tuple[Failure, set[Any]]]:
        """Yield the failures, each with the names of the inputs that the query has read: (table, key)."""
        for node, failure in self._failed.items():
            yield failure, node.all_inputs()

    def sweep(self) -> int:
        """Forget what nobody reads or watches; return how many values went.

        A value that was asked for from outside is kept until the next sweep only: who wants to keep it
        watches it.
        """
        gone = 0
        while self._unread:
            unread, self._unread = self._unread, {}
            for node in unread:
                if not node.is_read:
                    node.evict()
                    gone += 1
        return gone

    # What follows is for the modules of this package.

    def enqueue(self, collection: Collection[Any, Any]) -> None:
        """Members of `collection` may be others: it is settled before what stands on it is read."""
        self._queued += 1
        heappush(self._queue, (collection.height, self._queued, collection))

    @property
    def is_recording(self) -> bool:
        """Whether a query runs whose reads are noted."""
        return bool(self._active) and self._active[-1] is not None

    def settle(self) -> None:
        """Bring all collections up to date, the lowest first."""
        while self._queue:
            self._settle_lowest(None)

    def settle_below(self, reader: Node | Collection[Any, Any]) -> None:
        """Bring all collections up to date that stand no higher than `reader`, the lowest first."""
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
            # It reads a query that is running. Mostly that did not ask for it: it stands higher than the
            # reader, and has not known it so far. If the reader stands on it, they do go round in a circle.
            if reader is None:
                raise
            before = reader.height
            collection.grow(before + 1)
            self.enqueue(collection)
            if reader.height != before:
                raise

    def once_more(self, compute: Callable[[], Any]) -> Any:
        """Compute a value for a check: nothing is recorded, nothing that it reads is checked in turn. NOTHING
        if it fails."""
        self.checking = False
        self.push(None)
        try:
            return compute()
        except CycleError:
            raise
        except Exception:
            return NOTHING
        finally:
            self.pop()
            self.checking = True

    def failure_of(self, node: Derived[Any]) -> Failure | None:
        """Return how the node fails, or None."""
        return self._failed.get(node)

    def begin_write(self) -> None:
        """Note that an input is set; raises WriteError while a query runs."""
        if self._active:
            raise WriteError("an input was changed while a query ran")
        self.revision += 1

    def record(self, node: Node) -> None:
        """Note that the query that runs now reads `node`."""
        if self._active:
            reads = self._active[-1]
            if reads is not None:
                reads.append(node)

    def push(self, reads: list[Node] | None) -> None:
        """Let reads be noted in `reads` until `pop`; None: let them go unnoted."""
        self._active.append(reads)

    def pop(self) -> None:
        """Note reads where they were noted before `push`."""
        self._active.pop()

    def note_stale(self, watch: Watch[Any]) -> None:
        """The value that is watched may be another."""
        self._stale[watch] = None

    def forget_watch(self, watch: Watch[Any]) -> None:
        """Nobody listens to that watch any more."""
        self._stale.pop(watch, None)

    def note_unread(self, node: Derived[Any]) -> None:
        """The node has no readers: the next sweep takes it, if it still has none."""
        self._unread[node] = None

    def note_failure(self, node: Derived[Any], failure: Failure | None) -> None:
        """Note how the node fails, or that it does not."""
        if failure is not None:
            self._failed[node] = failure
        else:
            self._failed.pop(node, None)
