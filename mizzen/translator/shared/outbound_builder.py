"""Building the outbound resources of one profile: for a service, for a port, or for a route configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from copy import copy
from functools import cached_property
from typing import Final, NamedTuple

from mizzen.mesh.changes.scope_difference import ScopeDifference
from mizzen.mesh.facts import Fact, Meant, Routed
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.recorded.scope import RecordedScope
from mizzen.mesh.rules.peer_authentication import CALLED_IN_PLAIN_TEXT
from mizzen.mesh.scope.virtual_hosts import ANY_PORT
from mizzen.mesh.service import Service
from mizzen.mesh.services.registry import ServiceKey
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.by_identity import ByIdentity
from mizzen.translator.base.cluster_names import BLACK_HOLE_CLUSTER
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.proxy_settings import mesh_config_of_proxy
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.clusters.service_resources import ServiceResources, ServiceTranslator
from mizzen.translator.clusters.static import static_clusters
from mizzen.translator.listeners.auto_passthrough import (
    PassthroughChains,
    is_passed_through,
    passthrough_chains,
)
from mizzen.translator.listeners.messages import (
    VIRTUAL_OUTBOUND,
    ListenerTraits,
    outbound_listener,
    virtual_outbound_listener,
)
from mizzen.translator.listeners.outbound import ListenerSpec, OutboundListenerBuilder, PortListeners
from mizzen.translator.listeners.tcp_proxy import TcpTarget, plain_target
from mizzen.translator.listeners.unknown_destinations import unknown_target
from mizzen.translator.routes.port_routes import CachedRoutes, Routing
from mizzen.translator.routes.sidecar import routed, sidecar_route_configuration
from mizzen.xds.resource import Resource

VIRTUAL_PORT: Final = -1
"""The number, in place of a port, of the listener for captured connections (virtualOutbound)."""


class OutboundBuilder:
    """Builds resources for the proxies of one profile in one snapshot of the mesh. `hosts` are the hosts of a
    gateway's AUTO_PASSTHROUGH servers."""

    def __init__(self, mesh: Mesh, profile: OutboundProfile, hosts: tuple[str, ...], memo: Memo) -> None:
        self.mesh = mesh
        self.profile = profile
        self.hosts = hosts
        self.memo = memo
        self.scope = mesh.scope(profile)
        self.mesh_config = mesh_config_of_proxy(mesh.mesh_config, profile.proxy_config, memo)

    @cached_property
    def _services(self) -> ServiceTranslator:
        return ServiceTranslator(self.profile, self.mesh.mesh_config, self.memo)

    def advanced(self, mesh: Mesh) -> OutboundBuilder:
        """Return the builder for a later snapshot whose difference does not concern the scope."""
        made = copy(self)
        made.mesh, made.scope = mesh, mesh.advanced(self.scope)
        return made

    def service(self, key: ServiceKey) -> Service | None:
        """Return the service with this namespace and hostname; None if it is not in the scope of the
        proxies."""
        service = self.scope.service(key[1])
        return service if service is not None and service.key == key else None

    def static_clusters(self) -> tuple[Resource, ...]:
        """Return the clusters that do not belong to a service."""
        return static_clusters(self.profile, self.mesh.mesh_config, self.scope.outbound_traffic_policy)

    def of_service(self, service: Service) -> ServiceResources:
        """Return the clusters and load assignments of a service."""
        rule = self.scope.destination_rule(service)
        pool, peers = self.mesh.endpoints(service), CALLED_IN_PLAIN_TEXT
        if self.profile.has_certificate:
            peers = self.mesh.service_peers(service)
        made = self._services.resources(service, rule, pool, peers)
        if self.hosts and is_passed_through(service, self.hosts):
            # A gateway forwards its clients' mutual TLS, even if it has no certificate itself.
            peers = self.mesh.service_peers(service)
            passthrough = self._services.resources(service, rule, pool, peers, sni_dnat=True)
            return made._replace(passthrough=passthrough)
        return made

    def passthrough_chains(self, made: ServiceResources) -> PassthroughChains | None:
        """Return the auto-passthrough filter chains of a service; None if it has none."""
        if made.passthrough is None:
            return None
        of, settings = made.passthrough.clusters.of, ByIdentity(self.mesh_config)
        return self.memo(passthrough_chains, of, self.profile.idle_timeout, settings)

    def listeners(self) -> ListenersByPort:
        """Return a builder for the listeners of single ports."""
        return ListenersByPort(self)

    def fetched(self, listeners: Mapping[int, PortListeners], numbers: Iterable[int]) -> dict[str, Routed]:
        """Return the names of the route configurations that the listeners of these ports fetch, each with the
        fact that it reads: the routes of a port."""
        egress, found = self.scope.egress_listeners, {}
        for number in sorted(listeners.keys() & numbers):
            of = listeners[number]
            for name in sorted(of.route_config_names):
                found[name] = routed(name, egress[of.routed_by[name]], self.scope)
        return found

    def reading(
        self, listeners: Mapping[int, PortListeners], difference: ScopeDifference
    ) -> dict[str, Routed]:
        """Return the names of the route configurations that read facts which differ: about their ports, or
        about the host of the egress proxy. Each has the fact of its port."""
        proxy = self.scope.egress_proxy
        if difference.everything or (proxy is not None and Meant(proxy.host) in difference.facts):
            return self.fetched(listeners, listeners)
        return self.routed_on(listeners, set(difference.routed))

    def routed_on(
        self, listeners: Mapping[int, PortListeners], facts: AbstractSet[Routed]
    ) -> dict[str, Routed]:
        """Return the names of the route configurations that read the routes of these ports."""
        numbers = {fact.number for fact in facts}
        if ANY_PORT in numbers:
            egress = self.scope.egress_listeners
            numbers.update(each.port.number for each in egress if each.port is not None)
            numbers.add(self.profile.http_proxy_port or self.mesh_config.proxy_http_port)
        return {name: fact for name, fact in self.fetched(listeners, numbers).items() if fact in facts}

    def route_configuration(self, name: str, fact: Routed, cached: CachedRoutes) -> Resource:
        """Return the route configuration of that name, which reads `fact`."""
        egress = self.scope.egress_listeners[fact.position]
        return sidecar_route_configuration(name, egress, self.routing, cached)

    @cached_property
    def routing(self) -> Routing:
        """The values that the routes of all ports depend on."""
        return Routing(self.scope, RouteSettings.of(self.mesh_config), self.memo)


