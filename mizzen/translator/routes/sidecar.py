"""The route configurations of a sidecar: one for each HTTP port, one for each detected service with an
address of its own, and those of HTTP proxy ports and unix sockets.

What a change costs: the virtual hosts that it touches are planned and encoded anew; the others keep their
objects and bytes, since neither their VirtualService nor their service is among what changed, and are joined
again.
Source: Istio's pilot/pkg/networking/core/httproute.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from envoy.config.route.v3 import route_components_pb2

from mizzen.config.diagnostics import Origin
from mizzen.mesh.rules.virtual_services import MESH, VirtualServiceRule
from mizzen.mesh.service import Protocol, Service
from mizzen.persistent import common_ends
from mizzen.translator.base.cluster_names import ALLOW_ANY_DYNAMIC_DNS_CLUSTER, PASSTHROUGH_CLUSTER
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.route_settings import RouteSettings, route_settings
from mizzen.translator.routes.action import Destinations, apply_timeout
from mizzen.translator.routes.encoding import (
    EncodedVirtualHost,
    empty_route_configuration,
    encoded_routes,
    route_configuration_head,
    route_configuration_resource,
)
from mizzen.translator.routes.hash_policy import service_hash
from mizzen.translator.routes.plan_following import FollowedPlan, next_plan
from mizzen.translator.routes.rules import Place, RuleRoutes, rule_routes
from mizzen.translator.routes.virtual_hosts import (
    ANY_PORT,
    DEFAULT_HTTP_PORT,
    Domains,
    DomainsKey,
    NamesKnownAs,
    PlanInputs,
    PlannedVirtualHost,
    VirtualHostPlan,
)
from mizzen.translator.routes.virtual_service import DefaultRoutes, RouteList, RouteOrigin

if TYPE_CHECKING:
    from mizzen.config.mesh_config import MeshConfig
    from mizzen.mesh.scope.sidecar_scope import EgressListener, ScopeVersion, SidecarScope
    from mizzen.xds.resource import Resource

HTTP_PROXY_ROUTES: Final = "http_proxy"
"""The route configuration of the HTTP proxy port."""
UNIX_PREFIX: Final = "unix://"


def sidecar_route_configuration(
    name: str,
    listener: EgressListener | None,
    scope: SidecarScope,
    mesh_config: MeshConfig,
    memo: Memo,
    carried: CarriedRoutes,
) -> Resource:
    """Return the route configuration `name` of the sidecars that share `scope`.

    `name` is a port (`80`), a detected service's `host:port`, `http_proxy`, or the `unix://` path of an
    egress listener; `listener` is the egress listener that serves it. A name that nothing is known of gets an
    empty configuration. The Resource's origins are the VirtualServices' rules that it was made from.
    `carried` is the profile's own.
    """
    settings = route_settings(mesh_config, memo)
    parsed = _parse_name(name, listener)
    if parsed is None or listener is None:
        return memo.get(("empty route configuration", name), lambda: empty_route_configuration(name))
    hostname, port = parsed
    state = _port_state(name, port, listener, scope, settings, memo, carried)
    if hostname:
        return _sniffed_route_configuration(name, hostname, state, settings, memo)
    catch_all = _catch_all(scope, settings, memo)
    found = carried.made.get(name)
    if found is None or found[0] is not state or found[1] is not catch_all:
        # A VirtualService for every host is the catch-all itself, and Envoy takes only one.
        rest = () if state.plan.takes_every_host else (catch_all,)
        # An HTTP proxy has all ports, told apart by nothing but the Host header. Istio has Envoy ignore the
        # port there as well, so that requests for any port end up at port 80.
        head = route_configuration_head(name, ports_matter=port == ANY_PORT)
        made = route_configuration_resource(head, (*state.hosts, *rest), state.rule_origins())
        found = carried.made[name] = (state, catch_all, made)
    return found[2]


def sidecar_route_origins(
    name: str,
    listener: EgressListener | None,
    scope: SidecarScope,
    mesh_config: MeshConfig,
    memo: Memo,
    carried: CarriedRoutes,
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
    state = _port_state(name, port, listener, scope, route_settings(mesh_config, memo), memo, carried)
    hosts = state.plan.virtual_hosts
    if hostname:
        at = state.plan.owners.get(hostname)
        return {} if at is None else {hosts[at].name: state.origins(at)}
    return {host.name: state.origins(at) for at, host in enumerate(hosts)}


def port_routed(name: str, listener: EgressListener) -> int:
    """Return the port that the route configuration `name` of an egress listener is for; ANY_PORT if it holds
    all ports."""
    parsed = _parse_name(name, listener)
    return parsed[1] if parsed is not None else ANY_PORT


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
        lists = dict.fromkeys([basis for basis in self.basis if isinstance(basis, RouteList)])
        return tuple(chain.from_iterable([routes.places for routes in lists]))

    def origins(self, at: int) -> tuple[RouteOrigin, ...]:
        """Return the names and places of the routes of the virtual host at a position."""
        basis, service = self.basis[at], self.plan.virtual_hosts[at].service
        if isinstance(basis, RouteList):
            return basis.origins
        return tuple(("default", origin) for origin in service.origins) if service is not None else ()


class _CarriedPort:
    """What one port passes on to the next snapshot's, so that only what changed is built again.

    `version` is that of the scope of which `rules` and `state` are; `built_for` are the scope and the egress
    listener that the state is of.
    """

    __slots__ = ("built_for", "domains", "plan", "rules", "state", "version")

    def __init__(self) -> None:
        self.built_for: tuple[ref[SidecarScope], ref[EgressListener]] | None = None
        self.state: _PortState | None = None
        self.version: ScopeVersion | None = None
        self.rules: dict[VirtualServiceRule, RuleRoutes] = {}
        self.plan: FollowedPlan | None = None
        self.domains: dict[DomainsKey, Domains] = {}

    def copy(self) -> _CarriedPort:
        """Return the same, to be passed on by itself; what domains are worked out may be shared."""
        made = _CarriedPort()
        made.built_for, made.state, made.version = self.built_for, self.state, self.version
        made.rules, made.plan, made.domains = self.rules, self.plan, self.domains
        return made


class CarriedRoutes:
    """What the route configurations of one profile pass on from snapshot to snapshot.

    Whoever serves the profile owns it. It holds the last state of each port and the last configuration of
    each name, and no scope: what a change has superseded goes at once.
    """

    def __init__(self) -> None:
        self.made: dict[str, tuple[_PortState, EncodedVirtualHost, Resource]] = {}
        self._ports: dict[tuple[int, int, RouteSettings], _CarriedPort] = {}
        self._port_of: dict[str, tuple[int, int, RouteSettings]] = {}

    def copy(self) -> CarriedRoutes:
        """Return the same, to be passed on by itself."""
        made = CarriedRoutes()
        made.made = dict(self.made)
        made._ports = {key: carried.copy() for key, carried in self._ports.items()}
        made._port_of = dict(self._port_of)
        return made

    def for_other_labels(self) -> CarriedRoutes:
        """Return what proxies with other labels can go on from: not the routes of VirtualServices that look
        at labels, and all DestinationRules are chosen again."""
        made = self.copy()
        for carried in made._ports.values():
            carried.version = None
            if any(rule.source_labels for rule in carried.rules):
                kept = {rule: found for rule, found in carried.rules.items() if not rule.source_labels}
                carried.rules = kept
        return made

    def port(self, name: str, port: int, position: int, settings: RouteSettings) -> _CarriedPort:
        """Return what the port that the route configuration `name` is for has passed on. Each egress
        listener, told by its position, has its own: two HTTP proxies are for one port but other services."""
        key = self._port_of[name] = (port, position, settings)
        found = self._ports.get(key)
        if found is None:
            found = self._ports[key] = _CarriedPort()
        return found

    def forget(self, names: Iterable[str]) -> None:
        """Forget route configurations that are there no more, and the ports that none is left of."""
        for name in names:
            self.made.pop(name, None)
            self._port_of.pop(name, None)
        needed = set(self._port_of.values())
        self._ports = {key: carried for key, carried in self._ports.items() if key in needed}


def _port_state(
    name: str,
    port: int,
    listener: EgressListener,
    scope: SidecarScope,
    settings: RouteSettings,
    memo: Memo,
    carried: CarriedRoutes,
) -> _PortState:
    held = carried.port(name, port, scope.egress_listeners.index(listener), settings)
    if held.state is not None and held.built_for is not None:
        of_scope, of_listener = held.built_for
        if of_scope() is scope and of_listener() is listener:
            return held.state
    state = _build_port_state(port, listener, scope, settings, memo, held)
    held.state, held.version, held.built_for = state, scope.version, (ref(scope), ref(listener))
    return state


def _build_port_state(
    port: int,
    listener: EgressListener,
    scope: SidecarScope,
    settings: RouteSettings,
    memo: Memo,
    carried: _CarriedPort,
) -> _PortState:
    changed = scope.hosts_since(carried.version) if carried.version is not None else None
    services = tuple(listener.services) if port == ANY_PORT else listener.by_port.get(port, ())
    known = carried.plan.inputs.rules if carried.plan is not None else ()
    rules = _relevant_rules(port, services, listener, known)
    find_service = listener.service if port == ANY_PORT else _no_service
    place = Place(port, MESH, False, find_service)
    held, moved = _rules_routes(rules, place, scope, settings, carried.rules, changed, memo)
    contributing = tuple([bool(held[rule].routes.routes) for rule in rules])
    inputs = PlanInputs(port, services, tuple(rules), contributing, NamesKnownAs.of(scope.profile))
    plan = _plan(inputs, listener, memo, carried)
    if len(carried.domains) > 2 * len(plan.virtual_hosts):
        # Services that are gone: what is still needed is soon worked out again.
        carried.domains = {}

    def basis(planned: PlannedVirtualHost) -> object:
        if planned.rule is not None:
            return held[planned.rule].routes
        return scope.destination_rule(planned.service) if planned.service is not None else None

    state = _encode(plan, basis, moved, changed, carried.state, settings, memo)
    carried.rules = held
    return state


def _rules_routes(
    rules: Sequence[VirtualServiceRule],
    place: Place,
    scope: SidecarScope,
    settings: RouteSettings,
    before: Mapping[VirtualServiceRule, RuleRoutes],
    changed: frozenset[str] | None,
    memo: Memo,
) -> tuple[dict[VirtualServiceRule, RuleRoutes], set[VirtualServiceRule]]:
    """Return the routes of the VirtualServices, and those whose routes are not the ones of `before`."""
    come = [rule for rule in rules if rule not in before]
    held = dict(before)
    if len(before) + len(come) > len(rules):
        for gone in before.keys() - set(rules):
            del held[gone]
    stale = list(held)
    if changed is not None:
        stale = [rule for rule, found in held.items() if found.looked_at(changed)] if changed else []
    moved: set[VirtualServiceRule] = set()
    for rule in (*come, *stale):
        known = before.get(rule)
        found = held[rule] = rule_routes(rule, place, scope, settings, known, changed, memo)
        if found is not known:
            moved.add(rule)
    return held, moved


def _no_service(_: str) -> None:
    """Sidecars take a destination without a port to mean the port that was asked for, not a service's only
    one."""


def _plan(inputs: PlanInputs, listener: EgressListener, memo: Memo, carried: _CarriedPort) -> VirtualHostPlan:
    """Return the plan of a port: the carried one if it would be the same."""
    before = carried.plan
    if before is None or before.inputs != inputs:
        # Profiles that differ in nothing that counts here have it from each other.
        carried.plan = memo.beside(listener).get(inputs, lambda: next_plan(before, inputs, carried.domains))
    assert carried.plan is not None
    return carried.plan.plan


def _relevant_rules(
    port: int,
    services: Sequence[Service],
    listener: EgressListener,
    known: tuple[VirtualServiceRule, ...],
) -> Sequence[VirtualServiceRule]:
    """Return the VirtualServices that may matter to a port, in their order: those over a service there.
    `known` are those that mattered before.

    Port 80 also has the hosts that are no services, so all VirtualServices matter to it. Where there are few
    of them it is cheaper to take them all; those without a service make no difference.
    """
    if port == DEFAULT_HTTP_PORT or len(listener.virtual_services) <= len(services):
        return listener.virtual_services
    return listener.virtual_services_over([service.hostname for service in services], known)


def _encode(
    plan: VirtualHostPlan,
    basis: Callable[[PlannedVirtualHost], object],
    moved: AbstractSet[VirtualServiceRule],
    changed: frozenset[str] | None,
    last: _PortState | None,
    settings: RouteSettings,
    memo: Memo,
) -> _PortState:
    """Return the state of a plan with what of the last state still holds; that state itself if all does.

    `basis` says what the routes of a virtual host come from. `moved` are the VirtualServices whose routes are
    others than in the last state, `changed` the hosts whose DestinationRule may be, None for all.
    """
    bases, hosts = _carried_over(plan, last)
    stale = [
        at
        for at, (planned, host) in enumerate(zip(plan.virtual_hosts, hosts, strict=True))
        if host is None
        or (
            planned.rule in moved
            if planned.rule is not None
            else changed is None or (planned.service is not None and planned.service.hostname in changed)
        )
    ]
    same = last is not None and last.plan is plan
    for at in stale:
        planned = plan.virtual_hosts[at]
        found = basis(planned)
        if hosts[at] is None or bases[at] is not found:
            same = False
            bases[at] = found
            hosts[at] = _encoded(planned, found, settings, memo)
    return last if last is not None and same else _PortState(plan, tuple(bases), tuple(hosts))


def _carried_over(plan: VirtualHostPlan, last: _PortState | None) -> tuple[list[Any], list[Any]]:
    """Return for each virtual host of the plan its basis in the last state and its bytes, None if it was not
    there."""
    now = plan.virtual_hosts
    if last is None:
        return [None] * len(now), [None] * len(now)
    if last.plan is plan:
        return list(last.basis), list(last.hosts)
    before = last.plan.virtual_hosts
    start, end = common_ends(before, now)
    between = slice(start, len(before) - end)
    known = dict(
        zip(before[between], zip(last.basis[between], last.hosts[between], strict=True), strict=True)
    )
    found = [known.get(planned, (None, None)) for planned in now[start : len(now) - end]]
    rest = between.stop
    return (
        [*last.basis[:start], *[basis for basis, _ in found], *last.basis[rest:]],
        [*last.hosts[:start], *[host for _, host in found], *last.hosts[rest:]],
    )


def _encoded(
    planned: PlannedVirtualHost, basis: object, settings: RouteSettings, memo: Memo
) -> EncodedVirtualHost:
    return memo.get(
        ("virtual host", planned.name, planned.domains, planned.rule is None, basis, settings),
        lambda: EncodedVirtualHost(
            _head(planned.name, planned.domains, settings), _routes(planned, basis, settings, memo)
        ),
    )


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
    at = state.plan.owners.get(hostname)
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
    target = scope.destination_host(egress_proxy.host) if egress_proxy is not None else ""

    def build() -> EncodedVirtualHost:
        name = {"ALLOW_ANY": "allow_any", "REGISTRY_ONLY": "block_all"}.get(policy, "allow_any_dynamic_dns")
        host = _head(name, ("*",), settings)
        route = host.routes.add(name=name)
        route.match.prefix = "/"
        if policy == "REGISTRY_ONLY":
            route.direct_response.status = 502
            return EncodedVirtualHost(host, b"")
        if egress_proxy is not None:
            route.route.cluster = Destinations(ANY_PORT, aliases={egress_proxy.host: target}).cluster(
                egress_proxy
            )
        elif policy == "ALLOW_ANY":
            route.route.cluster = PASSTHROUGH_CLUSTER
        else:
            route.route.cluster = ALLOW_ANY_DYNAMIC_DNS_CLUSTER
        apply_timeout(route.route, None)
        return EncodedVirtualHost(host, b"")

    return memo.get(("catch-all virtual host", policy, egress_proxy, target, settings), build)
