"""The route configurations of a gateway: one for each plaintext port, and one for each server that terminates
TLS.

Source: Istio's buildGatewayHTTPRouteConfig in pilot/pkg/networking/core/gateway.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from envoy.config.route.v3 import route_components_pb2

from mizzen.mesh.hosts import is_subset_of, specificity
from mizzen.mesh.rules.virtual_service_index import Rules, precedence
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.domains import domain_name
from mizzen.persistent import ChunkedSequence, LayeredDict
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.routes.encoding import (
    EncodedVirtualHost,
    empty_route_configuration,
    encoded_routes,
    port_configuration_resource,
    route_configuration_head,
)
from mizzen.translator.routes.rules import RoutedListener, RuleRoutes, rule_routes
from mizzen.translator.routes.virtual_service import Caller, RouteList, RouteOrigin

if TYPE_CHECKING:
    from mizzen.config.mesh_config import MeshConfig
    from mizzen.mesh.changes.scope_difference import ScopeDifference
    from mizzen.mesh.recorded.proxy_questions import ProxyQuestions
    from mizzen.mesh.rules.gateways import GatewayServer
    from mizzen.mesh.scope.sidecar_scope import SidecarScope
    from mizzen.xds.resource import Resource

_Route = TypeVar("_Route")

_REQUIRE_TLS: Final = route_components_pb2.VirtualHost.ALL


@dataclass(frozen=True, slots=True)
class _Server:
    """The parts of a server that its routes depend on, compared by value."""

    gateway_name: str
    port: int
    tls: bool
    https_redirect: bool
    hosts: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, server: GatewayServer) -> _Server:
        tls = server.server.tls
        port = server.server.port.number if server.server.port is not None else 0
        return cls(server.gateway_name, port, tls is not None, server.redirects_to_https, server.hosts)

    def hosts_for(self, namespace: str) -> list[str]:
        """Return the hosts that VirtualServices of a namespace may serve."""
        return [host for required, host in self.hosts if required in ("", "*", namespace)]


@dataclass(frozen=True, slots=True, eq=False)
class _Bound:
    """A VirtualService on a server, with its routes and the hosts that both have in common. Without a `rule`:
    the hosts of a server that redirects them to HTTPS."""

    server: _Server
    hosts: tuple[str, ...]
    rule: VirtualServiceRule | None = None
    routes: RuleRoutes | None = None

    @property
    def served(self) -> tuple[str, ...]:
        """The hosts that get a virtual host."""
        return self.hosts if self.routes is None or self.routes.routes else ()


@dataclass(frozen=True, slots=True, eq=False)
class _Served:
    """The VirtualServices of a server's Gateway, in the order of trial, and those that serve hosts."""

    rules: Rules = field(default_factory=ChunkedSequence)
    bound: LayeredDict[VirtualServiceRule | None, _Bound] = field(default_factory=LayeredDict)


_NOTHING_SERVED: Final = _Served()

_Hosts = LayeredDict[str, tuple[_Bound, ...]]
"""For each host of the servers what it is bound to, in order: the servers, for each its VirtualServices."""

