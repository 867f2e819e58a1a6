"""What a sidecar or gateway may call: the part of its resources that all proxies of one profile share.

Built once for each profile and then kept up to date: a change costs the services, rules and endpoints that it
touches, not the size of the mesh. That what results is the same as a build from nothing is a property test
(tests/properties).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from itertools import islice
from typing import Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.mesh_config import MeshConfig
from mizzen.incremental import Readers
from mizzen.mesh.difference import MeshDifference
from mizzen.mesh.hosts import matches
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.recorded_scope import Fact
from mizzen.mesh.scope.egress_listener import EgressListener
from mizzen.mesh.scope.sidecar_scope import SidecarScope, differing_rules
from mizzen.mesh.snapshot import Mesh
from mizzen.persistent import LayeredDict
from mizzen.translator.base.changed_collection import changed_collection
from mizzen.translator.base.memo import Memo
from mizzen.translator.clusters.service_resources import ServiceResources
from mizzen.translator.listeners.auto_passthrough import NOTHING_PASSED, PassedChains
from mizzen.translator.listeners.outbound import PortListeners
from mizzen.translator.outbound_builder import OutboundBuilder
from mizzen.translator.part_origins import OutboundParts
from mizzen.translator.routes.gateway import CarriedGatewayRoutes
from mizzen.translator.routes.port_routes import CarriedRoutes
from mizzen.translator.routes.sidecar import port_routed
from mizzen.translator.shared_resources import SharedResources
from mizzen.translator.tls.secret_references import NO_SECRETS, SecretNames, all_secrets, secret_references
from mizzen.translator.touched import ServiceKey, Step, Touched
from mizzen.translator.touched_ports import routed_ports
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection

_SERVICES_A_STEP: Final = 50
_PORTS_A_STEP: Final = 4
"""What a step of `build` takes: some milliseconds."""


class OutboundResources:
    """The clusters, endpoints, listeners and routes of one profile. `hosts` are those for which a gateway
    passes on traffic of the mesh by SNI (AUTO_PASSTHROUGH); `passed` has the chains of these services.

    They are empty until `build` has come to its end."""

    def __init__(self, mesh: Mesh, profile: OutboundProfile, hosts: tuple[str, ...], memo: Memo) -> None:
        self.profile = profile
        self.passed = NOTHING_PASSED
        self.builder = OutboundBuilder(mesh, profile, hosts, memo)
        self.served: LayeredDict[ServiceKey, ServiceResources] = LayeredDict()
        self._static_names: frozenset[str] = frozenset()
        self.secrets_of: LayeredDict[str, SecretNames] = LayeredDict()
        self.secrets = NO_SECRETS
        self.ports: LayeredDict[int, PortListeners] = LayeredDict()
        self.readers: Readers[Fact, int] = Readers()
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self.carried = CarriedRoutes()
        self.gateway_routes: dict[str, CarriedGatewayRoutes] = {}
        self.step = Step(0)
        self.clusters = Collection(type_urls.CLUSTER, {})
        self.endpoints = Collection(type_urls.ENDPOINT, {})
        self.listeners = Collection(type_urls.LISTENER, {})
        self.routes = Collection(type_urls.ROUTE, {})

    @property
    def shared(self) -> SharedResources:
        """What there is of them now."""
        return SharedResources(
            self.clusters,
            self.endpoints,
            self.listeners,
            self.routes,
            self.diagnostics,
            self.secrets,
            self.scope.sidecar,
            self.scope if self.profile.is_router else None,
            self.passed,
            self.mesh_config,
            self.gateway_routes,
        )

    @property
    def mesh(self) -> Mesh:
        """The mesh that they are up to date with."""
        return self.builder.mesh

    @property
    def scope(self) -> SidecarScope:
        """What the profile sees of the mesh."""
        return self.builder.scope

    @property
    def mesh_config(self) -> MeshConfig:
        """The mesh's configuration, with the ProxyConfig that the proxies of the profile bring."""
        return self.builder.mesh_config

    @property
    def parts(self) -> OutboundParts:
        """What they are made of, to find where their parts come from."""
        return OutboundParts(self.ports, self.builder, self.carried)

    def update(self, mesh: Mesh) -> None:
        """Bring everything to `mesh`, which has the same settings. An exception leaves everything as it was
        before."""
        made = copy(self)
        made.builder = OutboundBuilder(mesh, self.profile, self.builder.hosts, self.builder.memo)
        made._follow(made._touched(self.scope, mesh.difference(self.mesh)))
        vars(self).update(vars(made))

    def _follow(self, touched: Touched) -> None:
        """Bring what is touched up to date."""
        before = touched.before
        self._update_clusters(touched.clusters, touched.endpoints)
        if self.profile.is_router:
            return
        if before.outbound_traffic_policy != self.scope.outbound_traffic_policy:
            self._update_static_clusters()
        facts, numbers = touched.facts(self.scope), None
        if facts is not None:
            numbers = self.readers.of(facts.among(self.readers)).union(facts.ports)
        listened, gone = (set(), set()) if numbers == set() else self._update_listeners(numbers)
        names = self._route_names(touched, listened)
        self.carried = self.carried.following(touched.route_changes)
        self._update_routes(names, gone)
        self.step = touched.step(self.step.number + 1, facts, names, gone)

    def copy(self) -> OutboundResources:
        """Return the same resources, to be updated by themselves."""
        made = copy(self)
        made.carried = self.carried.copy()
        return made

    def build(self) -> Iterator[None]:
        """Build everything, in steps that each cost some services or ports."""
        self._update_static_clusters()
        keys = [service.key for service in self.scope.services]
        # What a gateway passes on is joined anew at each step, so there it is one.
        size = len(keys) if self.builder.hosts else _SERVICES_A_STEP
        for at in range(0, len(keys), size or 1):
            self._update_clusters(frozenset(keys[at : at + size]), frozenset())
            yield
        if self.profile.is_router:
            return
        self._update_listeners(None)
        names = iter(self.builder.names_on(self.ports, self.ports))
        while some := tuple(islice(names, _PORTS_A_STEP)):
            yield
            self._update_routes(some)

    def _update_static_clusters(self) -> None:
        made = self.builder.static_clusters()
        gone = self._static_names.difference(cluster.name for cluster in made)
        self._update_secrets(
            self._static_names, {each.name: names for each in made if (names := secret_references(each))}
        )
        self._static_names = frozenset(cluster.name for cluster in made)
        self.clusters = changed_collection(self.clusters, made, gone)

    def _touched(self, before: SidecarScope, difference: MeshDifference) -> Touched:
        services = set(difference.services)
        if before.services is not self.scope.services:
            services.update(self._moved_services(before))
        hosts = difference.destination_hosts
        destination_rules = frozenset(
            key
            for key in self._candidates(hosts)
            if key not in services
            and self.served[key].rule is not self.scope.destination_rule(self.served[key].service)
        )
        destination_hosts = hosts | {host for _, host in destination_rules}
        return Touched(
            frozenset(services),
            differing_rules(before, self.scope),
            difference.endpoints,
            destination_rules,
            destination_hosts,
            self.builder.with_aliases({host for _, host in services} | destination_hosts),
            frozenset(key for key in difference.peers if key in self.served),
            before=before,
            scope=before.sidecar is not self.scope.sidecar
            or before.outbound_traffic_policy != self.scope.outbound_traffic_policy,
        )

    def _moved_services(self, before: SidecarScope) -> Iterable[ServiceKey]:
        """Return the keys of services that are not the same in both scopes."""
        gone, come = before.services.difference(self.scope.services)
        return [service.key for service in set(gone).symmetric_difference(come)]

    def _candidates(self, hosts: frozenset[str]) -> Iterable[ServiceKey]:
        """Return the services whose destination rule may be another now."""
        if any(host.startswith("*") for host in hosts):
            wildcards = [host for host in hosts if host.startswith("*")]
            return [
                key
                for key in self.served
                if key[1] in hosts or any(matches(host, key[1]) for host in wildcards)
            ]
        found = (self.scope.service(host) for host in hosts)
        return [service.key for service in found if service is not None and service.key in self.served]

    def _update_clusters(self, services: frozenset[ServiceKey], endpoints: frozenset[ServiceKey]) -> None:
        """Build the clusters and load assignments of `services`, and what follows the endpoints of others."""
        clusters: list[Resource] = []
        assignments: list[Resource] = []
        gone_clusters: list[str] = []
        gone_assignments: list[str] = []
        secrets: dict[str, SecretNames] = {}
        served = self.served.edit()
        for key in services.union(key for key in endpoints if key in served):
            before, service = served.get(key), self.builder.service(key)
            if before is not None:
                gone_clusters += [each.name for each in before.all_clusters]
                gone_assignments += [each.name for each in before.all_assignments]
            if service is None:
                served.discard(key)
                continue
            made = self.builder.of_service(service)
            served.put(key, made)
            clusters += made.all_clusters
            assignments += made.all_assignments
            secrets.update(made.secrets)
        self.served = served.finish()
        if self.builder.hosts:
            self._update_passed(services)
        self._update_secrets(gone_clusters, secrets)
        self.clusters = changed_collection(self.clusters, clusters, gone_clusters)
        self.endpoints = changed_collection(self.endpoints, assignments, gone_assignments)

    def _update_secrets(self, gone: Iterable[str], now: Mapping[str, SecretNames]) -> None:
        """Note which secrets clusters ask for `now`, in place of those whose names are `gone`."""
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

    def _update_passed(self, keys: Iterable[ServiceKey]) -> None:
        """Bring the filter chains of services that are passed on up to date."""
        changes: dict[str, PassedChains | None] = {}
        for key in keys:
            service = self.builder.service(key)
            chains = None
            if service is not None:
                chains = self.builder.passed_chains(self.served[key])
            if chains is not None:
                changes[key[1]] = chains
            # The hostname may be that of another namespace's service, which has its chains or gets them.
            elif service is not None or self.scope.service(key[1]) is None:
                changes.setdefault(key[1])
        self.passed = self.passed.updated(changes)

    def _update_listeners(self, numbers: Iterable[int] | None) -> tuple[set[int], set[str]]:
        """Build the listeners of these ports, None: of all. Return the ports, and the names of the route
        configurations that nobody fetches any more."""
        listeners = self.builder.listeners()
        made: list[Resource] = []
        gone: list[str] = []
        names: set[str] = set()
        needed: set[str] = set()
        ports = listeners.ports | self.ports.keys() if numbers is None else set(numbers)
        edit, read = self.ports.edit(), {}
        for number in sorted(ports):
            before, built = edit.get(number), listeners.build(number)
            now, read[number] = built.port, built.read
            if before is not None:
                gone += [spec.name for spec in before.specs.values()]
                names |= before.route_config_names
            made += built.resources
            needed |= now.route_config_names
            if now.specs or now.diagnostics:
                edit.put(number, now)
            else:
                edit.discard(number)
        self.ports, self.readers = edit.finish(), self.readers.reading(read)
        told = tuple([found for number in sorted(self.ports) for found in self.ports[number].diagnostics])
        if told != self.diagnostics:
            self.diagnostics = told
        self.listeners = changed_collection(self.listeners, made, gone)
        return ports, names - needed

    def _route_names(self, touched: Touched, listened: set[int]) -> list[tuple[str, EgressListener]]:
        """Return the names of the route configurations that may be different now, each with the egress
        listener that it is of. `listened` are the ports whose listeners were built."""
        before = touched.before
        proxy = self.scope.egress_proxy
        if touched.scope or (
            proxy is not None
            and before.destination_host(proxy.host) != self.scope.destination_host(proxy.host)
        ):
            return self.builder.names_on(self.ports, self.ports)
        ports = routed_ports(touched, self.scope)
        return [
            (name, egress)
            for name, egress in self.builder.names_on(self.ports, ports, listened)
            if name not in self.routes or port_routed(name, egress) in ports
        ]

    def _update_routes(self, names: Iterable[tuple[str, EgressListener]], gone: Iterable[str] = ()) -> None:
        made = [self.builder.route_configuration(name, egress, self.carried) for name, egress in names]
        if gone:
            self.carried.forget(gone)
        self.routes = changed_collection(self.routes, made, gone)
