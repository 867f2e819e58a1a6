"""Layers over the resources that proxies share, as immutable values. `LabelLayer` makes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from mizzen.config.diagnostics import Diagnostic
from mizzen.translator.base.memo import Memo
from mizzen.translator.tls.secret_references import SecretNames
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection


class Layer:
    """Resources of one type that replace or extend those of a collection, and the names that are hidden.
    Compared by identity; classes of proxies with the same resources share the layer."""

    __slots__ = ("__weakref__", "_hidden", "_laid", "_resources")

    def __init__(self, resources: tuple[Resource, ...] = (), hidden: frozenset[str] = frozenset()) -> None:
        self._resources = {each.name: each for each in resources}
        self._hidden = hidden
        self._laid: WeakKeyDictionary[Collection, Collection] = WeakKeyDictionary()

    def on(self, below: Collection) -> Collection:
        """Return the collection `below` with this layer: the same object for all proxies of a class."""
        if self is NO_LAYER:
            return below
        laid = self._laid.get(below)
        if laid is None:
            laid = self._laid[below] = below.overlaid(self._resources.values(), self._hidden)
        return laid

    def updated(
        self,
        below: Collection,
        made: Iterable[Resource],
        names: Iterable[str],
        gone: Iterable[str],
        memo: Memo,
    ) -> Layer:
        """Return the layer that, besides its resources that are not `gone`, replaces the resources `names` of
        `below` by `made`.

        It leaves out resources that are equal in `below`, and hides names that have no resource in `made`.
        """
        resources, hidden = dict(self._resources), set(self._hidden)
        latest = {each.name: each for each in made}
        for name in gone:
            hidden.discard(name)
            if name not in latest:
                resources.pop(name, None)
        for name, each in latest.items():
            if not _same(below.resources.get(name), each):
                resources[name] = each
            else:
                resources.pop(name, None)
        hidden.update([name for name in names if name in below and name not in latest])
        if not resources and not hidden:
            return NO_LAYER
        return memo(Layer, tuple(resources.values()), frozenset(hidden))


def _same(below: Resource | None, made: Resource) -> bool:
    return below is made or (
        below is not None and below.version == made.version and below.origins == made.origins
    )


NO_LAYER: Final = Layer()


class LaidOver(NamedTuple):
    """The layers of a class of sidecars over the collections of SharedResources, with its secrets and
    diagnostics. None means that those of SharedResources hold."""

    clusters: Layer = NO_LAYER
    endpoints: Layer = NO_LAYER
    listeners: Layer = NO_LAYER
    routes: Layer = NO_LAYER
    secrets: SecretNames | None = None
    diagnostics: tuple[Diagnostic, ...] | None = None


NOTHING_LAID_OVER: Final = LaidOver()