_Shared = tuple[tuple[RouteList, ...], bool]
"""The routes of a virtual host, and whether TLS is required: hosts that agree in them share it."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class GatewayRoutes:
    """A route configuration of a gateway, with what its next version reuses. It is never changed, so an
    exception while the next version is made leaves it whole.

    `shared` has the hosts of each virtual host, the most specific first; `encoded` are the virtual hosts,
    sorted by name.
    """

    resource: Resource
    served: Mapping[_Server, _Served] = field(default_factory=dict)
    hosts: _Hosts = field(default_factory=LayeredDict)
    shared: LayeredDict[_Shared, tuple[str, ...]] = field(default_factory=LayeredDict)
    encoded: ChunkedSequence[EncodedVirtualHost] = field(default_factory=ChunkedSequence)


class CachedGatewayRoutes:
    """The last route configurations of a class of gateways, by name, and for each the VirtualServices that
    lead to hosts whose meaning has changed since.

    They are held weakly: a name goes with the last gateway that has it.
    """

    def __init__(self) -> None:
        self._made: WeakValueDictionary[str, GatewayRoutes] = WeakValueDictionary()
        self._outdated: WeakKeyDictionary[GatewayRoutes, AbstractSet[VirtualServiceRule]] = (
            WeakKeyDictionary()
        )

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._made))

    def get(self, name: str) -> GatewayRoutes | None:
        """Return the last route configuration of that name, or None."""
        return self._made.get(name)

    def put(self, name: str, made: GatewayRoutes) -> None:
        """Replace the route configuration of that name."""
        self._made[name] = made

    def outdated(self, made: GatewayRoutes) -> AbstractSet[VirtualServiceRule]:
        """Return the VirtualServices whose destinations may mean something different by now."""
        return self._outdated.get(made, frozenset())

    def note(self, difference: ScopeDifference) -> None:
        """Note how the scope of the gateways has changed. Noting a change that was not made is harmless."""
        for made in tuple(self._made.values()) if difference.leading else ():
            self._outdated[made] = self.outdated(made) | difference.leading

    def copy(self) -> CachedGatewayRoutes:
        """Return a copy that can be updated separately."""
        made = CachedGatewayRoutes()
        made._made, made._outdated = self._made.copy(), self._outdated.copy()
        return made


def gateway_route_configuration(
    name: str,
    servers: Sequence[GatewayServer],
    mesh: ProxyQuestions,
    scope: SidecarScope,
    mesh_config: MeshConfig,
    memo: Memo,
    cached: CachedGatewayRoutes,
) -> GatewayRoutes:
    """Return the route configuration `name` of a gateway, for the servers that use it, oldest first.

    Each host that a server has in common with a VirtualService bound to its Gateway gets a virtual host. It
    has the routes of all such VirtualServices, one after the other. Without servers, the configuration is
    empty. `cached` has the last configurations of this class of gateways; the result replaces the one of its
    name.
    """
    if not servers:
        return GatewayRoutes(memo(empty_route_configuration, name))
    builder = _Builder(servers, mesh, scope, RouteSettings.of(mesh_config), memo)
    before = cached.get(name)
    if before is None or not builder.keeps_order(before.served):
        made = builder.made(name, GatewayRoutes(memo(empty_route_configuration, name)), frozenset())
    else:
        made = builder.made(name, before, cached.outdated(before))
    cached.put(name, made)
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
    builder = _Builder(servers, mesh, scope, RouteSettings.of(mesh_config), memo)
    hosts = builder.hosts(LayeredDict(), {}, builder.served({}, frozenset()))
    return {
        _name(host, hosts): tuple(
            _in_order(
                (catch_all, entry)
                for routes in _shared(bound)[0]
                for entry, catch_all in zip(routes.origins, routes.catch_all, strict=True)
            )
        )
        for host, bound in hosts.items()
    }


class _Builder:
    """Builds the route configuration of some servers from its last version. The cost is that of what differs.

    The steps are: what each server serves, what each host is bound to, and the virtual hosts.
    """

    def __init__(
        self,
        servers: Sequence[GatewayServer],
        mesh: ProxyQuestions,
        scope: SidecarScope,
        settings: RouteSettings,
        memo: Memo,
    ) -> None:
        self._mesh = mesh
        self._scope = scope
        self._namespace = scope.profile.namespace
        self._settings = settings
        self._memo = memo
        self._servers = tuple(dict.fromkeys(map(_Server.of, servers)))
        self._positions = {server: position for position, server in enumerate(self._servers)}

    def keeps_order(self, before: Mapping[_Server, _Served]) -> bool:
        """Return whether servers that stay have kept their order."""
        stay = [server for server in before if server in self._positions]
        return stay == [server for server in self._servers if server in before]

    def made(
        self, name: str, before: GatewayRoutes, outdated: AbstractSet[VirtualServiceRule]
    ) -> GatewayRoutes:
        """Return the next version of `before`. The VirtualServices `outdated` lead to hosts that may mean
        something different now."""
        served = self.served(before.served, outdated)
        hosts = self.hosts(before.hosts, before.served, served)
        shared, encoded = self._virtual_hosts(before, hosts)
        if not encoded:
            resource = self._memo(_without_hosts, name, self._servers[0].port, self._settings)
        elif encoded is before.encoded:
            resource = before.resource
        else:
            resource = port_configuration_resource(route_configuration_head(name), encoded)
        return GatewayRoutes(resource, served, hosts, shared, encoded)

    def served(
        self, before: Mapping[_Server, _Served], outdated: AbstractSet[VirtualServiceRule]
    ) -> dict[_Server, _Served]:
        """Return what each server serves."""
        return {
            server: self._served(server, before.get(server, _NOTHING_SERVED), outdated)
            for server in self._servers
        }

    def _served(self, server: _Server, before: _Served, outdated: AbstractSet[VirtualServiceRule]) -> _Served:
        rules = self._mesh.virtual_services_for_gateway(server.gateway_name, self._namespace)
        gone, come = before.rules.differing(rules)
        edit = before.bound.edit()
        for rule in gone:
            edit.discard(rule)
        if server.https_redirect and None not in edit:
            edit.put(None, _Bound(server, tuple(dict.fromkeys(host for _, host in server.hosts))))
        caller = Caller(self._namespace, self._scope.profile.labels, server.port, server.gateway_name)
        listener = RoutedListener(caller, server.tls, self._scope.destination_service)
        for rule in come:
            hosts = tuple(intersection(server.hosts_for(rule.config.namespace), rule.hosts))
            if hosts:
                edit.put(rule, _Bound(server, hosts, rule, self._routes(rule, listener, None)))
        for rule in outdated:
            bound = edit.get(rule)
            if bound is not None:
                routes = self._routes(rule, listener, bound.routes)
                if routes is not bound.routes:
                    edit.put(rule, _Bound(server, bound.hosts, rule, routes))
        return _Served(rules, edit.finish())

    def _routes(
        self, rule: VirtualServiceRule, listener: RoutedListener, previous: RuleRoutes | None
    ) -> RuleRoutes:
        return rule_routes(rule, listener, self._scope, self._settings, previous, self._memo)

    def hosts(self, before: _Hosts, was: Mapping[_Server, _Served], now: Mapping[_Server, _Served]) -> _Hosts:
        """Return what each host is bound to, if the servers `was` served what `before` has."""
        gone: dict[str, list[_Bound]] = {}
        come: dict[str, list[_Bound]] = {}
        for server in {**was, **now}:
            old, new = (served.get(server, _NOTHING_SERVED).bound for served in (was, now))
            for rule in new.differing(old):
                for bounds, by_host in ((old, gone), (new, come)):
                    if (each := bounds.get(rule)) is not None:
                        for host in each.served:
                            by_host.setdefault(host, []).append(each)
        edit = before.edit()
        for host in {**gone, **come}:
            left = set(gone.get(host, ()))
            bound = [each for each in edit.get(host, ()) if each not in left]
            bound += come.get(host, ())
            if bound:
                edit.put(host, tuple(sorted(bound, key=self._order) if len(bound) > 1 else bound))
            else:
                edit.discard(host)
        return edit.finish()

    def _order(self, bound: _Bound) -> tuple[Any, ...]:
        trial = precedence(bound.rule, self._namespace) if bound.rule is not None else ()
        return (self._positions[bound.server], trial)

    def _virtual_hosts(
        self, before: GatewayRoutes, hosts: _Hosts
    ) -> tuple[LayeredDict[_Shared, tuple[str, ...]], ChunkedSequence[EncodedVirtualHost]]:
        """Return the hosts of each virtual host, and the virtual hosts. Hosts that share a virtual host have
        the name of the most specific one."""
        moved: dict[_Shared, tuple[set[str], set[str]]] = {}
        for host in hosts.differing(before.hosts):
            for side, bound in enumerate((before.hosts.get(host), hosts.get(host))):
                if bound is not None:
                    moved.setdefault(_shared(bound), (set(), set()))[side].add(host)
        edit = before.shared.edit()
        gone: dict[EncodedVirtualHost, None] = {}
        come: dict[EncodedVirtualHost, None] = {}
        for shared, (left, joined) in moved.items():
            was = edit.get(shared, ())
            now = tuple(sorted({*was} - left | joined, key=specificity))
            if was:
                gone[before.encoded.find(_name(was[0], before.hosts), _by_name)] = None
            if now:
                edit.put(shared, now)
                come[self._encoded(_name(now[0], hosts), now, *shared)] = None
            else:
                edit.discard(shared)
        kept = gone.keys() & come.keys()
        encoded = before.encoded.updated(
            [each for each in gone if each not in kept], [each for each in come if each not in kept], _by_name
        )
        return edit.finish(), encoded

    def _encoded(
        self, name: str, domains: tuple[str, ...], lists: tuple[RouteList, ...], require_tls: bool
    ) -> EncodedVirtualHost:
        return self._memo(_virtual_host, name, domains, lists, require_tls, self._settings)


_by_name = attrgetter("name")


def _shared(bound: Iterable[_Bound]) -> _Shared:
    routes = tuple([each.routes.routes for each in bound if each.routes is not None])
    return routes, any(each.server.https_redirect for each in bound)


def _name(host: str, hosts: _Hosts) -> str:
    """Return the name of the virtual host of `host`, which has the port of its first server."""
    return domain_name(host, hosts[host][0].server.port)


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


def _without_hosts(name: str, port: int, settings: RouteSettings) -> Resource:
    # Envoy would answer 404 even without this virtual host, but Istio sends it.
    blackhole = _virtual_host(f"blackhole:{port}", ("*",), (), False, settings)
    return port_configuration_resource(route_configuration_head(name), ChunkedSequence(), blackhole)


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
    if len(lists) == 1:
        return EncodedVirtualHost(head, lists[0].fields, lists[0].places)
    places = tuple(dict.fromkeys(chain.from_iterable(routes.places for routes in lists)))
    return EncodedVirtualHost(head, encoded_routes(sorted_routes(lists)), places)


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
