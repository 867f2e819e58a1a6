"""Lookups: inputs found in a source that its owner keeps; only those that a query reads are held here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar, cast

from mizzen.incremental.database import Database
from mizzen.incremental.node import NOTHING, Keyed, Node

Source = TypeVar("Source")
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Lookup(Keyed[Key], Generic[Source, Key, Value]):
    """What `look(source, key)` finds. The source is immutable: `renew` names the next one.

    The cost depends on what is read, not on the size of the source: `renew` looks again for the keys that
    queries have read, and marks the readers of those whose value changed.
    """

    __slots__ = ("_look", "_source")

    def __init__(
        self, database: Database, name: str, source: Source, look: Callable[[Source, Key], Value]
    ) -> None:
        super().__init__(database, name)
        self._source = source
        self._look = look

    def __call__(self, key: Key) -> Value:
        """Return what is found for `key`; raises what `look` raises, and looks again after `renew`."""
        reads = self.database.reads
        if reads is None:
            return self._look(self._source, key)
        node = self.nodes.get(key)
        if node is None:
            node = self.nodes[key] = Node(self, key, NOTHING)
        reads[node] = None
        if node.value is NOTHING:
            node.value = self._look(self._source, key)
        return cast("Value", node.value)

    def known(self, key: Key) -> Value | None:
        """Return what was found for a key that a query has read; None for other keys. This is not
        recorded."""
        node = self.nodes.get(key)
        return None if node is None or node.value is NOTHING else node.value

    def renew(self, source: Source, keys: Iterable[Key] | None = None) -> None:
        """Go over to a different source; the same object changes nothing. `keys` limits the keys that are
        looked up again, if it is known which may differ. Raises WriteError while a query runs."""
        if source is self._source:
            return
        self.database.begin_write()
        self._source = source
        nodes = self.nodes.values() if keys is None else filter(None, map(self.nodes.get, keys))
        for node in nodes:
            value: Any
            try:
                value = self._look(source, node.key)
            except Exception:
                value = NOTHING  # the readers fail, and may fail differently than before
            if value is NOTHING or (node.value is not value and node.value != value):
                node.value = value
                node.changed()
