"""Arguments that are told apart by identity."""

from __future__ import annotations

from typing import Generic, TypeVar

Value = TypeVar("Value")


class ByIdentity(Generic[Value]):
    """An argument of what a `Memo` remembers that is compared by identity, whatever its own equality is: a
    MeshConfig is found again without looking into it."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByIdentity) and other.value is self.value
