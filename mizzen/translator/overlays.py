"""Collections that proxies share, with the resources of one kind of workload laid over them."""

from __future__ import annotations

from weakref import WeakValueDictionary

from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection

_Key = tuple[Collection, tuple[Resource, ...]]
"""What is below, and what is laid over it."""


class Overlays:
    """They are the same objects for all workloads alike, and last as long as anybody was given them. Each
    holds what it has of its own, and shares the rest."""

    def __init__(self) -> None:
        self._laid: WeakValueDictionary[_Key, Collection] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._laid)

    def laid(
        self, base: Collection, own: tuple[Resource, ...], hidden: frozenset[str] = frozenset()
    ) -> Collection:
        """Return `base` with the resources of a workload's own and without the names that these hide. What is
        hidden follows from `own`."""
        if not own:
            return base
        found = self._laid.get((base, own))
        if found is None:
            found = self._laid[base, own] = base.overlaid(own, hidden)
        return found
