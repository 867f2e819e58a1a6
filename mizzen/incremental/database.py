"""The database: what is being computed, which values failed, and which nobody reads any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from mizzen.incremental.node import NOTHING, Node, mark

if TYPE_CHECKING:
    from mizzen.incremental.derived import DerivedCollection
    from mizzen.incremental.query import Derived


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


NOT_REMEMBERED: Final = (CycleError, CheckError, RecursionError, MemoryError)
"""Errors that say nothing about the value: asked for from less deep, or with more memory, it may be made."""


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """What a query has for a value if its function raised."""

    query: str
    key: tuple[Any, ...]
    """The arguments of the query's function."""
    error: Exception
    traceback: TracebackType | None
    """The traceback up to the query. Each reader that the error is raised to would add to the error's own."""


class Database:
    """All computed values and their dependencies. Used by one thread at a time.

    With `checking`, each remembered value is computed again before it is returned, and compared: so a test
    finds a read that was not recorded (raises `CheckError`). Everything is slow then.
    """

    __slots__ = ("_derived", "checking", "computed", "failed", "reads", "unread", "unsettled")

    def __init__(self, *, checking: bool = False) -> None:
        self.checking = checking
        self.computed = 0
        """Number of values computed so far: the cost of a change, as a number that tests can compare."""
        # The rest is for the modules of this package.
        self.reads: dict[Node, None] | None = None
        """What the running query has read so far; None if none runs, or if its reads are not recorded."""
        self.failed: dict[Derived[Any], None] = {}
        """The nodes whose value is a `Failure`; one that only reads another that fails stands behind it."""
        self.unread: dict[Node, None] = {}
        """What had no reader when it was made, or lost its last reader, since the last sweep."""
        self.unsettled = False
        """True if an input has changed since the derived collections were brought up to date."""
        self._derived: WeakSet[DerivedCollection[Any, Any]] = WeakSet()

    @property
    def failures(self) -> list[Failure]:
        """The queries that fail now, among those that were asked for; not those that only read one that
        fails."""
        failures: dict[int, Failure] = {}
        for node in self.failed:
            failures.setdefault(id(node.value.error), node.value)
        return list(failures.values())

    def retry_failures(self) -> None:
        """Let the functions that failed run again when they are next asked for, because what made them fail
        may be nothing that they read. Their readers are marked, and watched ones are stale."""
        mark(self.failed)

    def sweep(self) -> None:
        """Forget the values that nobody reads or watches. A value that was asked for from outside survives
        only until the next sweep."""
        while self.unread:
            unread, self.unread = self.unread, {}
            for node in unread:
                if not node.is_read:
                    node.evict()

    def settle(self) -> None:
        """Bring all derived collections up to date, so that the readers of what changed are marked."""
        for collection in tuple(self._derived):
            collection.settle()
        self.unsettled = False

    # The rest is for the modules of this package.

    def add(self, collection: DerivedCollection[Any, Any]) -> None:
        """Bring `collection` up to date from now on, for as long as somebody holds it."""
        self._derived.add(collection)
        self.unsettled = True

    def begin_write(self) -> None:
        """Note that an input is being set; raises WriteError while a query runs."""
        if self.reads is not None:
            raise WriteError("an input was changed while a query ran")
        self.unsettled = True

    def once_more(self, compute: Callable[[], Any]) -> Any:
        """Compute a value for a check: its reads are neither recorded nor checked. Returns NOTHING if it
        fails."""
        reads, self.reads, self.checking = self.reads, None, False
        try:
            return compute()
        except NOT_REMEMBERED:
            raise
        except Exception:
            return NOTHING
        finally:
            self.reads, self.checking = reads, True
