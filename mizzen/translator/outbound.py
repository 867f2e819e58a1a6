"""What a sidecar or gateway may call: the part of its resources that all proxies of one profile share.

Built once for each profile and then kept up to date: a change costs the services, rules and endpoints that it
touches, not the size of the mesh. That what results is the same as a build from nothing is a property test
(tests/properties).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from copy import copy
from functools import partial
from itertools import islice
from typing import Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.difference import MeshDifference
from mizzen.mesh.hosts import matches
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.destination_rules import MergedDestinationRule
from mizzen.mesh.rules.peer_authentication import CALLED_IN_PLAIN_TEXT
from mizzen.mesh.scope.sidecar_scope import EgressListener, SidecarScope, differing_rules
from mizzen.mesh.service import EndpointPool, Service
from mizzen.mesh.snapshot import Mesh
from mizzen.persistent import LayeredDict
from mizzen.translator.base.changed_collection import changed_collection
from mizzen.translator.base.cluster_names import (
    BLACK_HOLE_CLUSTER,
)
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.proxy_settings import mesh_config_of_proxy
from mizzen.translator.base.route_settings import ByIdentity
from mizzen.translator.clusters.outbound import outbound_clusters, outbound_clusters_key
from mizzen.translator.clusters.static import static_clusters
from mizzen.translator.endpoints.assignments import load_assignments, load_assignments_key
from mizzen.translator.listeners.auto_passthrough import (
    NOTHING_PASSED,
    PassedChain,
    is_passed,
    passed_chains,
)
from mizzen.translator.listeners.messages import (
    VIRTUAL_OUTBOUND,
    outbound_listener,
    virtual_outbound_listener,
)
from mizzen.translator.listeners.outbound import (
    ListenerSpec,
    OutboundListenerBuilder,
    PortListeners,
)
from mizzen.translator.listeners.tcp_proxy import TcpTarget, plain_target
from mizzen.translator.listeners.unknown_destinations import unknown_target
from mizzen.translator.part_origins import OutboundParts
from mizzen.translator.routes.sidecar import CarriedRoutes, port_routed, sidecar_route_configuration
from mizzen.translator.routes.virtual_hosts import ANY_PORT
from mizzen.translator.shared_resources import SharedResources
from mizzen.translator.tls.secret_references import NO_SECRETS, SecretNames, all_secrets, secret_references
from mizzen.translator.touched import ServedService, ServiceKey, Touched
from mizzen.translator.touched_ports import listened_ports, routed_ports
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
        self._hosts = hosts
        self._memo = memo
        self._mesh = mesh
        self._scope = mesh.scope(profile)
        self._served: LayeredDict[ServiceKey, ServedService] = LayeredDict()
        self._static_names: frozenset[str] = frozenset()
        self._secrets_of: LayeredDict[str, SecretNames] = LayeredDict()
        self.secrets = NO_SECRETS
        self._listeners: LayeredDict[int, PortListeners] = LayeredDict()
        self.diagnostics: tuple[Diagnostic, ...] = ()
        self._carried = CarriedRoutes()
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
            self._scope.sidecar,
            self._scope if self.profile.is_router else None,
            self.passed,
            self.mesh_config,
        )

    @property
    def mesh(self) -> Mesh:
        """The mesh that they are up to date with."""
        return self._mesh

    @property
    def scope(self) -> SidecarScope:
        """What the profile sees of the mesh."""
        return self._scope

    @property
    def mesh_config(self) -> MeshConfig:
        """The mesh's configuration, with the ProxyConfig that the proxies of the profile bring."""
        return mesh_config_of_proxy(self._mesh.mesh_config, self.profile.proxy_config, self._memo)

    @property
    def parts(self) -> OutboundParts:
        """What they are made of, to find where their parts come from."""
        return OutboundParts(self._listeners, self._scope, self.mesh_config, self._memo, self._carried)

    def update(self, mesh: Mesh) -> None:
        """Bring everything to `mesh`, which has the same settings. An exception leaves everything as it was
        before."""
        before = {name: getattr(self, name) for name in _REPLACED}
        try:
            scope, difference = self._scope, mesh.difference(self._mesh)
            self._mesh, self._scope = mesh, mesh.scope(self.profile)
            self._follow(self._touched(scope, difference))
        except Exception:
            for name, value in before.items():
                setattr(self, name, value)
            raise

    def _follow(self, touched: Touched) -> None:
        """Bring what is touched up to date."""
        before = touched.before
        self._update_clusters(touched.clusters, touched.endpoints)
        if self.profile.is_router:
            return
        if before.outbound_traffic_policy != self._scope.outbound_traffic_policy:
            self._update_static_clusters()
        numbers = listened_ports(touched, self._scope, self._listeners, self._served)
        listened, gone = (set(), set()) if numbers == set() else self._update_listeners(numbers)
        self._update_routes(self._route_names(touched, listened), gone)

    def copy(self) -> OutboundResources:
        """Return the same resources, to be updated by themselves."""
        made = copy(self)
        made._carried = self._carried.copy()
        return made

    def with_labels(self, profile: OutboundProfile) -> OutboundResources:
        """Return the resources of a profile that differs in nothing but its labels, and sees the same: what
        looks at labels is made anew, all else is shared."""
        made = copy(self)
        made.profile, made._scope = profile, self._mesh.scope(profile)
        made._carried = self._carried.for_other_labels()
        made._follow(made._touched_by_labels(self._scope))
        return made

    def _touched_by_labels(self, before: SidecarScope) -> Touched:
        rules, index = self._mesh.virtual_service_index, self._mesh.destination_rule_index
        hosts = frozenset(index.host_of(self._mesh.document(key)) for key in index.labelled)
        looking = frozenset(self._candidates(hosts))
        return Touched(
            frozenset(),
            tuple(rule for rule in rules.labelled.values() if self._scope.imports(rule)),
            frozenset(),
            looking,
            hosts | {host for _, host in looking},
            self._with_aliases(hosts | {host for _, host in looking}),
            frozenset(),
            before=before,
            scope=False,
        )

    def build(self) -> Iterator[None]:
        """Build everything, in steps that each cost some services or ports."""
        self._update_static_clusters()
        keys = [service.key for service in self._scope.services]
        # What a gateway passes on is joined anew at each step, so there it is one.
        size = len(keys) if self._hosts else _SERVICES_A_STEP
        for at in range(0, len(keys), size or 1):
            self._update_clusters(frozenset(keys[at : at + size]), frozenset())
            yield
        if self.profile.is_router:
            return
        self._update_listeners(None)
        names = iter(self._names_on(self._listeners))
        while some := tuple(islice(names, _PORTS_A_STEP)):
            yield
            self._update_routes(some)

    def _update_static_clusters(self) -> None:
        policy = self._scope.outbound_traffic_policy
        made = static_clusters(self.profile, self._mesh.mesh_config, policy)
        gone = self._static_names.difference(cluster.name for cluster in made)
        self._static_names = frozenset(cluster.name for cluster in made)
        self._update_secrets(made, gone)
        self.clusters = changed_collection(self.clusters, made, gone)

    def _touched(self, before: SidecarScope, difference: MeshDifference) -> Touched:
        services = set(difference.services)
        if before.services is not self._scope.services:
            services.update(self._moved_services(before))
        hosts = difference.destination_hosts
        destination_rules = frozenset(
            key
            for key in self._candidates(hosts)
            if key not in services
            and self._served[key].rule is not self._scope.destination_rule(self._served[key].service)
        )
        destination_hosts = hosts | {host for _, host in destination_rules}
        return Touched(
            frozenset(services),
            differing_rules(before, self._scope),
            difference.endpoints,
            destination_rules,
            destination_hosts,
            self._with_aliases({host for _, host in services} | destination_hosts),
            frozenset(key for key in difference.peers if key in self._served),
            before=before,
            scope=before.sidecar is not self._scope.sidecar
            or before.outbound_traffic_policy != self._scope.outbound_traffic_policy,
        )

    def _with_aliases(self, hosts: Set[str]) -> frozenset[str]:
        of = self._mesh.registry.aliases.of
        return frozenset(hosts).union(*(of[host] for host in hosts & of.keys()) if of else ())

    def _moved_services(self, before: SidecarScope) -> Iterable[ServiceKey]:
        """Return the keys of services that are not the same in both scopes."""
        gone, come = before.services.difference(self._scope.services)
        return [service.key for service in set(gone).symmetric_difference(come)]

    def _candidates(self, hosts: frozenset[str]) -> Iterable[ServiceKey]:
        """Return the services whose destination rule may be another now."""
        if any(host.startswith("*") for host in hosts):
            wildcards = [host for host in hosts if host.startswith("*")]
            return [
                key
                for key in self._served
                if key[1] in hosts or any(matches(host, key[1]) for host in wildcards)
            ]
        found = (self._scope.service(host) for host in hosts)
        return [service.key for service in found if service is not None and service.key in self._served]

    def _update_clusters(self, services: frozenset[ServiceKey], endpoints: frozenset[ServiceKey]) -> None:
        """Build the clusters and load assignments of `services`, and what follows the endpoints of others."""
        clusters: list[Resource] = []
        assignments: list[Resource] = []
        gone_clusters: list[str] = []
        gone_assignments: list[str] = []
        in_scope = self._in_scope(services | endpoints)
        served = self._served.edit()
        for key in services.union(key for key in endpoints if key in served):
            before, service = served.get(key), in_scope.get(key)
            made = None if service is None else self._resources_of(service)
            if before is not None:
                gone_clusters += before.clusters
                gone_assignments += before.assignments
            if made is None:
                served.discard(key)
                continue
            served.put(key, made[0])
            clusters += made[1]
            assignments += made[2]
        gone_clusters = [*set(gone_clusters).difference(each.name for each in clusters)]
        self._served = served.finish()
        if self._hosts:
            self._update_passed(services, in_scope)
        self._update_secrets(clusters, gone_clusters)
        self.clusters = changed_collection(self.clusters, clusters, gone_clusters)
        self.endpoints = changed_collection(self.endpoints, assignments, gone_assignments)

    def _update_secrets(self, clusters: Iterable[Resource], gone: Iterable[str]) -> None:
        edit = self._secrets_of.edit()
        for name in gone:
            edit.discard(name)
        for cluster in clusters:
            names = secret_references(cluster)
            if names:
                edit.put(cluster.name, names)
            else:
                edit.discard(cluster.name)
        before, self._secrets_of = self._secrets_of, edit.finish()
        if self._secrets_of is not before:
            self.secrets = all_secrets(self._secrets_of.values())

    def _in_scope(self, keys: frozenset[ServiceKey]) -> dict[ServiceKey, Service]:
        found = {}
        for key in keys:
            service = self._scope.service(key[1])
            if service is not None and service.key == key:
                found[key] = service
        return found

    def _resources_of(
        self, service: Service
    ) -> tuple[ServedService, tuple[Resource, ...], tuple[Resource, ...]]:
        rule = self._scope.destination_rule(service)
        pool = self._mesh.endpoints(service)
        clusters, assignments = self._made_of(service, rule, pool, sni_dnat=False)
        if self._hosts and is_passed(service, self._hosts):
            more_clusters, more_assignments = self._made_of(service, rule, pool, sni_dnat=True)
            clusters, assignments = clusters + more_clusters, assignments + more_assignments
        names, assigned = tuple(each.name for each in clusters), tuple(each.name for each in assignments)
        # Mostly the same, and there are many of these.
        served = ServedService(service, rule, names, names if assigned == names else assigned)
        return served, clusters, assignments

    def _made_of(
        self, service: Service, rule: MergedDestinationRule | None, pool: EndpointPool, *, sni_dnat: bool
    ) -> tuple[tuple[Resource, ...], tuple[Resource, ...]]:
        inputs = (service, rule, pool, self.profile, self._mesh.mesh_config)
        # What a gateway passes on is other clients' mutual TLS, whatever it has itself.
        speaks = sni_dnat or self.profile.has_certificate
        peers = self._mesh.service_peers(service) if speaks else CALLED_IN_PLAIN_TEXT
        clusters = self._memo.get(
            outbound_clusters_key(*inputs, peers=peers, sni_dnat=sni_dnat),
            lambda: outbound_clusters(*inputs, peers=peers, sni_dnat=sni_dnat),
        )
        # Pools come and go quickly and may be large, so what is made of one goes with it.
        memo = self._memo.beside(pool) if pool.endpoints else self._memo
        without_pool = (service, rule, None, self.profile, self._mesh.mesh_config)
        assignments = memo.get(
            load_assignments_key(*without_pool, peers=peers, sni_dnat=sni_dnat),
            lambda: load_assignments(*inputs, peers=peers, sni_dnat=sni_dnat),
        )
        return clusters, assignments

    def _update_passed(self, keys: Iterable[ServiceKey], in_scope: Mapping[ServiceKey, Service]) -> None:
        """Bring the filter chains of services that are passed on up to date."""
        mesh_config = self.mesh_config
        changes: dict[str, tuple[PassedChain, ...]] = {}
        for key in keys:
            service = in_scope.get(key)
            if service is None or not is_passed(service, self._hosts):
                # The hostname may be that of another namespace's service, which has its chains or gets them.
                if service is not None or self._scope.service(key[1]) is None:
                    changes.setdefault(key[1], ())
                continue
            rule = self._served[key].rule
            inputs = (service, rule, self.profile, mesh_config)
            changes[key[1]] = self._memo.get(
                ("chains that pass on", service, rule, self.profile.idle_timeout, ByIdentity(mesh_config)),
                partial(passed_chains, *inputs),
            )
        self.passed = self.passed.updated(changes)

    def _update_listeners(self, numbers: Iterable[int] | None) -> tuple[set[int], set[str]]:
        """Build the listeners of these ports, None: of all. Return the ports, and the names of the route
        configurations that nobody fetches any more."""
        builder = OutboundListenerBuilder(self._scope, self.mesh_config, self._mesh.endpoints)
        unknown = unknown_target(self._scope)
        made: list[Resource] = []
        gone: list[str] = []
        names: set[str] = set()
        needed: set[str] = set()
        ports = builder.ports | self._listeners.keys() if numbers is None else set(numbers)
        edit = self._listeners.edit()
        for number in sorted(ports):
            before, now = edit.get(number), builder.build(number)
            if before is not None:
                gone += [spec.name for spec in before.specs.values()]
                names |= before.route_config_names
            made += [self._listener(spec, unknown) for spec in now.specs.values()]
            needed |= now.route_config_names
            if now.specs or now.diagnostics:
                edit.put(number, now)
            else:
                edit.discard(number)
        if numbers is None and self.profile.interception_mode != "NONE":
            made.append(self._virtual_outbound(unknown))
        self._listeners = edit.finish()
        self.diagnostics = tuple(
            found for number in sorted(self._listeners) for found in self._listeners[number].diagnostics
        )
        self.listeners = changed_collection(self.listeners, made, gone)
        return ports, names - needed

    def _virtual_outbound(self, unknown: TcpTarget) -> Resource:
        black_hole = plain_target(BLACK_HOLE_CLUSTER)
        dynamic_dns = self._scope.outbound_traffic_policy == "ALLOW_ANY_DYNAMIC_DNS"
        message = virtual_outbound_listener(
            self.profile, self.mesh_config, unknown, black_hole, dynamic_dns=dynamic_dns
        )
        return Resource.of(message, name=VIRTUAL_OUTBOUND)

    def _listener(self, spec: ListenerSpec, unknown: TcpTarget) -> Resource:
        def build() -> Resource:
            message = outbound_listener(spec, self.profile, self.mesh_config, unknown)
            return Resource.of(message, origins=spec.origins)

        return self._memo.get(("outbound listener", spec, unknown, self.profile), build)

    def _route_names(self, touched: Touched, listened: set[int]) -> Iterable[tuple[str, EgressListener]]:
        """Return the names of the route configurations that may be different now, each with the egress
        listener that it is of. `listened` are the ports whose listeners were built."""
        before = touched.before
        proxy = self._scope.egress_proxy
        if touched.scope or (
            proxy is not None
            and before.destination_host(proxy.host) != self._scope.destination_host(proxy.host)
        ):
            return self._names_on(self._listeners)
        ports = routed_ports(touched, self._scope)
        any_port = self._any_port_numbers() if ANY_PORT in ports else ()
        return [
            (name, egress)
            for name, egress in self._names_on({*ports, *listened, *any_port})
            if name not in self.routes or port_routed(name, egress) in ports
        ]

    def _names_on(self, ports: Iterable[int]) -> Iterable[tuple[str, EgressListener]]:
        """Return the names of the route configurations that listeners of these ports fetch."""
        egress = self._scope.egress_listeners
        found = [self._listeners[number] for number in sorted(ports) if number in self._listeners]
        return [(name, egress[of.routed_by[name]]) for of in found for name in sorted(of.route_config_names)]

    def _any_port_numbers(self) -> Iterable[int]:
        """Return the ports of those listeners whose route configurations may be for every port."""
        egress = self._scope.egress_listeners
        own = [listener.port.number for listener in egress if listener.port is not None]
        return (*own, self.profile.http_proxy_port or self.mesh_config.proxy_http_port)

    def _update_routes(self, names: Iterable[tuple[str, EgressListener]], gone: Iterable[str] = ()) -> None:
        mesh_config = self.mesh_config
        made = [
            sidecar_route_configuration(name, egress, self._scope, mesh_config, self._memo, self._carried)
            for name, egress in names
        ]
        if gone:
            self._carried.forget(gone)
        self.routes = changed_collection(self.routes, made, gone)


_REPLACED: Final = (
    "passed",
    "_mesh",
    "_scope",
    "_served",
    "_static_names",
    "_secrets_of",
    "secrets",
    "_listeners",
    "diagnostics",
    *("clusters", "endpoints", "listeners", "routes"),
)
"""What an update replaces, and puts back if it fails. `_carried` may stay as it is: it knows which scope it
is of."""
