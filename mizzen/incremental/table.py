"""Tables: collections of inputs that are set from outside."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar

from mizzen.incremental.collection import Collection
from mizzen.incremental.database import NOTHING, Database

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Table(Collection[Key, Value]):
    """Inputs by key. Values are immutable: a changed one is a new object, set again."""

    __slots__ = ()

    def __init__(self, database: Database, name: str) -> None:
        super().__init__(database, name, height=0)

    def __setitem__(self, key: Key, value: Value) -> None:
        """Set an input; an equal one changes nothing. Raises WriteError while a query runs."""
        self._set(key, value)

    def discard(self, key: Key) -> None:
        """Remove an input, if it is there. Raises WriteError while a query runs."""
        self._set(key, NOTHING)

    def _set(self, key: Key, value: Any) -> None:
        self.database.begin_write()
        if self.put(key, value):
            self.publish((key,))
