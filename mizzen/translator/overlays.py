"""Collections that proxies share, with the resources of one kind of workload laid over them."""

from __future__ import annotations

from collections.abc import Hashable
from weakref import WeakKeyDictionary, WeakValueDictionary

from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection

_Key = tuple[Hashable, str, tuple[Resource, ...]]
"""Who shares what is below; the type, and what is laid over it."""


class Overlays:
    """They are the same objects for all workloads alike, and last as long as anybody was given them."""

    def __init__(self) -> None:
        self._laid: WeakValueDictionary[_Key, Collection] = WeakValueDictionary()
        self._below: WeakKeyDictionary[Collection, Collection] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._laid)

    def laid(
        self,
        sharing: Hashable,
        base: Collection,
        own: tuple[Resource, ...],
        hidden: frozenset[str] = frozenset(),
    ) -> Collection:
        """Return `base`, which those who are `sharing` have in common, with the resources of a workload's own
        and without the names that these hide. What is hidden follows from `own`."""
        if not own:
            return base
        key = (sharing, base.type_url, own)
        known = self._laid.get(key)
        if known is None:
            laid = base.updated(own, hidden)
        elif self._below[known] is base:
            return known
        else:
            # Going on from the last one keeps it cheap to say what changed since.
            difference = base.since(self._below[known])
            names = hidden.union(resource.name for resource in own)
            laid = known.updated(
                [
                    resource
                    for resource in (*difference.changed.values(), *difference.unsent)
                    if resource.name not in names
                ],
                [name for name in difference.removed if name not in names],
            )
        self._below[laid] = base
        self._laid[key] = laid
        return laid
