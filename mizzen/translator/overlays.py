"""Collections that proxies share, with the resources of one kind of workload laid over them."""

from __future__ import annotations

from weakref import WeakValueDictionary

from mizzen.translator.laid_over import NO_LAYER, Layer
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection

_Key = tuple[Collection, Layer, tuple[Resource, ...]]
"""What is below, and what is laid over it."""


class Overlays:
    """They are the same objects for all workloads alike, and last as long as anybody was given them. Each
    holds what it has of its own, and shares the rest."""

    def __init__(self) -> None:
        self._laid: WeakValueDictionary[_Key, Collection] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._laid)

    def laid(
        self,
        base: Collection,
        own: tuple[Resource, ...],
        hidden: frozenset[str] = frozenset(),
        layer: Layer = NO_LAYER,
    ) -> Collection:
        """Return `base` with a layer over it, and over that the resources of a workload's own, without the
        names that these hide. What is hidden follows from `own`."""
        if not own and not layer:
            return base
        found = self._laid.get((base, layer, own))
        if found is None:
            found = self._laid[base, layer, own] = _overlaid(base, own, hidden, layer)
        return found


def _overlaid(
    base: Collection, own: tuple[Resource, ...], hidden: frozenset[str], layer: Layer
) -> Collection:
    if not own:
        return base.overlaid(layer.resources, layer.hidden)
    if hidden:
        layer = Layer(tuple([each for each in layer.resources if each.name not in hidden]), layer.hidden)
    return base.overlaid(layer.resources + own, layer.hidden | hidden)
