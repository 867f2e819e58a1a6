"""Nodes of the graph of reads: what can be read, and what is computed from reads.

Marks are pushed, values are pulled (Adapton). When a value changes, its readers are marked DIRTY; their
readers, and those above, are marked CHECK: something below may have changed. A node that is asked for while
marked CHECK first brings what it read up to date, in the order in which it was read. It computes only if one
of these turned out different: a value that comes out equal stops the change there (early cut-off).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar, cast

from mizzen.incremental.database import NOTHING, CheckError, CycleError, Database, Failure, QueryError

Value = TypeVar("Value")

CLEAN: Final = 0
CHECK: Final = 1
DIRTY: Final = 2


class Node:
    """Something that can be read. It knows its readers."""

    __slots__ = ("_readers",)

    def __init__(self) -> None:
        # Most nodes have one reader, so a set for each would be most of the memory.
        self._readers: Derived[Any] | set[Derived[Any]] | None = None

    @property
    def readers(self) -> Iterable[Derived[Any]]:
        """The nodes whose last computation read this."""
        readers = self._readers
        if readers is None:
            return ()
        return tuple(readers) if isinstance(readers, set) else (readers,)

    def add_reader(self, reader: Derived[Any]) -> None:
        """Note that `reader` read this."""
        readers = self._readers
        if readers is None:
            self._readers = reader
        elif isinstance(readers, set):
            readers.add(reader)
        elif readers is not reader:
            self._readers = {readers, reader}

    def remove_reader(self, reader: Derived[Any]) -> None:
        """Note that `reader` no longer reads this."""
        readers = self._readers
        if isinstance(readers, set):
            readers.discard(reader)
            if readers:
                return
        elif readers is not reader:
            return
        self._readers = None
        self.on_unread()

    def on_unread(self) -> None:
        """React to the loss of the last reader."""

    def changed(self) -> None:
        """Mark the readers: the value changed, so all that was computed from it has to be computed again."""
        for reader in self.readers:
            reader.mark(DIRTY)

    def refresh(self) -> None:
        """Bring the value up to date; marks the readers if it changes."""

    @property
    def height(self) -> int:
        """How many collections are derived from each other below this. These must be settled before this is
        read."""
        return 0


class Derived(Node, Generic[Value]):
    """A value that a function computes from what it reads. Hashed by identity.

    If the function raises, the last good value stays, and its readers notice nothing; the database lists the
    failure. Without a good value, reading it raises `QueryError`, so only the queries that need it fail.
    """

    __slots__ = (
        "_compute",
        "_database",
        "_height",
        "_reads",
        "_running",
        "_state",
        "_value",
        "key",
        "name",
        "watched",
    )

    def __init__(self, database: Database, name: str, key: Any, compute: Callable[[], Value]) -> None:
        super().__init__()
        self.name = name
        self.key = key
        self.watched: list[Any] | None = None
        self._database = database
        self._compute = compute
        self._height = 0
        self._reads: tuple[Node, ...] = ()
        self._running = False
        self._state = DIRTY
        self._value: Any = NOTHING

    @property
    def is_read(self) -> bool:
        """True if this has readers or watches."""
        return self._readers is not None or bool(self.watched)

    @property
    def reads(self) -> tuple[Node, ...]:
        """What the last computation read, in order."""
        return self._reads

    def get(self) -> Value:
        """Return the value, up to date, and record the running query as its reader.

        Raises:
            QueryError: the function raises, and has never returned.
            CycleError: the function reads itself.
            RecursionError, MemoryError: as raised by the function; this is not remembered.
        """
        self._database.record(self)
        self._database.settle_below(self)
        self.refresh()
        if not self.is_read:
            self._database.note_unread(self)
        if self._value is NOTHING:
            failure = self._database.failure_of(self)
            raise QueryError(f"{self.name}({self.key!r})") from (failure.error if failure else None)
        return cast("Value", self._value)

    def sound(self) -> Value:
        """Return the value as `get` does, but if the function or a query that it reads fails now, raise that
        error, even if a last good value stands."""
        try:
            value = self.get()
        except QueryError as error:
            raise _cause(error) from error
        failing = next(self._failing(), None) if self._database.failures else None
        if failing is not None:
            raise _cause(failing.error)
        return value

    def _failing(self) -> Iterator[Failure]:
        for node in self._below():
            failure = self._database.failure_of(node) if isinstance(node, Derived) else None
            if failure is not None:
                yield failure

    def mark(self, state: int) -> None:
        """Note that something that was read changed (DIRTY), or may have changed (CHECK)."""
        pending: list[tuple[Derived[Any], int]] = [(self, state)]
        while pending:
            node, level = pending.pop()
            before = node._state
            if before >= level:
                continue
            node._state = level
            if before == CLEAN:
                node.on_mark()
                pending.extend((reader, CHECK) for reader in node.readers)

    def outdate(self) -> None:
        """Let the value be computed again when it is next asked for. For nodes without readers."""
        self._state = DIRTY

    def retry(self) -> None:
        """Let the value be computed again when it is next asked for, and mark its readers."""
        self.mark(DIRTY)

    def on_mark(self) -> None:
        """Note that the value may be out of date."""
        for watch in self.watched or ():
            self._database.note_stale(watch)

    def refresh(self) -> None:
        """Bring the value up to date."""
        if self._running:
            raise CycleError(f"{self.name}({self.key!r}) reads itself")
        if self._state == CHECK:
            self._running = True
            try:
                for node in self._reads:
                    node.refresh()
                    if self._state == DIRTY:
                        break
                else:
                    self._state = CLEAN
            finally:
                self._running = False
        if self._state == DIRTY:
            self._run()
        elif self._database.checking and self.checkable and self._value is not NOTHING:
            self._check()

    def evict(self) -> None:
        """Forget the value, which has no readers; what it read loses a reader."""
        reads, self._reads = self._reads, ()
        for node in reads:
            node.remove_reader(self)
        self._value = NOTHING
        self._state = DIRTY
        self._database.note_failure(self, None)

    def on_unread(self) -> None:
        """Let the next sweep forget the value: the last reader went."""
        if not self.watched:
            self._database.note_unread(self)

    def _below(self) -> Iterator[Node]:
        """Yield this node and all that it reads, directly or through other nodes."""
        seen: set[Node] = set()
        pending: list[Node] = [self]
        while pending:
            node = pending.pop()
            if node not in seen:
                seen.add(node)
                yield node
                if isinstance(node, Derived):
                    pending.extend(node.reads)

    def _run(self) -> None:
        database = self._database
        reads: list[Node] = []
        self._running = True
        database.push(reads)
        database.computed += 1
        error: Exception | None = None
        value: Any = NOTHING
        try:
            value = self._compute()
        except (CycleError, CheckError, RecursionError, MemoryError):
            raise  # a value asked for from less deep, or with more memory, may be made
        except Exception as raised:
            error = raised
        finally:
            database.pop()
            self._running = False
            # Also after a failure: the function runs again when something that it read changes.
            self._set_reads(tuple(dict.fromkeys(reads)))
        self._state = CLEAN
        before = self._value
        if error is not None:
            database.note_failure(self, Failure(self.name, self.key, error, stands=before is not NOTHING))
            return
        database.note_failure(self, None)
        if before is NOTHING or not self.same(before, value):
            self._value = value
            self.replaced(before, value)
            self.changed()

    @property
    def height(self) -> int:
        """How many collections are derived from each other below this."""
        return self._height

    def grow(self, height: int) -> None:
        """Raise the height to at least `height`: this reads something of that height."""
        if height > self._height:
            self._height = height
            for reader in self.readers:
                reader.grow(height)

    @property
    def checkable(self) -> bool:
        """True if the value can be compared with one that is computed again."""
        return True

    def same(self, before: Value, value: Value) -> bool:
        """Return True if a new value equals the last one, so that the readers need not run."""
        return before is value or bool(before == value)

    def agrees(self, before: Value, value: Value) -> bool:
        """Return True if a check finds no fault in the cached value, after the function returned `value`."""
        return self.same(before, value)

    def replaced(self, before: Value, value: Value) -> None:
        """React to a changed value. `before` may be NOTHING."""

    def _set_reads(self, reads: tuple[Node, ...]) -> None:
        before = self._reads
        if reads == before:
            return
        self._reads = reads
        if reads:
            self.grow(max(node.height for node in reads))
        known = set(before)
        for node in reads:
            if node not in known:
                node.add_reader(self)
        kept = set(reads)
        for node in before:
            if node not in kept:
                node.remove_reader(self)

    def _check(self) -> None:
        self._running = True
        try:
            value = self._database.once_more(self._compute)
        finally:
            self._running = False
        if value is not NOTHING and not self.agrees(self._value, value):
            raise CheckError.of(self.name, self.key, self._value, value)


def _cause(error: Exception) -> Exception:
    """Return the first error: a query that reads a failing one raises QueryError from it."""
    while isinstance(error, QueryError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error
