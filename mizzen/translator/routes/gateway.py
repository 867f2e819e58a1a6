"""The route configurations of a gateway: one for each plaintext port, and one for each server that terminates
TLS.

Source: Istio's buildGatewayHTTPRouteConfig in pilot/pkg/networking/core/gateway.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar

from envoy.config.route.v3 import route_components_pb2

from mizzen.mesh.hosts import is_subset_of, specificity
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.domains import domain_name
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.routes.encoding import (
    EncodedVirtualHost,
    empty_route_configuration,
    encoded_routes,
    route_configuration_head,
    route_configuration_resource,
)
from mizzen.translator.routes.rules import Place, RuleRoutes, rule_routes
from mizzen.translator.routes.virtual_service import RouteList, RouteOrigin

if TYPE_CHECKING:
    from mizzen.config.mesh_config import MeshConfig
    from mizzen.mesh.proxy_questions import ProxyQuestions
    from mizzen.mesh.rules.gateways import GatewayServer
    from mizzen.mesh.scope.sidecar_scope import ScopeVersion, SidecarScope
    from mizzen.xds.resource import Resource

_Route = TypeVar("_Route")

_REQUIRE_TLS: Final = route_components_pb2.VirtualHost.ALL


@dataclass(slots=True)
class _Host:
    """A virtual host under construction: the numbers of its route lists, in order."""

    name: str
    domain: str
    lists: list[int] = field(default_factory=list)
    require_tls: bool = False


@dataclass(frozen=True, slots=True)
class _ServerKey:
    """The parts of a server that its routes depend on, compared by value."""

    gateway_name: str
    port: int
    tls: bool
    https_redirect: bool
    hosts: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, server: GatewayServer) -> _ServerKey:
        tls = server.server.tls
        port = server.server.port.number if server.server.port is not None else 0
        return cls(server.gateway_name, port, tls is not None, server.redirects_to_https, server.hosts)

    def hosts_for(self, namespace: str) -> list[str]:
        """Return the hosts that VirtualServices of a namespace may serve."""
        return [host for required, host in self.hosts if required in ("", "*", namespace)]


@dataclass(frozen=True, slots=True, eq=False)
class _Bound:
    """A VirtualService on a server: the hosts that both have in common, and the routes."""

    hosts: tuple[str, ...]
    routes: RuleRoutes


_Shape = tuple[tuple[_ServerKey, tuple[tuple[tuple[str, ...], int], ...]], ...]
"""For each server, the hosts of its VirtualServices, each with the number of its route list."""


@dataclass(frozen=True, slots=True)
class _Planned:
    """A virtual host with the numbers of its route lists instead of the routes."""

    name: str
    domains: tuple[str, ...]
    lists: tuple[int, ...]
    require_tls: bool


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class CachedGatewayRoutes:
    """A route configuration of a gateway, with what its next version reuses. It is never changed, so an
    exception while the next version is made leaves it whole."""

    resource: Resource
    version: ScopeVersion
    bound: Mapping[_ServerKey, dict[VirtualServiceRule, _Bound]] = field(default_factory=dict)
    shape: _Shape = ()
    lists: tuple[RouteList, ...] = ()
    planned: tuple[_Planned, ...] = ()
    encoded: tuple[EncodedVirtualHost, ...] = ()

    def known(self) -> dict[_VirtualHostKey, EncodedVirtualHost]:
        """Return the encoded virtual hosts, by everything that they were made from."""
        keys = (_key(planned, self.lists) for planned in self.planned)
        return dict(zip(keys, self.encoded, strict=True))


_VirtualHostKey = tuple[str, tuple[str, ...], tuple[RouteList, ...], bool]
"""Name, domains, routes, and whether TLS is required."""


def _key(planned: _Planned, lists: Sequence[RouteList]) -> _VirtualHostKey:
    routes = tuple(lists[number] for number in planned.lists)
    return (planned.name, planned.domains, routes, planned.require_tls)


def gateway_route_configuration(
    name: str,
    servers: Sequence[GatewayServer],
    mesh: ProxyQuestions,
    scope: SidecarScope,
    mesh_config: MeshConfig,
    memo: Memo,
    known: MutableMapping[str, CachedGatewayRoutes],
) -> CachedGatewayRoutes:
    """Return the route configuration `name` of a gateway, for the servers that use it, oldest first.

    Each host that a server has in common with a VirtualService bound to its Gateway gets a virtual host. It
    has the routes of all such VirtualServices, one after the other. Without servers, the configuration is
    empty. `known` has the previous configurations of this class of gateways; the result replaces the one of
    its name.
    """
    if not servers:
        return CachedGatewayRoutes(memo(empty_route_configuration, name), scope.version)
    settings = RouteSettings.of(mesh_config)
    cached = known.get(name)
    bound = _bound(servers, mesh, scope, settings, cached, memo)
    shape, lists = _shape(bound)
    # Route lists are compared by identity, so this is cheap.
    if cached is not None and cached.shape == shape and cached.lists == lists:
        made = replace(cached, version=scope.version, bound=dict(bound))
    else:
        planned, encoded = _virtual_hosts(cached, shape, lists, settings, memo)
        places = tuple(chain.from_iterable(routes.places for routes in lists))
        resource = route_configuration_resource(route_configuration_head(name), encoded, places)
        made = CachedGatewayRoutes(resource, scope.version, dict(bound), shape, lists, planned, encoded)
    known[name] = made
    return made


def gateway_route_origins(
    servers: Sequence[GatewayServer],
    mesh: ProxyQuestions,
    scope: SidecarScope,
    mesh_config: MeshConfig,
    memo: Memo,
) -> dict[str, tuple[RouteOrigin, ...]]:
    """Return, for each virtual host of the servers' route configuration, the names and origins of its routes,
    in order.

    Hosts that share a virtual host have an entry each.
    """
    bound = _bound(servers, mesh, scope, RouteSettings.of(mesh_config), None, memo)
    shape, lists = _shape(bound)
    return {
        host.name: tuple(
            _in_order(
                (catch_all, entry)
                for number in host.lists
                for entry, catch_all in zip(lists[number].origins, lists[number].catch_all, strict=True)
            )
        )
        for host in _hosts(shape)
    }


def _shape(
    bound: Iterable[tuple[_ServerKey, dict[VirtualServiceRule, _Bound]]],
) -> tuple[_Shape, tuple[RouteList, ...]]:
    """Return the hosts of VirtualServices that have routes, and the route lists in the order of their
    numbers."""
    numbers: dict[RouteList, int] = {}
    shape = tuple(
        (
            key,
            tuple(
                (found.hosts, numbers.setdefault(found.routes.routes, len(numbers)))
                for found in rules.values()
                if found.routes.routes.routes
            ),
        )
        for key, rules in bound
    )
    return shape, tuple(numbers)


def _virtual_hosts(
    cached: CachedGatewayRoutes | None,
    shape: _Shape,
    lists: tuple[RouteList, ...],
    settings: RouteSettings,
    memo: Memo,
) -> tuple[tuple[_Planned, ...], tuple[EncodedVirtualHost, ...]]:
    """Return the virtual hosts, planned and encoded; only those that differ from `cached` are encoded."""
    if cached is not None and cached.shape == shape:
        pairs = enumerate(zip(lists, cached.lists, strict=True))
        changed = {number for number, (new, old) in pairs if new is not old}
        return cached.planned, tuple(
            host if changed.isdisjoint(planned.lists) else _encoded(_key(planned, lists), settings, memo)
            for planned, host in zip(cached.planned, cached.encoded, strict=True)
        )
    known = cached.known() if cached is not None else {}
    made = tuple(_planned(_hosts(shape), shape[0][0].port))
    keys = [_key(planned, lists) for planned in made]
    return made, tuple(known.get(key) or _encoded(key, settings, memo) for key in keys)


def _bound(
    servers: Sequence[GatewayServer],
    mesh: ProxyQuestions,
    scope: SidecarScope,
    settings: RouteSettings,
    cached: CachedGatewayRoutes | None,
    memo: Memo,
) -> list[tuple[_ServerKey, dict[VirtualServiceRule, _Bound]]]:
    """Return, for each server, the VirtualServices that have a host and a route in common with it."""
    result: list[tuple[_ServerKey, dict[VirtualServiceRule, _Bound]]] = []
    known = cached.bound if cached is not None else {}
    changed = scope.hosts_since(cached.version) if cached is not None else None
    for server in servers:
        key = _ServerKey.of(server)
        before = known.get(key, {})
        place = Place(key.port, key.gateway_name, key.tls, scope.destination_service)
        found: dict[VirtualServiceRule, _Bound] = {}
        for rule in mesh.virtual_services_for_gateway(key.gateway_name, scope.profile.namespace):
            held = before.get(rule)
            if held is None:
                hosts = tuple(intersection(key.hosts_for(rule.config.namespace), rule.hosts))
                if not hosts:
                    continue
                held = _Bound(hosts, rule_routes(rule, place, scope, settings, None, None, memo))
            else:
                routes = rule_routes(rule, place, scope, settings, held.routes, changed, memo)
                held = held if routes is held.routes else _Bound(held.hosts, routes)
            found[rule] = held
        result.append((key, found))
    return result


def _hosts(shape: _Shape) -> list[_Host]:
    """Return the hosts of the servers with their route lists, in the order of `shape`."""
    hosts: dict[str, _Host] = {}

    def host_of(name: str, port: int) -> _Host:
        host = hosts.get(name)
        if host is None:
            host = hosts[name] = _Host(domain_name(name, port), name)
        return host

    for key, rules in shape:
        for names, number in rules:
            for name in names:
                host = host_of(name, key.port)
                host.lists.append(number)
                host.require_tls = host.require_tls or key.https_redirect
        for _, name in key.hosts if key.https_redirect else ():
            host_of(name, key.port).require_tls = True
    return list(hosts.values())


def intersection(left: Iterable[str], right: Sequence[str]) -> list[str]:
    """Return the intersection of two sets of hosts: the narrower of each overlapping pair, each once, in
    order.

    Equal hosts are found by a lookup; only wildcards are compared one by one.
    """
    exact = set(right)
    wildcards = [host for host in right if host.startswith("*")]
    common: dict[str, None] = {}
    for host in left:
        if host == "*":
            common.update(dict.fromkeys(right))
        elif host.startswith("*"):
            common.update((other, None) for other in right if is_subset_of(other, host))
            common.update((host, None) for other in wildcards if is_subset_of(host, other))
        elif host in exact or any(is_subset_of(host, other) for other in wildcards):
            common[host] = None
    return list(common)


def _planned(hosts: Sequence[_Host], port: int) -> Iterable[_Planned]:
    """Return the virtual hosts, sorted by name. Hosts with the same routes share one virtual host, which has
    the name of the most specific one."""
    if not hosts:
        # Envoy would answer 404 even without this virtual host, but Istio sends it.
        yield _Planned(f"blackhole:{port}", ("*",), (), False)
        return
    shared: dict[tuple[tuple[int, ...], bool], list[_Host]] = {}
    for host in sorted(hosts, key=lambda host: specificity(host.domain)):
        shared.setdefault((tuple(host.lists), host.require_tls), []).append(host)
    for (lists, require_tls), group in sorted(shared.items(), key=lambda item: item[1][0].name):
        yield _Planned(group[0].name, tuple(host.domain for host in group), lists, require_tls)


def _encoded(key: _VirtualHostKey, settings: RouteSettings, memo: Memo) -> EncodedVirtualHost:
    return memo(_virtual_host, *key, settings)


def _virtual_host(
    name: str,
    domains: tuple[str, ...],
    lists: tuple[RouteList, ...],
    require_tls: bool,
    settings: RouteSettings,
) -> EncodedVirtualHost:
    head: Any = route_components_pb2.VirtualHost(
        name=name,
        domains=domains,
        include_request_attempt_count=settings.include_request_attempt_count,
        require_tls=_REQUIRE_TLS if require_tls else route_components_pb2.VirtualHost.NONE,
    )
    return EncodedVirtualHost(head, encoded_routes(sorted_routes(lists)))


def sorted_routes(lists: Iterable[RouteList]) -> list[bytes]:
    """Return the routes of several VirtualServices in order, with catch-all routes last."""
    return _in_order(
        (catch_all, route)
        for routes in lists
        for route, catch_all in zip(routes.routes, routes.catch_all, strict=True)
    )


def _in_order(routes: Iterable[tuple[bool, _Route]]) -> list[_Route]:
    """Return the second items of the pairs: first those whose `catch_all` is False, then the others."""
    known = list(routes)
    return [route for last in (False, True) for catch_all, route in known if catch_all is last]
