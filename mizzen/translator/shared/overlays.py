"""Shared collections, extended by the resources of workloads."""

from __future__ import annotations

from weakref import WeakValueDictionary

from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection

_Key = tuple[Collection, tuple[Resource, ...]]
"""The shared collection, and the workload's resources."""


class Overlays:
    """The extended collections. Workloads with the same resources get the same object, and it is remembered
    while there is a reference to it. Each collection stores only the workload's own resources and shares the
    rest."""

    def __init__(self) -> None:
        self._laid: WeakValueDictionary[_Key, Collection] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._laid)

    def laid(
        self, base: Collection, own: tuple[Resource, ...], hidden: frozenset[str] = frozenset()
    ) -> Collection:
        """Return `base` with the resources `own` of a workload, without the names `hidden`. Equal `own` must
        come with equal `hidden`."""
        if not own:
            return base
        found = self._laid.get((base, own))
        if found is None:
            found = self._laid[base, own] = base.overlaid(own, hidden)
        return found
