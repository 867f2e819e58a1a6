"""The outbound resources of sidecars and gateways, which all proxies of one profile share.

They are built once for each profile and then updated incrementally. So the cost of a change depends on the
services, rules and endpoints that it touches, not on the size of the mesh. A property test checks that the
result equals a full build (tests/properties).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from copy import copy
from itertools import chain, islice
from typing import Final, NamedTuple

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.mesh_config import MeshConfig
from mizzen.incremental import Readers
from mizzen.mesh.changes.scope_difference import ScopeDifference
from mizzen.mesh.facts import Fact, Pool, Routed, Served
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.services.registry import ServiceKey
from mizzen.mesh.snapshot import Mesh
from mizzen.persistent import LayeredDict
from mizzen.translator.base.changed_collection import changed_collection
from mizzen.translator.base.memo import Memo
from mizzen.translator.clusters.service_resources import ServiceResources
from mizzen.translator.listeners.auto_passthrough import NO_PASSTHROUGH, PassthroughChains
from mizzen.translator.listeners.outbound import PortListeners
from mizzen.translator.routes.gateway import CachedGatewayRoutes
from mizzen.translator.routes.port_routes import CachedRoutes
from mizzen.translator.shared.outbound_builder import OutboundBuilder
from mizzen.translator.shared.part_origins import OutboundParts
from mizzen.translator.shared.resources import SharedResources
from mizzen.translator.tls.secret_references import NO_SECRETS, SecretNames, all_secrets, secret_references
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection

_SERVICES_A_STEP: Final = 50
_PORTS_A_STEP: Final = 4
"""Services and ports in one step of `build`, which takes some milliseconds."""


_Fetched = dict[str, Routed]
"""Route configurations by name, each with the fact that it reads."""


class Step(NamedTuple):
    """One update, for the layers over the resources: the difference, the facts that are read for other
    listeners now, the route configurations that listeners newly fetch, the names of those that none fetches
    any more, and the parts of all before the update."""

    difference: ScopeDifference
    listened: frozenset[Fact]
    come: Mapping[str, Routed]
    gone: AbstractSet[str]
    before: CachedRoutes


class OutboundResources:
    """The clusters, endpoints, listeners and routes of one profile.

    `hosts` are the hosts of a gateway's AUTO_PASSTHROUGH servers; `passthrough` has the filter chains of
    their services. The resources are complete when `build` has finished.
    """

    def __init__(self, mesh: Mesh, profile: OutboundProfile, hosts: tuple[str, ...], memo: Memo) -> None:
        self.profile = profile
        self.passthrough = NO_PASSTHROUGH
        self.builder = OutboundBuilder(mesh, profile, hosts, memo)
        self.served: LayeredDict[ServiceKey, ServiceResources] = LayeredDict()
        self._static_names: frozenset[str] = frozenset()
        self.secrets_of: LayeredDict[str, SecretNames] = LayeredDict()
        self.secrets = NO_SECRETS
        self.ports: LayeredDict[int, PortListeners] = LayeredDict()
        self.readers: Readers[Fact, int] = Readers()
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self.cached = CachedRoutes()
        self.gateway_routes = CachedGatewayRoutes()
        self.clusters = Collection(type_urls.CLUSTER, {})
        self.endpoints = Collection(type_urls.ENDPOINT, {})
        self.listeners = Collection(type_urls.LISTENER, {})
        self.routes = Collection(type_urls.ROUTE, {})

    @property
    def shared(self) -> SharedResources:
        """The current resources as a value."""
        return SharedResources(
            self.clusters,
            self.endpoints,
            self.listeners,
            self.routes,
            self.diagnostics,
            self.secrets,
            self.scope.sidecar,
            self.scope if self.profile.is_router else None,
            self.passthrough,
            self.mesh_config,
            self.gateway_routes,
        )

    @property
    def mesh(self) -> Mesh:
        """The mesh of the current resources."""
        return self.builder.mesh

    @property
    def scope(self) -> SidecarScope:
        """The scope of the profile."""
        return self.builder.scope

    @property
    def mesh_config(self) -> MeshConfig:
        """The mesh's configuration with the ProxyConfig of the profile's proxies."""
        return self.builder.mesh_config

    @property
    def parts(self) -> OutboundParts:
        """The parts of the resources, to find their origins."""
        return OutboundParts(self.ports, self.builder, self.cached)

    def update(self, mesh: Mesh) -> Step:
        """Update all resources to `mesh`, which has the same settings. After an exception, the resources are
        those of the mesh before."""
        made, difference = copy(self), self.difference(mesh)
        made.builder = OutboundBuilder(mesh, self.profile, self.builder.hosts, self.builder.memo)
        step = made._follow(difference, self.builder)
        vars(self).update(vars(made))
        return step

    def advance(self, mesh: Mesh) -> None:
        """Go over to `mesh`, which must not differ in anything that concerns sidecars of the profile
        (`NamedDifference`). So an outdated mesh does not stay in memory."""
        self.builder = self.builder.advanced(mesh)

    def difference(self, mesh: Mesh) -> ScopeDifference:
        """Return the difference between the current mesh and `mesh` in the scope of the profile."""
        after = mesh.scope(self.profile)
        return ScopeDifference.between(self.scope, after, mesh.difference(self.mesh), mesh)

    def _follow(self, difference: ScopeDifference, before: OutboundBuilder) -> Step:
        """Build the resources again that read facts which differ; `before` built the current ones."""
        self._update_clusters(difference.services_of(Served), difference.services_of(Pool))
        if self.profile.is_router:
            self.gateway_routes.note(difference)
            return Step(difference, frozenset(), {}, frozenset(), self.cached)
        ports = None
        if difference.everything:
            self._update_static_clusters()
        else:
            ports = self.readers.of(difference.facts) | difference.called
        readers = self.readers
        come, gone = self._update_listeners(ports, before)
        names = {**come, **self.builder.reading(self.ports, difference)}
        unread = set(gone.values())
        unread.difference_update(self.builder.routed_on(self.ports, unread).values())
        cached = self.cached
        self.cached = cached.without(gone, unread).following(difference, self.builder.routing)
        self._update_routes(names, gone)
        listened = frozenset(self.readers.differing(readers))
        return Step(difference, listened, come, gone.keys(), cached)

    def copy(self) -> OutboundResources:
        """Return a copy that can be updated separately."""
        made = copy(self)
        made.cached = copy(self.cached)
        made.gateway_routes = self.gateway_routes.copy()
        return made

    def build(self) -> Iterator[None]:
        """Build everything, in steps that each cost some services or ports."""
        services, served = iter(self.scope.services), {}
        while some := tuple(islice(services, _SERVICES_A_STEP)):
            served.update({each.key: self.builder.of_service(each) for each in some})
            yield
        self._serve(served)
        self._update_static_clusters()
        if self.profile.is_router:
            return
        self._update_listeners(None, self.builder)
        names = iter(self.builder.fetched(self.ports, self.ports).items())
        while ports := dict(islice(names, _PORTS_A_STEP)):
            yield
            self._update_routes(ports)

    def _update_static_clusters(self) -> None:
        made = self.builder.static_clusters()
        gone = self._static_names.difference(cluster.name for cluster in made)
        self._update_secrets(
            self._static_names, {each.name: names for each in made if (names := secret_references(each))}
        )
        self._static_names = frozenset(cluster.name for cluster in made)
        self.clusters = changed_collection(self.clusters, made, gone)

    def _update_clusters(self, services: frozenset[ServiceKey], endpoints: frozenset[ServiceKey]) -> None:
        """Build the clusters and load assignments of `services`, and of the known services in `endpoints`."""
        builder = self.builder
        known = {
            key: builder.service(key) for key in services.union(filter(self.served.__contains__, endpoints))
        }
        self._serve({key: None if each is None else builder.of_service(each) for key, each in known.items()})

    def _serve(self, made: Mapping[ServiceKey, ServiceResources | None]) -> None:
        """Replace the clusters and load assignments of these services. None: the service is gone."""
        now = {key: each for key, each in made.items() if each is not None}
        before = [each for each in map(self.served.get, made) if each is not None] if self.served else ()
        self.served = self.served.updated(now, made.keys() - now.keys())
        if self.builder.hosts:
            self._update_passthrough(made)
        clusters = [cluster for each in now.values() for cluster in each.all_clusters]
        gone = [cluster.name for each in before for cluster in each.all_clusters]
        self._update_secrets(gone, dict(chain.from_iterable([each.secrets for each in now.values()])))
        self.clusters = changed_collection(self.clusters, clusters, gone)
        self.endpoints = changed_collection(
            self.endpoints,
            [assignment for each in now.values() for assignment in each.all_assignments],
            [assignment.name for each in before for assignment in each.all_assignments],
        )

    def _update_secrets(self, gone: Iterable[str], now: Mapping[str, SecretNames]) -> None:
        """Record the secrets that clusters ask for `now`, and forget those of the clusters in `gone`."""
        edit = self.secrets_of.edit()
        for name in gone:
            if name not in now:
                edit.discard(name)
        for name, names in now.items():
            if edit.get(name) != names:
                edit.put(name, names)
        before, self.secrets_of = self.secrets_of, edit.finish()
        if self.secrets_of is not before:
            self.secrets = all_secrets(self.secrets_of.values())

    def _update_passthrough(self, keys: Iterable[ServiceKey]) -> None:
        """Update the auto-passthrough filter chains of these services."""
        changes: dict[str, PassthroughChains | None] = {}
        for key in keys:
            service = self.builder.service(key)
            chains = None
            if service is not None:
                chains = self.builder.passthrough_chains(self.served[key])
            if chains is not None:
                changes[key[1]] = chains
            # A service of a different namespace may have the hostname now; it keeps or gets its chains.
            elif service is not None or self.scope.service(key[1]) is None:
                changes.setdefault(key[1])
        self.passthrough = self.passthrough.updated(changes)

    def _update_listeners(
        self, numbers: AbstractSet[int] | None, before: OutboundBuilder
    ) -> tuple[_Fetched, _Fetched]:
        """Build the listeners of these ports (None: of all ports); `before` built the current ones. Return
        the route configurations that listeners newly fetch, and those that none fetches any more."""
        if numbers is not None and not numbers:
            return {}, {}
        listeners = self.builder.listeners()
        ports = listeners.ports | self.ports.keys() if numbers is None else numbers
        fetched = before.fetched(self.ports, ports)
        made: list[Resource] = []
        gone: list[str] = []
        edit, read = self.ports.edit(), {}
        for number in sorted(ports):
            known, built = edit.get(number), listeners.build(number)
            now, read[number] = built.port, built.read
            if known is not None:
                gone += [spec.name for spec in known.specs.values()]
            made += built.resources
            if now.specs or now.diagnostics:
                edit.put(number, now)
            else:
                edit.discard(number)
        self.ports, self.readers = edit.finish(), self.readers.reading(read)
        told = tuple([found for number in sorted(self.ports) for found in self.ports[number].diagnostics])
        if told != self.diagnostics:
            self.diagnostics = told
        self.listeners = changed_collection(self.listeners, made, gone)
        fetching = self.builder.fetched(self.ports, ports)
        return (
            dict(fetching.items() - fetched.items()),
            {name: fact for name, fact in fetched.items() if name not in fetching},
        )

    def _update_routes(self, names: Mapping[str, Routed], gone: Iterable[str] = ()) -> None:
        build, cached = self.builder.route_configuration, self.cached
        made = [build(name, fact, cached) for name, fact in names.items()]
        self.routes = changed_collection(self.routes, made, gone)
