"""The route configurations of a gateway: one for each plaintext port, one for each server that terminates
TLS.

Source: Istio's buildGatewayHTTPRouteConfig in pilot/pkg/networking/core/gateway.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from envoy.config.route.v3 import route_components_pb2

from mizzen.mesh.hosts import specificity, subset_of
from mizzen.mesh.virtual_services import VirtualServiceRule
from mizzen.translator.memo import Memo
from mizzen.translator.route import (
    RouteContext,
    RouteList,
    RouteOrigin,
    Source,
    asks_for_source,
    destination_hosts,
    virtual_service_routes,
)
from mizzen.translator.route_action import Destinations
from mizzen.translator.route_encoding import (
    EncodedVirtualHost,
    empty_route_configuration,
    encoded_routes,
    route_configuration_head,
    route_configuration_resource,
)
from mizzen.translator.route_settings import RouteSettings, route_settings
from mizzen.translator.virtual_hosts import domain_name

if TYPE_CHECKING:
    from mizzen.config.mesh_config import MeshConfig
    from mizzen.mesh.gateways import GatewayServer
    from mizzen.mesh.sidecar_scope import SidecarScope
    from mizzen.mesh.snapshot import Mesh
    from mizzen.xds.resource import Resource

_REQUIRE_TLS: Final = route_components_pb2.VirtualHost.ALL


@dataclass(slots=True)
class _Host:
    """A virtual host while it is put together: the lists of routes that it gets, in order."""

    name: str
    domain: str
    lists: list[RouteList] = field(default_factory=list)
    require_tls: bool = False


def gateway_route_configuration(
    name: str,
    servers: Sequence[GatewayServer],
    mesh: Mesh,
    scope: SidecarScope,
    mesh_config: MeshConfig,
    memo: Memo,
) -> Resource:
    """Return the route configuration `name` of a gateway: that of the servers which name it, oldest first.

    For each host that a server and a VirtualService bound to its Gateway have in common there is a virtual
    host with the routes of all such VirtualServices, one behind the other. No servers: an empty
    configuration.
    """
    if not servers:
        return memo.get(("empty route configuration", name), lambda: empty_route_configuration(name))
    settings = route_settings(mesh_config, memo)
    hosts = _hosts(servers, mesh, scope, settings, memo)
    encoded = tuple(_virtual_hosts(hosts, _port(servers[0]), settings, memo))
    lists = dict.fromkeys(routes for host in hosts for routes in host.lists)
    origins = tuple(chain.from_iterable(routes.places for routes in lists))

    def build() -> Resource:
        return route_configuration_resource(route_configuration_head(name), encoded, origins)

    return memo.get(("gateway route configuration", name, encoded, origins), build)


def gateway_route_origins(
    servers: Sequence[GatewayServer], mesh: Mesh, scope: SidecarScope, mesh_config: MeshConfig, memo: Memo
) -> dict[str, tuple[RouteOrigin, ...]]:
    """Return, for each virtual host of the servers' route configuration, its routes' names and their places.

    Hosts that share a virtual host have an entry each.
    """
    hosts = _hosts(servers, mesh, scope, route_settings(mesh_config, memo), memo)
    return {host.name: tuple(entry for routes in host.lists for entry in routes.origins) for host in hosts}


def _hosts(
    servers: Sequence[GatewayServer],
    mesh: Mesh,
    scope: SidecarScope,
    settings: RouteSettings,
    memo: Memo,
) -> list[_Host]:
    """Return the hosts of the servers with their routes, in the order in which they were met."""
    hosts: dict[str, _Host] = {}
    for server in servers:
        port = _port(server)
        redirect = server.server.tls is not None and server.server.tls.https_redirect
        for rule in mesh.virtual_services_for_gateway(server.gateway_name, scope.profile.namespace):
            common = intersection(_hosts_for(server, rule.config.namespace), rule.hosts)
            routes = _routes(rule, server, scope, settings, memo) if common else None
            if not routes:
                continue
            for name in common:
                host = hosts.setdefault(name.lower(), _Host(domain_name(name, port), name.lower()))
                host.lists.append(routes)
                host.require_tls = host.require_tls or redirect
        for _, name in server.hosts if redirect else ():
            host = hosts.setdefault(name.lower(), _Host(domain_name(name, port), name.lower()))
            host.require_tls = True
    return list(hosts.values())


def _port(server: GatewayServer) -> int:
    """Return the port that the Gateway says, which match conditions mean, not the one that is listened on."""
    return server.server.port.number if server.server.port is not None else 0


def _hosts_for(server: GatewayServer, namespace: str) -> list[str]:
    """Return the hosts of a server that VirtualServices of a namespace may serve."""
    return [host for required, host in server.hosts if required in ("", "*", namespace)]


def intersection(left: Iterable[str], right: Sequence[str]) -> list[str]:
    """Return what two sets of hosts have in common: of each pair the narrower, each once, in order.

    Hosts that are equal are found at once; only wildcards are compared one by one.
    """
    exact = set(right)
    wildcards = [host for host in right if host.startswith("*")]
    common: dict[str, None] = {}
    for host in left:
        if host == "*":
            common.update(dict.fromkeys(right))
        elif host.startswith("*"):
            common.update((other, None) for other in right if subset_of(other, host))
            common.update((host, None) for other in wildcards if subset_of(host, other))
        elif host in exact or any(subset_of(host, other) for other in wildcards):
            common[host] = None
    return list(common)


def _routes(
    rule: VirtualServiceRule,
    server: GatewayServer,
    scope: SidecarScope,
    settings: RouteSettings,
    memo: Memo,
) -> RouteList:
    hosts = destination_hosts(rule)
    rules = tuple(map(scope.destination_rule, hosts))
    services = tuple(map(scope.destination_service, hosts))
    profile = scope.profile
    source = Source(profile.namespace, profile.labels) if asks_for_source(rule) else Source("", ())
    port, tls = _port(server), server.server.tls is not None

    def build() -> RouteList:
        destinations = Destinations(
            port,
            {host: service for host, service in zip(hosts, services, strict=True) if service is not None},
            {host: found for host, found in zip(hosts, rules, strict=True) if found is not None},
        )
        return virtual_service_routes(
            rule, RouteContext(destinations, settings, source, server.gateway_name, tls)
        )

    return memo.get(
        ("gateway routes", rule, server.gateway_name, port, tls, rules, services, source, settings), build
    )


def _virtual_hosts(
    hosts: Sequence[_Host], port: int, settings: RouteSettings, memo: Memo
) -> Iterable[EncodedVirtualHost]:
    """Return the virtual hosts, sorted by name. Hosts with the very same routes share one, under the name of
    the most specific of them."""
    if not hosts:
        # Without a virtual host Envoy answers 404 too; Istio says so by one without routes.
        yield _encoded(f"blackhole:{port}", ("*",), (), False, settings, memo)
        return
    shared: dict[tuple[tuple[RouteList, ...], bool], list[_Host]] = {}
    for host in sorted(hosts, key=lambda host: specificity(host.domain)):
        shared.setdefault((tuple(host.lists), host.require_tls), []).append(host)
    for (lists, require_tls), group in sorted(shared.items(), key=lambda item: item[1][0].name):
        domains = tuple(host.domain for host in group)
        yield _encoded(group[0].name, domains, lists, require_tls, settings, memo)


def _encoded(
    name: str,
    domains: tuple[str, ...],
    lists: tuple[RouteList, ...],
    require_tls: bool,
    settings: RouteSettings,
    memo: Memo,
) -> EncodedVirtualHost:
    def build() -> EncodedVirtualHost:
        head: Any = route_components_pb2.VirtualHost(
            name=name,
            domains=domains,
            include_request_attempt_count=settings.include_request_attempt_count,
            require_tls=_REQUIRE_TLS if require_tls else route_components_pb2.VirtualHost.NONE,
        )
        return EncodedVirtualHost(head, encoded_routes(sorted_routes(lists)))

    return memo.get(("gateway virtual host", name, domains, lists, require_tls, settings), build)


def sorted_routes(lists: Iterable[RouteList]) -> list[bytes]:
    """Return the routes of several VirtualServices in order, those that take every request last."""
    routes = [
        (catch_all, route)
        for routes in lists
        for route, catch_all in zip(routes.routes, routes.catch_all, strict=True)
    ]
    return [route for last in (False, True) for catch_all, route in routes if catch_all is last]
