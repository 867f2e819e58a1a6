"""The route configurations of a sidecar: one for each HTTP port, one for each service with an address of its
own whose protocol is detected, and those of HTTP proxy ports and unix sockets.

After a change, only the virtual hosts that it concerns are computed and encoded again. All others keep their
objects and bytes, and are joined with them.
Source: Istio's pilot/pkg/networking/core/httproute.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mizzen.mesh.facts import Routed
from mizzen.mesh.scope.virtual_hosts import ANY_PORT
from mizzen.mesh.service import Protocol
from mizzen.translator.base.cluster_names import ALLOW_ANY_DYNAMIC_DNS_CLUSTER, PASSTHROUGH_CLUSTER
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.routes.action import Destinations, apply_timeout
from mizzen.translator.routes.encoding import (
    EncodedVirtualHost,
    empty_route_configuration,
    port_configuration_resource,
    route_configuration_head,
    route_configuration_resource,
)
from mizzen.translator.routes.port_routes import CachedRoutes, PortRoutes, Routing, virtual_host_head
from mizzen.translator.routes.virtual_service import RouteOrigin

if TYPE_CHECKING:
    from mizzen.mesh.scope.egress_listener import EgressListener
    from mizzen.mesh.scope.sidecar_scope import SidecarScope
    from mizzen.xds.resource import Resource

HTTP_PROXY_ROUTES: Final = "http_proxy"
"""The route configuration of the HTTP proxy port."""
UNIX_PREFIX: Final = "unix://"


def sidecar_route_configuration(
    name: str, listener: EgressListener | None, routing: Routing, cached: CachedRoutes
) -> Resource:
    """Return the route configuration `name` of the sidecars that share the scope of `routing`.

    `name` is a port (`80`), the `host:port` of a service whose protocol is detected, `http_proxy`, or the
    `unix://` path of an egress listener. `listener` is the egress listener that serves it. An unknown name
    gets an empty configuration. The Resource's origins are the VirtualServices' rules that it was made from.
    `cached` has the profile's previous configurations.
    """
    scope, memo = routing.scope, routing.memo
    parsed = _parse_name(name, listener)
    if parsed is None or listener is None:
        return memo(empty_route_configuration, name)
    hostname, _ = parsed
    held = cached.port(routed(name, listener, scope), routing)
    if hostname:
        return _sniffed_route_configuration(name, hostname, held, routing)
    catch_all = _catch_all(scope, routing.settings, memo)

    def build() -> Resource:
        # A VirtualService for `*` replaces the catch-all, because Envoy accepts only one.
        rest = () if held.hosts.owner("*") is not None else (catch_all,)
        # An HTTP proxy serves all ports, and only the Host header distinguishes them. Unlike here, Istio
        # makes Envoy ignore that port too, so that requests for any port go to port 80.
        head = route_configuration_head(name, ports_matter=parsed[1] == ANY_PORT)
        return port_configuration_resource(head, held.encoded, *rest)

    return cached.configuration(name, held.encoded, catch_all, build)


def sidecar_route_origins(
    name: str, listener: EgressListener | None, routing: Routing, cached: CachedRoutes
) -> Mapping[str, tuple[RouteOrigin, ...]]:
    """Return, for each virtual host of the route configuration `name`, the names and origins of its routes.

    The origins are not part of the configuration, because an edit that only moves lines must not change what
    Envoy is sent. Without a VirtualService, the origins are those of the service.
    """
    parsed = _parse_name(name, listener)
    if parsed is None or listener is None:
        return {}
    hostname, _ = parsed
    held = cached.port(routed(name, listener, routing.scope), routing)
    if hostname:
        owner = held.hosts.owner(hostname)
        return {} if owner is None else {owner.name: held.origins(owner)}
    served = (host for name in held.hosts.by_host for host in held.hosts.served(name))
    return {host.name: held.origins(host) for host in served}


def routed(name: str, listener: EgressListener, scope: SidecarScope) -> Routed:
    """Return the fact that the route configuration `name` of an egress listener reads: the routes of one
    port, or of all ports."""
    parsed = _parse_name(name, listener)
    position = scope.egress_listeners.index(listener)
    return Routed(position, parsed[1] if parsed is not None else ANY_PORT)


def _parse_name(name: str, listener: EgressListener | None) -> tuple[str, int] | None:
    """Return the hostname of the service whose protocol is detected, or "", and the port. None for an unknown
    name."""
    if name.startswith(UNIX_PREFIX) or name == HTTP_PROXY_ROUTES:
        return "", ANY_PORT
    hostname, _, number = name.rpartition(":")
    if not (number.isascii() and number.isdecimal()):
        return None
    port = listener.port if listener is not None else None
    if port is not None and port.protocol.upper() == Protocol.HTTP_PROXY:
        return hostname, ANY_PORT
    return hostname, int(number)


def _sniffed_route_configuration(name: str, hostname: str, held: PortRoutes, routing: Routing) -> Resource:
    """Return the configuration of a service on its own address. All requests are for it, whatever their Host
    header."""
    owner = held.hosts.owner(hostname)
    host = routing.encoded(owner, held.rules, ("*",)) if owner is not None else None
    return routing.memo(_of_one_host, name, host)


def _of_one_host(name: str, host: EncodedVirtualHost | None) -> Resource:
    hosts, places = ((host,), host.places) if host is not None else ((), ())
    return route_configuration_resource(route_configuration_head(name), hosts, places)


def _catch_all(scope: SidecarScope, settings: RouteSettings, memo: Memo) -> EncodedVirtualHost:
    """Return the virtual host for undeclared hosts (MeshConfig.outboundTrafficPolicy)."""
    policy = scope.outbound_traffic_policy
    egress_proxy = scope.egress_proxy if policy == "ALLOW_ANY" else None
    cluster = ALLOW_ANY_DYNAMIC_DNS_CLUSTER
    if egress_proxy is not None:
        aliases = {egress_proxy.host: scope.destination_host(egress_proxy.host)}
        cluster = Destinations(ANY_PORT, aliases=aliases).cluster(egress_proxy)
    elif policy == "ALLOW_ANY":
        cluster = PASSTHROUGH_CLUSTER
    return memo(_catch_all_host, policy, cluster, settings)


def _catch_all_host(policy: str, cluster: str, settings: RouteSettings) -> EncodedVirtualHost:
    name = {"ALLOW_ANY": "allow_any", "REGISTRY_ONLY": "block_all"}.get(policy, "allow_any_dynamic_dns")
    host = virtual_host_head(name, ("*",), settings)
    route = host.routes.add(name=name)
    route.match.prefix = "/"
    if policy == "REGISTRY_ONLY":
        route.direct_response.status = 502
    else:
        route.route.cluster = cluster
        apply_timeout(route.route, None)
    return EncodedVirtualHost(host, b"")
