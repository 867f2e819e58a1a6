"""The route configurations of a sidecar: one for each HTTP port, one for each detected service with an
address of its own, and those of HTTP proxy ports and unix sockets.

What a change costs: the virtual hosts that it touches are encoded anew; for each of the others a lookup shows
that the DestinationRule they were made with is still the one in force, and their bytes are joined again.
Source: Istio's pilot/pkg/networking/core/httproute.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from envoy.config.route.v3 import route_components_pb2

from mizzen.config.diagnostics import Origin
from mizzen.mesh.hosts import is_wildcard
from mizzen.mesh.service import Protocol, Service
from mizzen.mesh.virtual_services import MESH, VirtualServiceRule
from mizzen.translator.cluster_names import ALLOW_ANY_DYNAMIC_DNS_CLUSTER, PASSTHROUGH_CLUSTER
from mizzen.translator.hash_policy import service_hash
from mizzen.translator.memo import Memo
from mizzen.translator.route import DefaultRoutes, RouteList, RouteOrigin
from mizzen.translator.route_action import Destinations, apply_timeout
from mizzen.translator.route_encoding import (
    EncodedVirtualHost,
    empty_route_configuration,
    encoded_routes,
    route_configuration_head,
    route_configuration_resource,
)
from mizzen.translator.route_settings import ByIdentity, RouteSettings, route_settings
from mizzen.translator.rule_routes import Place, RuleRoutes, rule_routes
from mizzen.translator.virtual_hosts import (
    ANY_PORT,
    DEFAULT_HTTP_PORT,
    Domains,
    NamesKnownAs,
    PlannedVirtualHost,
    VirtualHostPlan,
    plan_virtual_hosts,
)

if TYPE_CHECKING:
    from mizzen.config.mesh_config import MeshConfig
    from mizzen.mesh.destination_rules import DestinationRuleIndex
    from mizzen.mesh.sidecar_scope import EgressListener, SidecarScope
    from mizzen.xds.resource import Resource

HTTP_PROXY_ROUTES: Final = "http_proxy"
"""The route configuration of the HTTP proxy port."""
UNIX_PREFIX: Final = "unix://"


def sidecar_route_configuration(
    name: str, listener: EgressListener | None, scope: SidecarScope, mesh_config: MeshConfig, memo: Memo
) -> Resource:
    """Return the route configuration `name` of the sidecars that share `scope`.

    `name` is a port (`80`), a detected service's `host:port`, `http_proxy`, or the `unix://` path of an
    egress listener; `listener` is the egress listener that serves it. A name that nothing is known of gets an
    empty configuration. The Resource's origins are the VirtualServices' rules that it was made from.
    """
    settings = route_settings(mesh_config, memo)
    parsed = _parse_name(name, listener)
    if parsed is None or listener is None:
        return memo.get(("empty route configuration", name), lambda: empty_route_configuration(name))
    hostname, port = parsed
    state = _port_state(port, listener, scope, settings, memo)
    if hostname:
        return _sniffed_route_configuration(name, hostname, state, settings, memo)
    catch_all = _catch_all(scope, settings, memo)

    def build() -> Resource:
        # A VirtualService for every host is the catch-all itself, and Envoy takes only one.
        rest = () if "*" in state.plan.owners else (catch_all,)
        # An HTTP proxy has all ports, told apart by nothing but the Host header. Istio has Envoy ignore the
        # port there as well, so that requests for any port end up at port 80.
        head = route_configuration_head(name, ports_matter=port == ANY_PORT)
        return route_configuration_resource(head, (*state.hosts, *rest), state.rule_origins())

    return memo.get(("route configuration", name, ByIdentity(state), ByIdentity(catch_all)), build)


def sidecar_route_origins(
    name: str, listener: EgressListener | None, scope: SidecarScope, mesh_config: MeshConfig, memo: Memo
) -> Mapping[str, tuple[RouteOrigin, ...]]:
    """Return, for each virtual host of the route configuration `name`, its routes' names and where they come
    from.

    Kept beside the configuration and not in it: an edit that only moves lines must not change what Envoy is
    sent. Without a VirtualService, the origins are those of the service.
    """
    parsed = _parse_name(name, listener)
    if parsed is None or listener is None:
        return {}
    hostname, port = parsed
    state = _port_state(port, listener, scope, route_settings(mesh_config, memo), memo)
    hosts = state.plan.virtual_hosts
    if hostname:
        at = state.plan.owners.get(hostname.lower())
        return {} if at is None else {hosts[at].name: state.origins(at)}
    return {host.name: state.origins(at) for at, host in enumerate(hosts)}


def _parse_name(name: str, listener: EgressListener | None) -> tuple[str, int] | None:
    """Return the detected service's hostname, or "", and the port."""
    if name.startswith(UNIX_PREFIX) or name == HTTP_PROXY_ROUTES:
        return "", ANY_PORT
    hostname, _, number = name.rpartition(":")
    if not (number.isascii() and number.isdecimal()):
        return None
    port = listener.port if listener is not None else None
    if port is not None and port.protocol.upper() == Protocol.HTTP_PROXY:
        return hostname, ANY_PORT
    return hostname, int(number)


