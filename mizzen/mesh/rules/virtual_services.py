"""VirtualServices with all names resolved and delegates merged in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.document import Config
from mizzen.config.models import (
    Destination,
    HTTPMatchRequest,
    HTTPMirrorPolicy,
    HTTPRoute,
    HTTPRouteDestination,
    L4MatchAttributes,
    RouteDestination,
    TCPRoute,
    TLSMatchAttributes,
    TLSRoute,
    VirtualService,
)
from mizzen.mesh.hosts import resolve_short_name
from mizzen.mesh.rules.delegates import merge_route
from mizzen.mesh.settings import Creation, MeshSettings, creation_order
from mizzen.mesh.visibility import is_visible, visible_to

MESH: Final = "mesh"
"""The name of all sidecars in `gateways`."""

VirtualServiceConfig = Config[VirtualService]
FindDelegate = Callable[[str, str], VirtualServiceConfig | None]
"""Finds a VirtualService by namespace and name."""

Match = TypeVar("Match", HTTPMatchRequest, TLSMatchAttributes, L4MatchAttributes)
Weighted = TypeVar("Weighted", HTTPRouteDestination, RouteDestination, HTTPMirrorPolicy)
Route = TypeVar("Route", HTTPRoute, TLSRoute, TCPRoute)


@dataclass(frozen=True, slots=True, eq=False)
class HttpRule:
    """One HTTP rule: `route` has full host names; for a delegate it is the rule merged with its root's.

    `config` is the document that contains the rule (the delegate, if there is one), `index` its position
    there.
    """

    route: HTTPRoute
    origin: Origin
    config: VirtualServiceConfig
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class TlsRule:
    """One TLS rule with full host names."""

    route: TLSRoute
    origin: Origin
    config: VirtualServiceConfig
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class TcpRule:
    """One TCP rule with full host names."""

    route: TCPRoute
    origin: Origin
    config: VirtualServiceConfig
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class VirtualServiceRule:
    """A VirtualService with hosts, resolved.

    `hosts` are full names, `gateways` "mesh" or "namespace/name". `destination_ports` has the ports of each
    host that is routed to, 0 if a route gives none; it is None if they depend on the caller. `source_labels`
    are all sourceLabels, as key and value.
    """

    config: VirtualServiceConfig
    hosts: tuple[str, ...]
    gateways: tuple[str, ...]
    http: tuple[HttpRule, ...]
    tls: tuple[TlsRule, ...]
    tcp: tuple[TcpRule, ...]
    destination_hosts: frozenset[str]
    destination_ports: Mapping[str, set[int]] | None
    seen_by: frozenset[str]
    order: Creation
    source_labels: frozenset[tuple[str, str]]
    delegates: tuple[tuple[str, str], ...]
    diagnostics: tuple[Diagnostic, ...]

    def destinations(self, source_namespace: str) -> Mapping[str, set[int]]:
        """Return the hosts that clients of a namespace may be routed to, and their ports (0: any).

        HTTP rules whose matches all ask for a different sourceNamespace do not count.
        """
        if self.destination_ports is not None:
            return self.destination_ports
        return _destination_ports(self.http, (*self.tcp, *self.tls), source_namespace)


def _destination_ports(
    http: Iterable[HttpRule], l4: Iterable[TlsRule | TcpRule], source_namespace: str
) -> Mapping[str, set[int]]:
    found: dict[str, set[int]] = {}
    for rule in http:
        sources = [match.source_namespace for match in rule.route.match]
        if any(sources) and source_namespace not in sources:
            continue
        for destination in http_destinations(rule.route):
            _add(found, destination)
    for destination in l4_destinations(l4):
        _add(found, destination)
    return found


def _add(found: dict[str, set[int]], destination: Destination) -> None:
    port = destination.port.number if destination.port is not None else 0
    found.setdefault(destination.host, set()).add(port)


def http_destinations(route: HTTPRoute) -> Iterable[Destination]:
    """Return all destinations of an HTTP rule, mirrors included."""
    for weighted in route.route:
        if weighted.destination is not None:
            yield weighted.destination
    if route.mirror is not None:
        yield route.mirror
    for mirror in route.mirrors:
        if mirror.destination is not None:
            yield mirror.destination


def l4_destinations(rules: Iterable[TlsRule | TcpRule]) -> Iterable[Destination]:
    """Return all destinations of TLS and TCP rules."""
    for rule in rules:
        for weighted in rule.route.route:
            if weighted.destination is not None:
                yield weighted.destination


def resolve_gateway(name: str, namespace: str) -> str:
    """Return "mesh" or "namespace/name" for a gateway that a rule in `namespace` names.

    Accepted are `name`, `./name`, `other/name`, and the old `name.other.svc...`.
    """
    if name == MESH:
        return name
    if "/" in name:
        its_namespace, _, short = name.partition("/")
        return f"{namespace if its_namespace == '.' else its_namespace}/{short}"
    if "." in name:
        short, its_namespace = name.split(".")[:2]
        return f"{its_namespace}/{short}"
    return f"{namespace}/{name}"


def is_delegate(config: VirtualServiceConfig) -> bool:
    """Return True if it has no hosts: it applies only where a different VirtualService delegates to it."""
    return not config.spec.hosts


def delegates_of(config: VirtualServiceConfig) -> tuple[tuple[str, str], ...]:
    """Return (namespace, name) of the VirtualServices that it delegates to."""
    return tuple(
        (route.delegate.namespace or config.namespace, route.delegate.name)
        for route in config.spec.http
        if route.delegate is not None
    )


def resolve_virtual_service(
    config: VirtualServiceConfig, find: FindDelegate, settings: MeshSettings
) -> VirtualServiceRule:
    """Return the rule that a VirtualService with hosts makes.

    A rule is left out if its delegate does not exist (the analysis of the mesh reports that). It is left out
    with an error if its delegate is not exported to this namespace, or has hosts; and so is a rule of a
    delegate that contradicts the root's matches.
    """
    spec = config.spec
    resolver = _Resolver(config.namespace, settings.domain)
    diagnostics: list[Diagnostic] = []
    http: list[HttpRule] = []
    for index, route in enumerate(spec.http):
        if route.delegate is None:
            origin = config.origin_of("spec", "http", index)
            http.append(HttpRule(resolver.http(route), origin, config, index))
        else:
            http.extend(_delegated(config, index, find, settings, diagnostics))
    tls = tuple(
        TlsRule(resolver.tls(tls_route), config.origin_of("spec", "tls", index), config, index)
        for index, tls_route in enumerate(spec.tls)
    )
    tcp = tuple(
        TcpRule(resolver.tcp(tcp_route), config.origin_of("spec", "tcp", index), config, index)
        for index, tcp_route in enumerate(spec.tcp)
    )
    asks_who_calls = any(match.source_namespace for rule in http for match in rule.route.match)
    return VirtualServiceRule(
        config=config,
        hosts=tuple(dict.fromkeys(resolver.host(host) for host in spec.hosts)),
        gateways=tuple(resolve_gateway(name, config.namespace) for name in spec.gateways) or (MESH,),
        http=tuple(http),
        tls=tls,
        tcp=tcp,
        destination_hosts=_destination_hosts(http, (*tls, *tcp)),
        destination_ports=None if asks_who_calls else _destination_ports(http, (*tcp, *tls), ""),
        seen_by=visible_to(
            spec.export_to, settings.mesh_config.default_virtual_service_export_to, config.namespace
        ),
        order=creation_order(config),
        source_labels=_source_labels(http, (*tls, *tcp)),
        delegates=delegates_of(config),
        diagnostics=tuple(diagnostics),
    )


def _destination_hosts(http: Iterable[HttpRule], l4: Iterable[TlsRule | TcpRule]) -> frozenset[str]:
    hosts = {destination.host for rule in http for destination in http_destinations(rule.route)}
    hosts.update(destination.host for destination in l4_destinations(l4))
    return frozenset(hosts)


def _source_labels(http: Iterable[HttpRule], l4: Iterable[TlsRule | TcpRule]) -> frozenset[tuple[str, str]]:
    labels = {label for rule in http for match in rule.route.match for label in match.source_labels.items()}
    for rule in l4:
        labels.update(label for match in rule.route.match for label in match.source_labels.items())
    return frozenset(labels)


def _delegated(
    root: VirtualServiceConfig,
    index: int,
    find: FindDelegate,
    settings: MeshSettings,
    diagnostics: list[Diagnostic],
) -> Iterable[HttpRule]:
    route = root.spec.http[index]
    assert route.delegate is not None
    namespace = route.delegate.namespace or root.namespace
    config = find(namespace, route.delegate.name)
    if config is None:
        return
    problem = _delegate_problem(root, config, settings)
    if problem:
        path = f"spec.http[{index}].delegate"
        origin = root.origin_of("spec", "http", index, "delegate")
        diagnostics.append(Diagnostic(Severity.ERROR, "MZ0203", problem, origin, path, (config.origin,)))
        return
    root_route = _Resolver(root.namespace, settings.domain).http(route)
    resolver = _Resolver(config.namespace, settings.domain)
    for leaf_index, leaf in enumerate(config.spec.http):
        origin = config.origin_of("spec", "http", leaf_index)
        if leaf.delegate is not None:
            diagnostics.append(
                Diagnostic(
                    Severity.ERROR,
                    "MZ0204",
                    f"a delegate cannot delegate, so this rule is dropped from {root.key}; "
                    "write its routes here, or delegate to them from the root",
                    config.origin_of("spec", "http", leaf_index, "delegate"),
                    f"spec.http[{leaf_index}].delegate",
                )
            )
            continue
        merged = merge_route(root_route, resolver.http(leaf))
        if merged is None:
            diagnostics.append(
                Diagnostic(
                    Severity.WARNING,
                    "MZ0205",
                    f"this rule can never match together with the one that delegates to it, at "
                    f"{root.origin_of('spec', 'http', index)}, so it is dropped; narrow that rule's match, "
                    "do not contradict it",
                    origin,
                    f"spec.http[{leaf_index}].match",
                    (root.origin_of("spec", "http", index),),
                )
            )
            continue
        yield HttpRule(merged, origin, config, leaf_index)


def _delegate_problem(
    root: VirtualServiceConfig, config: VirtualServiceConfig, settings: MeshSettings
) -> str:
    """Return what is wrong with the delegate; empty if nothing is."""
    named = f"VirtualService {config.namespace}/{config.name} ({config.origin})"
    if not is_delegate(config):
        return (
            f"{named} has hosts, so it cannot be delegated to and this rule is dropped; take its hosts away"
        )
    default = settings.mesh_config.default_virtual_service_export_to
    if not is_visible(visible_to(config.spec.export_to, default, config.namespace), root.namespace):
        return (
            f"{named} is not exported to namespace {root.namespace}, so this rule is dropped; add the "
            "namespace to its exportTo"
        )
    return ""


@dataclass(frozen=True, slots=True)
class _Resolver:
    """Replaces short host names by full ones, as rules of `namespace` mean them."""

    namespace: str
    domain: str

    def host(self, host: str) -> str:
        return resolve_short_name(host, self.namespace, self.domain)

    def destination(self, destination: Destination | None) -> Destination | None:
        if destination is None:
            return None
        host = self.host(destination.host)
        return destination if host == destination.host else destination.model_copy(update={"host": host})

    def matches(self, matches: tuple[Match, ...]) -> tuple[Match, ...]:
        return tuple(
            match.model_copy(
                update={"gateways": tuple(resolve_gateway(name, self.namespace) for name in match.gateways)}
            )
            if match.gateways
            else match
            for match in matches
        )

    def weighted(self, destinations: tuple[Weighted, ...]) -> tuple[Weighted, ...]:
        resolved = []
        for one in destinations:
            destination = self.destination(one.destination)
            same = destination is one.destination
            resolved.append(one if same else one.model_copy(update={"destination": destination}))
        return tuple(resolved)

    def http(self, route: HTTPRoute) -> HTTPRoute:
        return _copied(
            route,
            match=self.matches(route.match),
            route=self.weighted(route.route),
            mirror=self.destination(route.mirror),
            mirrors=self.weighted(route.mirrors),
        )

    def tls(self, route: TLSRoute) -> TLSRoute:
        return _copied(route, match=self.matches(route.match), route=self.weighted(route.route))

    def tcp(self, route: TCPRoute) -> TCPRoute:
        return _copied(route, match=self.matches(route.match), route=self.weighted(route.route))


def _copied(original: Route, /, **attributes: object) -> Route:
    """Return the rule with those attributes; the same object if it has them already, as most rules do."""
    if all(_alike(getattr(original, name), value) for name, value in attributes.items()):
        return original
    return original.model_copy(update=attributes)


def _alike(left: object, right: object) -> bool:
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(one is other for one, other in zip(left, right, strict=True))
    return left is right
