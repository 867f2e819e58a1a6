"""Nodes of the graph of reads: what queries read, and who has read it.

Marks are pushed, values are pulled (Adapton). When a value changes, its readers are marked DIRTY; their
readers, and those above, are marked CHECK: something below may have changed. A query that is asked for while
marked CHECK first brings what it read up to date, in the order in which it was read. It computes only if one
of these turned out different: a value that comes out equal stops the change there (early cut-off).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, KeysView
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from mizzen.incremental.database import Database
    from mizzen.incremental.query import Derived

Key = TypeVar("Key", bound=Hashable)

NOTHING: Final = object()
"""Stands for a value that does not exist, or not yet."""

CLEAN: Final = 0
CHECK: Final = 1
DIRTY: Final = 2
RUNNING: Final = 3


class Keyed(Generic[Key]):
    """What queries read by key. It has a node for each key that was read."""

    __slots__ = ("database", "name", "nodes")

    def __init__(self, database: Database, name: str) -> None:
        self.database = database
        self.name = name
        self.nodes: dict[Key, Any] = {}
        """For the modules of this package."""

    @property
    def keys_read(self) -> KeysView[Key]:
        """The keys that queries have read, also those without a member. A key that is no longer read stays
        until the next sweep."""
        return self.nodes.keys()

    def is_read(self, key: Key) -> bool:
        """True if a query reads the value of that key, or read that there is none."""
        node = self.nodes.get(key)
        return node is not None and node.is_read


class Node:
    """A value that queries read. It knows its readers."""

    __slots__ = ("_readers", "key", "owner", "value")

    state: int = CLEAN

    def __init__(self, owner: Keyed[Any], key: Any, value: Any) -> None:
        self.owner = owner
        self.key = key
        self.value = value
        # Most nodes have one reader, so a set for each would be most of the memory.
        self._readers: Derived[Any] | set[Derived[Any]] | None = None
        owner.database.unread[self] = None

    @property
    def is_read(self) -> bool:
        """True if this has readers."""
        return self._readers is not None

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
        """Note that `reader` no longer reads this. A query that runs may have read it, so the next sweep
        forgets it, if nobody reads it then."""
        readers = self._readers
        if isinstance(readers, set):
            readers.discard(reader)
            if readers:
                return
        elif readers is not reader:
            return
        self._readers = None
        self.owner.database.unread[self] = None

    def changed(self) -> None:
        """Mark the readers: the value changed, so all that was computed from it has to be computed again."""
        mark(self.readers)

    def refresh(self) -> None:
        """Bring the value up to date; marks the readers if it changes."""

    def evict(self) -> None:
        """Forget the value, which has no readers."""
        self.owner.database.unread.pop(self, None)
        if self.owner.nodes.get(self.key) is self:
            del self.owner.nodes[self.key]


def mark(nodes: Iterable[Derived[Any]]) -> None:
    """Mark `nodes` DIRTY, and CHECK what was computed from them. Watched ones that were up to date are
    stale."""
    level, pending = DIRTY, nodes
    while pending:
        above: list[Derived[Any]] = []
        for node in pending:
            before = node.state
            if before < level:
                node.state = level
                if before == CLEAN:
                    if node.is_watched:
                        node.owner.stale[node.key] = None
                    if node._readers is not None:
                        above.extend(node.readers)
        level, pending = CHECK, above
