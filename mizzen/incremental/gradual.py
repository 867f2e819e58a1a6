"""Collections that are brought up to date in parts, when their owner has time."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import islice
from typing import TypeVar

from mizzen.incremental.derived import Mapped

Key = TypeVar("Key", bound=Hashable)
Source = TypeVar("Source")
Value = TypeVar("Value")


class Gradual(Mapped[Key, Source, Value]):
    """A function of each member, as `Mapped` is. Only `go_on` brings it up to date, some members at a time:
    for functions that take long, and results that are read only when complete."""

    __slots__ = ()

    def pend(self, key: Key) -> None:
        """Note that a member of the source, or something that the function read, changed. For the
        database."""
        self._pending[key] = None

    def settle(self) -> None:
        """Do nothing: `go_on` does the work. For the database."""

    def go_on(self, most: int) -> list[Key]:
        """Make at most `most` of the marked members again; return the keys of those that changed."""
        part = list(islice(self._pending, most))
        for key in part:
            del self._pending[key]
        changed: list[Key] = []
        self.database.push(None)
        try:
            self._settle(part, changed)
        except BaseException:
            self._pending = dict.fromkeys(part) | self._pending
            raise
        finally:
            self.database.pop()
            self.publish(changed)
        return changed
