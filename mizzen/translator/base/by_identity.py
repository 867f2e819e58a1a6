"""Arguments that are compared by identity."""

from __future__ import annotations

from typing import Generic, TypeVar

Value = TypeVar("Value")


class ByIdentity(Generic[Value]):
    """An argument for a `Memo` that is compared by identity, whatever its own equality is. So the memo finds
    a MeshConfig without comparing its fields."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByIdentity) and other.value is self.value
