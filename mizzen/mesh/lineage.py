"""Which names changed from one version of something immutable to a later one."""

from __future__ import annotations

from typing import Final

_STEPS: Final = 64
"""So many steps back it can be told what changed: more than a proxy is behind that is still looked after."""


class Lineage:
    """Where a version of something immutable stands behind earlier ones, and the names that changed since.

    It holds names only, so it may be kept where the version itself would cost memory.
    """

    __slots__ = ("_place", "_steps")

    def __init__(self, steps: tuple[tuple[object, frozenset[str]], ...] = ()) -> None:
        self._place = object()
        self._steps = steps

    def following(self, names: frozenset[str]) -> Lineage:
        """Return the lineage of the next version, in which what has these names is different."""
        return Lineage(((self._place, names), *self._steps[: _STEPS - 1]))

    def since(self, earlier: Lineage) -> frozenset[str] | None:
        """Return the names that changed after the version `earlier`; None if that is not known any more."""
        if earlier is self:
            return frozenset()
        changed: list[frozenset[str]] = []
        for place, names in self._steps:
            changed.append(names)
            if place is earlier._place:
                return frozenset().union(*changed)
        return None
