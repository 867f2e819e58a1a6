"""Lookups: inputs found in a source that its owner keeps; only those that a query reads are held here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from mizzen.incremental.collection import Collection
from mizzen.incremental.database import NOTHING, Database

Source = TypeVar("Source")
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Lookup(Collection[Key, Value], Generic[Source, Key, Value]):
    """What `look(source, key)` finds. The source is immutable: `renew` names the next one.

    The cost depends on what is read, not on the size of the source: `renew` looks again for the keys that
    queries have read, and marks the readers of those whose value changed.
    """

    __slots__ = ("_look", "_source")

    def __init__(
        self, database: Database, name: str, source: Source, look: Callable[[Source, Key], Value]
    ) -> None:
        super().__init__(database, name, height=0)
        self._source = source
        self._look = look

    def __call__(self, key: Key) -> Value:
        """Return what is found for `key`; raises what `look` raises, and looks again after `renew`."""
        if not self.database.is_recording:
            return self._look(self._source, key)
        self._read(key)
        value = self.values_now.get(key, NOTHING)
        if value is NOTHING:
            value = self.values_now[key] = self._look(self._source, key)
        return value  # type: ignore[return-value]

    def renew(self, source: Source, keys: Iterable[Key] | None = None) -> None:
        """Go over to a different source; the same object changes nothing. `keys` limits the keys that are
        looked up again, if it is known which may differ. Raises WriteError while a query runs."""
        if source is self._source:
            return
        self.database.begin_write()
        self._source = source
        cells = self._cells
        read = cells if keys is None else [key for key in keys if key in cells]
        self.publish([key for key in read if self._differs(key)])

    def _differs(self, key: Key) -> bool:
        """Look again; return True if the readers of the key have to run again."""
        try:
            return self.put(key, self._look(self._source, key))
        except Exception:
            # The readers of the key fail, and may fail differently than before.
            self.values_now.pop(key, None)
            return True

    def forget_cell(self, key: Key) -> None:
        """Drop the cell and the value of a key that no query reads any more. For the cell."""
        super().forget_cell(key)
        self.values_now.pop(key, None)