@dataclass(frozen=True, slots=True, eq=False)
class _PortState:
    """The virtual hosts of one port as they stand.

    `basis` has for each virtual host what its routes come from: the RouteList of its VirtualService, or the
    merged DestinationRule (or None) of a service that is routed by default. `hosts` are their bytes.
    """

    plan: VirtualHostPlan
    basis: tuple[object, ...]
    hosts: tuple[EncodedVirtualHost, ...]

    def rule_origins(self) -> tuple[Origin, ...]:
        """Return the places of all VirtualServices' rules."""
        lists = dict.fromkeys(basis for basis in self.basis if isinstance(basis, RouteList))
        return tuple(chain.from_iterable(routes.places for routes in lists))

    def origins(self, at: int) -> tuple[RouteOrigin, ...]:
        """Return the names and places of the routes of the virtual host at a position."""
        basis, service = self.basis[at], self.plan.virtual_hosts[at].service
        if isinstance(basis, RouteList):
            return basis.origins
        return tuple(("default", origin) for origin in service.origins) if service is not None else ()


class _Carried:
    """What one port of one scope passes on to the next snapshot's, so that only what changed is built
    again."""

    __slots__ = ("domains", "rule_index", "rules", "state")

    def __init__(self) -> None:
        self.state: _PortState | None = None
        self.rules: dict[VirtualServiceRule, RuleRoutes] = {}
        self.rule_index: DestinationRuleIndex | None = None
        self.domains: dict[tuple[Service, int], Domains] = {}


@dataclass(frozen=True, slots=True, eq=False)
class _Registry:
    """The services of an egress listener, by port and by hostname."""

    by_port: Mapping[int, tuple[Service, ...]]
    by_hostname: Mapping[str, Service]


@dataclass(frozen=True, slots=True, eq=False)
class _RulesByHost:
    """The VirtualServices of an egress listener by what their hosts say: positions in their order."""

    exact: Mapping[str, tuple[int, ...]]
    wildcard: tuple[int, ...]


def _port_state(
    port: int, listener: EgressListener, scope: SidecarScope, settings: RouteSettings, memo: Memo
) -> _PortState:
    return memo.get(
        ("virtual hosts", port, ByIdentity(listener), ByIdentity(scope), settings),
        lambda: _build_port_state(port, listener, scope, settings, memo),
    )


