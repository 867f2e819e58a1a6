"""Collections that are brought up to date in parts, when somebody has time for them."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import islice
from typing import TypeVar

from mizzen.incremental.derived import Mapped

Key = TypeVar("Key", bound=Hashable)
Source = TypeVar("Source")
Value = TypeVar("Value")


class Gradual(Mapped[Key, Source, Value]):
    """A function of each member, as `Mapped` is. Nothing brings it up to date but `go_on`, some members at a
    time: for what takes long, and is read by nobody until it is whole."""

    __slots__ = ()

    def pend(self, key: Key) -> None:
        """A member of the source changed, or something that the function read. For the database."""
        self._pending[key] = None

    def settle(self) -> None:
        """Leave it to `go_on`. For the database."""

    def go_on(self, most: int) -> list[Key]:
        """Look again at `most` of the members that may be others; return the keys of those that are."""
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
