"""Layers over the resources that proxies share, as immutable values. `LabelLayer` makes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.translator.tls.secret_references import SecretNames
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection


class Layer:
    """Resources of one type that replace or extend those of a collection, and the names that are hidden.
    Compared by identity."""

    __slots__ = ("_hidden", "_laid", "_resources")

    def __init__(self, resources: tuple[Resource, ...] = (), hidden: frozenset[str] = frozenset()) -> None:
        self._resources = resources
        self._hidden = hidden
        self._laid: tuple[Collection, Collection] | None = None

    def on(self, below: Collection) -> Collection:
        """Return the collection `below` with this layer: the same object for all proxies of a class."""
        if self is NO_LAYER:
            return below
        laid = self._laid
        if laid is None or laid[0] is not below:
            laid = self._laid = (below, below.overlaid(self._resources, self._hidden))
        return laid[1]

    def over(self, below: Collection, made: Iterable[Resource], names: Iterable[str] = ()) -> Layer:
        """Return the layer that replaces the resources `names` of `below` by `made`.

        It leaves out resources that are equal in `below`, and hides names that have no resource in `made`. If
        the result equals this layer, it is this object.
        """
        latest = {each.name: each for each in made}
        resources = tuple(
            [each for each in latest.values() if not _same(below.resources.get(each.name), each)]
        )
        hidden = frozenset([name for name in names if name in below and name not in latest])
        if resources == self._resources and hidden == self._hidden:
            return self
        return Layer(resources, hidden) if resources or hidden else NO_LAYER


def _same(below: Resource | None, made: Resource) -> bool:
    return below is made or (
        below is not None and below.version == made.version and below.origins == made.origins
    )


NO_LAYER: Final = Layer()


@dataclass(frozen=True, slots=True)
class LaidOver:
    """The layers of a class of sidecars over the collections of SharedResources, with its secrets and
    diagnostics. None means that those of SharedResources hold."""

    clusters: Layer = NO_LAYER
    endpoints: Layer = NO_LAYER
    listeners: Layer = NO_LAYER
    routes: Layer = NO_LAYER
    secrets: SecretNames | None = None
    diagnostics: tuple[Diagnostic, ...] | None = None


NOTHING_LAID_OVER: Final = LaidOver()
