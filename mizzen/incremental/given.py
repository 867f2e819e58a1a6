"""Given collections: inputs that their owner keeps in an immutable mapping."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar, cast

from mizzen.incremental.collection import Collection
from mizzen.incremental.database import Database
from mizzen.persistent import LayeredDict

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Given(Collection[Key, Value]):
    """The members of an immutable mapping; `renew` names its next version. Members are compared by identity,
    and the cost is that of the members that differ. The mapping is shared, not copied."""

    __slots__ = ()

    def __init__(self, database: Database, name: str, members: LayeredDict[Key, Value]) -> None:
        super().__init__(database, name, height=0)
        self.values_now = cast("dict[Key, Value]", members)  # which is only read here

    def renew(self, members: LayeredDict[Key, Value]) -> None:
        """Go over to a different version, which need not be a later one; the same object changes nothing.
        Raises WriteError while a query runs."""
        before = cast("LayeredDict[Key, Value]", self.values_now)
        if members is before:
            return
        self.database.begin_write()
        self.values_now = cast("dict[Key, Value]", members)
        self.publish(members.differing(before))
