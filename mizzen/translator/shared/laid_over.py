"""Layers over the resources that proxies share, as immutable values. `LabelLayer` makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from mizzen.config.diagnostics import Diagnostic
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.translator.base.memo import Memo
from mizzen.translator.routes.encoding import Substitution, substituted
from mizzen.translator.shared.resources import ClassResources, SharedResources
from mizzen.translator.tls.secret_references import SecretNames
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection
from mizzen.xds.type_urls import ROUTE

_NOTHING: Final = Substitution((), ())
_NO_COLLECTION: Final = Collection(ROUTE, {})
NO_SUBSTITUTIONS: Final[Mapping[str, Substitution]] = {}


class Layer:
    """Resources of one type that replace or extend those of a collection, the route configurations that have
    some virtual hosts of their own, and the names that are hidden.

    Compared by identity. The classes of proxies over one profile that are sent the same share the layer.
    """

    __slots__ = ("__weakref__", "_below", "_covered", "_hidden", "_laid", "_resources", "_substitutions")

    def __init__(
        self,
        profile: OutboundProfile | None = None,
        resources: tuple[Resource, ...] = (),
        substitutions: tuple[tuple[str, Substitution], ...] = (),
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        self._resources = resources
        self._substitutions = dict(substitutions)
        self._hidden = hidden
        # The last collection below, what of it is covered or was when it was laid over, and the result.
        self._below: Collection | None = None
        self._covered: dict[str, Resource | None] = {}
        self._laid = _NO_COLLECTION

    def on(self, below: Collection, memo: Memo) -> Collection:
        """Return the collection `below` with this layer: the same object for all proxies of a class."""
        if self is NO_LAYER:
            return below
        before = self._below
        if below is not before:
            get = below.resources.get
            for name, covered in self._covered.items():
                if get(name) is not covered:
                    before = None
            self._laid = self._over(below, memo) if before is None else self._laid.rebased(before, below)
            self._below = below
        return self._laid

    def _over(self, below: Collection, memo: Memo) -> Collection:
        resources = list(self._resources)
        for name, each in self._substitutions.items():
            resources.append(memo(substituted, below.resources[name], each))
        names = [*self._hidden, *[each.name for each in resources]]
        self._covered = {name: below.resources.get(name) for name in names}
        return below.overlaid(resources, self._hidden)

    def updated(
        self,
        profile: OutboundProfile,
        below: Collection,
        made: Iterable[Resource],
        names: Iterable[str],
        gone: Iterable[str],
        memo: Memo,
        substitutions: Mapping[str, Substitution] = NO_SUBSTITUTIONS,
    ) -> Layer:
        """Return the layer that, besides its resources that are not `gone`, replaces the resources `names` of
        `below` by `made`, and virtual hosts by `substitutions`. `below` is what proxies of `profile` have.

        It leaves out resources that are equal in `below`, and hides names that have no resource in `made`.
        """
        resources, hidden = {each.name: each for each in self._resources}, set(self._hidden)
        latest, gone = {each.name: each for each in made}, tuple(gone)
        for name in gone:
            hidden.discard(name)
            if name not in latest:
                resources.pop(name, None)
        for name, each in latest.items():
            if not _same(below.resources.get(name), each):
                resources[name] = each
            else:
                resources.pop(name, None)
        instead = {**self._substitutions, **substitutions}
        for name in (*gone, *latest):
            if name not in substitutions:
                instead.pop(name, None)
        for name, substitution in substitutions.items():
            resources.pop(name, None)
            if substitution == _NOTHING:
                del instead[name]
        hidden.update([name for name in names if name in below and name not in latest])
        if not resources and not instead and not hidden:
            return NO_LAYER
        own = tuple(resources.values()), tuple(instead.items())
        return memo(Layer, profile, *own, frozenset(hidden))


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

    def on(self, shared: SharedResources, memo: Memo) -> ClassResources:
        """Return what the class is sent, from the current resources of the class below."""
        clusters, endpoints, listeners, routes = shared[:4]
        if self[:3] != _NO_LAYERS:
            clusters = self.clusters.on(clusters, memo)
            endpoints = self.endpoints.on(endpoints, memo)
            listeners = self.listeners.on(listeners, memo)
        diagnostics = shared.diagnostics if self.diagnostics is None else self.diagnostics
        return ClassResources(clusters, endpoints, listeners, self.routes.on(routes, memo), diagnostics)


NOTHING_LAID_OVER: Final = LaidOver()
_NO_LAYERS: Final = NOTHING_LAID_OVER[:3]