def _build_port_state(
    port: int, listener: EgressListener, scope: SidecarScope, settings: RouteSettings, memo: Memo
) -> _PortState:
    profile = scope.profile
    carried = memo.get(("carried virtual hosts", port, listener.bind, profile, settings), _Carried)
    registry = _registry(listener, memo)
    services = listener.services if port == ANY_PORT else registry.by_port.get(port, ())
    rules = _relevant_rules(port, services, listener, memo)
    known: Mapping[str, Service] = registry.by_hostname if port == ANY_PORT else {}
    place = Place(port, MESH, False, known.get)
    held = {rule: rule_routes(rule, place, scope, settings, carried.rules.get(rule), memo) for rule in rules}
    lists = [held[rule].routes for rule in rules]
    rule_hosts = tuple(rule.hosts for rule in rules)
    contributing = tuple(map(bool, lists))
    names = NamesKnownAs.of(profile)
    plan = memo.get(
        ("virtual host plan", port, services, rule_hosts, contributing, names),
        lambda: plan_virtual_hosts(port, services, rule_hosts, contributing, names, carried.domains),
    )
    state = _encode(plan, lists, scope, carried, settings, memo)
    carried.state = state
    carried.rules = held
    if len(carried.domains) > 2 * len(plan.virtual_hosts):
        # Services that are gone: what is still needed is soon worked out again.
        carried.domains = {}
    return state


def _registry(listener: EgressListener, memo: Memo) -> _Registry:
    services = listener.services

    def build() -> _Registry:
        by_port: dict[int, dict[Service, None]] = {}
        for service in services:
            for port in service.ports:
                if port.protocol is not Protocol.UDP:
                    by_port.setdefault(port.number, {})[service] = None
        return _Registry(
            {number: tuple(found) for number, found in by_port.items()},
            {service.hostname: service for service in services},
        )

    return memo.get(("registry of an egress listener", ByIdentity(services)), build)


def _relevant_rules(
    port: int, services: Sequence[Service], listener: EgressListener, memo: Memo
) -> tuple[VirtualServiceRule, ...]:
    """Return the VirtualServices that may matter to a port, in their order.

    Those with a host that is a service there, and those with a wildcard. Port 80 also has the hosts that are
    no services, so all VirtualServices matter to it.
    """
    rules = listener.virtual_services
    if port == DEFAULT_HTTP_PORT:
        return tuple(rules)

    def build() -> _RulesByHost:
        exact: dict[str, list[int]] = {}
        wildcard: dict[int, None] = {}
        for at, rule in enumerate(rules):
            for host in rule.hosts:
                if is_wildcard(host):
                    wildcard[at] = None
                else:
                    exact.setdefault(host, []).append(at)
        return _RulesByHost({host: tuple(found) for host, found in exact.items()}, tuple(wildcard))

    index = memo.get(("virtual services by host", ByIdentity(rules)), build)
    # The walk goes over the shorter of the two sides.
    hostnames = [service.hostname for service in services]
    named = set(hostnames).intersection(index.exact) if len(index.exact) < len(hostnames) else hostnames
    positions = set(index.wildcard)
    for hostname in named:
        positions.update(index.exact.get(hostname, ()))
    return tuple(rules[at] for at in sorted(positions))


def _encode(
    plan: VirtualHostPlan,
    lists: Sequence[RouteList],
    scope: SidecarScope,
    carried: _Carried,
    settings: RouteSettings,
    memo: Memo,
) -> _PortState:
    """Return the state of a plan with what of the carried state still holds; that state itself if all
    does."""
    last = carried.state
    same_plan = last is not None and last.plan is plan
    basis: list[object] = [None] * len(plan.virtual_hosts)
    if last is not None and same_plan:
        basis = list(last.basis)
    changed: list[int] = []
    if not (same_plan and carried.rule_index is scope.rule_index):
        for at, planned in plan.routed_by_default:
            rule = scope.destination_rule(planned.service) if planned.service is not None else None
            if not same_plan or basis[at] is not rule:
                basis[at] = rule
                changed.append(at)
    for at, planned in plan.routed_by_rule:
        routes = lists[planned.rule] if planned.rule is not None else None
        if not same_plan or basis[at] is not routes:
            basis[at] = routes
            changed.append(at)
    carried.rule_index = scope.rule_index
    if last is not None and same_plan and not changed:
        return last
    hosts: list[Any] = list(last.hosts) if last is not None and same_plan else [None] * len(basis)
    encode = _encoder(settings, memo, last if not same_plan else None)
    for at in changed:
        hosts[at] = encode(plan.virtual_hosts[at], basis[at])
    return _PortState(plan, tuple(basis), tuple(hosts))