class BuiltListeners(NamedTuple):
    """The listeners of a port, as plain values and as resources, and the facts that building them has
    read."""

    port: PortListeners
    resources: list[Resource]
    read: AbstractSet[Fact]


class ListenersByPort:
    """Builds the listeners of single ports."""

    def __init__(self, builder: OutboundBuilder) -> None:
        self._profile = builder.profile
        self._mesh_config = builder.mesh_config
        self._settings = ByIdentity(builder.mesh_config)
        self._traits = ListenerTraits.of(builder.profile)
        self._memo = builder.memo
        self._scope = RecordedScope(builder.scope, builder.mesh.endpoints)
        self._layout = OutboundListenerBuilder(self._scope, self._mesh_config)

    @property
    def ports(self) -> set[int]:
        """The ports that may have listeners."""
        captures = self._profile.interception_mode != "NONE"
        return self._layout.ports | {VIRTUAL_PORT} if captures else self._layout.ports

    def build(self, number: int) -> BuiltListeners:
        """Return the listeners of a port."""
        unknown = unknown_target(self._scope)
        if number == VIRTUAL_PORT:
            port, resources = PortListeners(), [self._virtual_outbound(unknown)]
        else:
            port = self._layout.build(number)
            resources = [self._listener(spec, unknown) for spec in port.specs.values()]
        return BuiltListeners(port, resources, self._scope.taken())

    def _listener(self, spec: ListenerSpec, unknown: TcpTarget) -> Resource:
        return self._memo(outbound_listener, spec, unknown, self._traits, self._settings)

    def _virtual_outbound(self, unknown: TcpTarget) -> Resource:
        dynamic_dns = self._scope.outbound_traffic_policy == "ALLOW_ANY_DYNAMIC_DNS"
        message = virtual_outbound_listener(
            self._profile,
            self._mesh_config,
            unknown,
            plain_target(BLACK_HOLE_CLUSTER),
            dynamic_dns=dynamic_dns,
        )
        return Resource.of(message, name=VIRTUAL_OUTBOUND)