def _encoder(
    settings: RouteSettings, memo: Memo, last: _PortState | None
) -> Callable[[PlannedVirtualHost, Any], EncodedVirtualHost]:
    """Return what encodes virtual hosts, taking from `last`, a state with another plan, those that are the
    same."""
    before: dict[str, tuple[PlannedVirtualHost, object, EncodedVirtualHost]] = {}
    if last is not None:
        before = {
            planned.name: (planned, basis, host)
            for planned, basis, host in zip(last.plan.virtual_hosts, last.basis, last.hosts, strict=True)
        }

    def encode(planned: PlannedVirtualHost, basis: Any) -> EncodedVirtualHost:
        found = before.get(planned.name)
        if (
            found is not None
            and found[1] is basis
            and found[0].domains == planned.domains
            and found[0].service is planned.service
            and (found[0].rule is None) == (planned.rule is None)
        ):
            return found[2]
        return memo.get(
            ("virtual host", planned.name, planned.domains, planned.rule is None, basis, settings),
            lambda: EncodedVirtualHost(
                _head(planned.name, planned.domains, settings), _routes(planned, basis, settings, memo)
            ),
        )

    return encode


def _routes(planned: PlannedVirtualHost, basis: Any, settings: RouteSettings, memo: Memo) -> bytes:
    if isinstance(basis, RouteList):
        return basis.fields
    assert planned.service is not None
    default = memo.get(("default routes", settings), lambda: DefaultRoutes(settings))
    route = default.route(planned.service.hostname, planned.port, service_hash(basis, planned.port))
    return encoded_routes((route,))


def _head(name: str, domains: Sequence[str], settings: RouteSettings) -> Any:
    return route_components_pb2.VirtualHost(
        name=name, domains=domains, include_request_attempt_count=settings.include_request_attempt_count
    )


def _sniffed_route_configuration(
    name: str, hostname: str, state: _PortState, settings: RouteSettings, memo: Memo
) -> Resource:
    """Return the configuration of one service on its own address: whatever the Host header says, it is
    meant."""
    at = state.plan.owners.get(hostname.lower())
    if at is None:
        return memo.get(
            ("route configuration", name, None),
            lambda: route_configuration_resource(route_configuration_head(name), ()),
        )
    planned, basis = state.plan.virtual_hosts[at], state.basis[at]

    def build() -> Resource:
        host = EncodedVirtualHost(
            _head(planned.name, ("*",), settings), _routes(planned, basis, settings, memo)
        )
        origins = basis.places if isinstance(basis, RouteList) else ()
        return route_configuration_resource(route_configuration_head(name), (host,), origins)

    return memo.get(("route configuration", name, planned.name, planned.service, basis, settings), build)


def _catch_all(scope: SidecarScope, settings: RouteSettings, memo: Memo) -> EncodedVirtualHost:
    """Return the virtual host for the hosts that nobody declared (MeshConfig.outboundTrafficPolicy)."""
    policy = scope.outbound_traffic_policy
    egress_proxy = scope.egress_proxy if policy == "ALLOW_ANY" else None

    def build() -> EncodedVirtualHost:
        name = {"ALLOW_ANY": "allow_any", "REGISTRY_ONLY": "block_all"}.get(policy, "allow_any_dynamic_dns")
        host = _head(name, ("*",), settings)
        route = host.routes.add(name=name)
        route.match.prefix = "/"
        if policy == "REGISTRY_ONLY":
            route.direct_response.status = 502
            return EncodedVirtualHost(host, b"")
        if egress_proxy is not None:
            route.route.cluster = Destinations(ANY_PORT).cluster(egress_proxy)
        elif policy == "ALLOW_ANY":
            route.route.cluster = PASSTHROUGH_CLUSTER
        else:
            route.route.cluster = ALLOW_ANY_DYNAMIC_DNS_CLUSTER
        apply_timeout(route.route, None)
        return EncodedVirtualHost(host, b"")

    return memo.get(("catch-all virtual host", policy, egress_proxy, settings), build)
