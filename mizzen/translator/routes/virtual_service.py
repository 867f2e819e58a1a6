"""The HTTP routes of a VirtualService, and the default route of a service without one.

Sources: Istio's pilot/pkg/networking/core/route (the order and the end of the list, names, metadata);
https://istio.io/latest/docs/reference/config/networking/virtual-service/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from envoy.config.route.v3 import route_components_pb2

from mizzen.config.diagnostics import Origin
from mizzen.config.document import Config
from mizzen.config.models.destination_rule import ConsistentHashLB
from mizzen.config.models.virtual_service import HTTPMatchRequest, HTTPRoute
from mizzen.mesh.rules.virtual_services import MESH, HttpRule, VirtualServiceRule, http_destinations
from mizzen.translator.base.cluster_names import outbound_cluster_name, parse_cluster_name
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.base.typed_config import pack
from mizzen.translator.routes.action import (
    Destinations,
    apply_direct_response,
    apply_redirect,
    apply_route,
    apply_timeout,
)
from mizzen.translator.routes.cors import CORS_FILTER, cors_policy
from mizzen.translator.routes.encoding import (
    CLUSTER,
    DECORATOR,
    HASH_POLICY,
    OPERATION,
    ROUTE_ACTION,
    encode,
    encoded_routes,
    length_delimited,
)
from mizzen.translator.routes.fault import FAULT_FILTER, http_fault
from mizzen.translator.routes.hash_policy import hash_policy
from mizzen.translator.routes.header_operations import apply_headers
from mizzen.translator.routes.match import is_catch_all, route_match
from mizzen.translator.routes.retries import retry_policy

DEFAULT_ROUTE_NAME: Final = "default"

RouteOrigin = tuple[str, Origin]
"""The name of a route, and the origin of its rule."""


Position = tuple[int, int]
"""The index of an HTTP rule in its VirtualService, and the index of a condition in the rule; -1 if the rule
has no conditions."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The properties of a caller that conditions may ask for: the namespace and labels of the proxy, the
    port, and `mesh` or the `namespace/name` of a gateway."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    port: int
    gateway: str = MESH

    def applying(self, rule: VirtualServiceRule) -> tuple[Position, ...]:
        """Return the conditions of a VirtualService that can hold for the caller's requests. Apart from them,
        routes depend only on the caller's port and gateway."""
        return tuple(self._applying(rule))

    def applies_any(self, rule: VirtualServiceRule) -> bool:
        """Return whether a VirtualService has routes for the caller's requests."""
        return next(self._applying(rule), None) is not None

    def _applying(self, rule: VirtualServiceRule) -> Iterator[Position]:
        for place, http in enumerate(rule.http):
            if not http.route.match:
                yield place, -1
                return
            for at, match in enumerate(http.route.match):
                if self._meets(match):
                    yield place, at

    def _meets(self, match: HTTPMatchRequest) -> bool:
        """Return whether a condition can hold for the caller. If it has gateways, its labels and namespace
        are ignored."""
        if match.port and match.port != self.port:
            return False
        if match.gateways:
            return self.gateway in match.gateways
        if match.source_namespace not in ("", self.namespace):
            return False
        wanted = match.source_labels
        return not wanted or all(label in self.labels for label in wanted.items())


@dataclass(frozen=True, slots=True, eq=False)
class RouteContext:
    """What the routes of a VirtualService depend on, besides the VirtualService and the applying conditions.

    The destinations' `listen_port` is also the port for redirects: the listener's port of a sidecar, or the
    server's port of a gateway. `tls`: connections use TLS.
    """

    destinations: Destinations
    settings: RouteSettings
    tls: bool = False

    @property
    def port(self) -> int:
        """The port for redirects."""
        return self.destinations.listen_port


@dataclass(frozen=True, slots=True, eq=False)
class RouteList:
    """The encoded routes of one VirtualService for one port, in order.

    `routes` are Route messages. `catch_all` says for each whether it matches every request. `rules` are their
    names and the rules that they come from. Compared by identity: hosts with the same list may share a
    virtual host.
    """

    routes: tuple[bytes, ...]
    catch_all: tuple[bool, ...]
    rules: tuple[tuple[str, HttpRule], ...]
    fields: bytes
    """The `routes` fields of a VirtualHost."""
    places: tuple[Origin, ...]
    """The origins of the rules when the routes were made, each once."""

    @property
    def origins(self) -> tuple[RouteOrigin, ...]:
        """The routes' names and the current origins of their rules. Lines may move without new routes."""
        return tuple((name, rule.config.origin_of("spec", "http", rule.index)) for name, rule in self.rules)

    def __bool__(self) -> bool:
        return bool(self.routes)


def virtual_service_routes(
    rule: VirtualServiceRule, applying: Iterable[Position], context: RouteContext
) -> RouteList:
    """Return the routes of a VirtualService for the conditions `applying`, one for each.

    Routes after one that matches every request are left out, because no request would reach them.
    """
    routes: list[bytes] = []
    catch_all: list[bool] = []
    rules: list[tuple[str, HttpRule]] = []
    for message, http in _routes(rule, applying, context):
        routes.append(encode(message))
        catch_all.append(is_catch_all(message.match))
        rules.append((message.name, http))
    places = tuple(dict.fromkeys(http.origin for _, http in rules))
    return RouteList(tuple(routes), tuple(catch_all), tuple(rules), encoded_routes(routes), places)


def destination_hosts(rule: VirtualServiceRule, applying: Iterable[Position]) -> tuple[str, ...]:
    """Return the hosts to which these parts of a VirtualService send or mirror requests, each once."""
    routes = [rule.http[place].route for place in dict.fromkeys(place for place, _ in applying)]
    return tuple(dict.fromkeys(target.host for route in routes for target in http_destinations(route)))


class DefaultRoutes:
    """The routes of services without a VirtualService. Everything except the names is encoded only once."""

    __slots__ = ("_action", "_route")

    def __init__(self, settings: RouteSettings) -> None:
        action = route_components_pb2.RouteAction()
        apply_timeout(action, timedelta(0))
        policy = retry_policy(settings.default_retries)
        if policy is not None:
            action.retry_policy.CopyFrom(policy)
        route = route_components_pb2.Route(name=DEFAULT_ROUTE_NAME, match=route_match(None))
        self._action = encode(action)
        self._route = encode(route)

    def route(self, hostname: str, port: int, consistent_hash: ConsistentHashLB | None = None) -> bytes:
        """Return the encoded Route that sends every request to the service's own cluster."""
        action = [self._action, length_delimited(CLUSTER, outbound_cluster_name(port, "", hostname).encode())]
        policy = hash_policy(consistent_hash)
        if policy is not None:
            action.append(length_delimited(HASH_POLICY, encode(policy)))
        decorator = length_delimited(OPERATION, f"{hostname}:{port}/*".encode())
        return b"".join(
            (
                self._route,
                length_delimited(ROUTE_ACTION, *action),
                length_delimited(DECORATOR, decorator),
            )
        )


def _routes(
    rule: VirtualServiceRule, applying: Iterable[Position], context: RouteContext
) -> Iterator[tuple[Any, HttpRule]]:
    for place, at in applying:
        http = rule.http[place]
        message = _route(http.route, http.route.match[at] if at >= 0 else None, rule, context)
        yield message, http
        if is_catch_all(message.match):
            return


def _route(
    route: HTTPRoute,
    match: HTTPMatchRequest | None,
    rule: VirtualServiceRule,
    context: RouteContext,
) -> Any:
    out = route_components_pb2.Route(name=route.name, match=route_match(match))
    if match is not None:
        if match.name:
            out.name = f"{route.name}.{match.name}"
        out.stat_prefix = match.stat_prefix
    out.metadata.filter_metadata["istio"].fields["config"].string_value = _config_path(rule.config)
    authority = apply_headers(out, route.headers)
    if route.redirect is not None:
        apply_redirect(out, route.redirect, listen_port=context.port, tls=context.tls)
    elif route.direct_response is not None:
        apply_direct_response(out, route.direct_response)
    else:
        apply_route(out, route, context.destinations, context.settings, authority)
    out.decorator.operation = _operation(out, rule.config.name, context.port)
    _apply_filters(out, route)
    return out


def _apply_filters(out: Any, route: HTTPRoute) -> None:
    fault = http_fault(route.fault) if route.fault is not None else None
    if fault is not None:
        out.typed_per_filter_config[FAULT_FILTER].CopyFrom(pack(fault))
    if route.cors_policy is not None:
        out.typed_per_filter_config[CORS_FILTER].CopyFrom(pack(cors_policy(route.cors_policy)))


def _config_path(config: Config[Any]) -> str:
    """Return the path of the document as Istio writes it. It has no file or line, which change when other
    documents in the file are edited."""
    return f"/apis/{config.api_version}/namespaces/{config.namespace}/virtual-service/{config.name}"


def _operation(out: Any, virtual_service: str, port: int) -> str:
    """Return the name of the route's tracing span: the destination if it has one, else the VirtualService."""
    match = out.match
    path, text = match.WhichOneof("path_specifier"), "/*"
    if path == "prefix":
        text = match.prefix + "*"
    elif path == "path":
        text = match.path
    elif path == "safe_regex":
        text = match.safe_regex.regex
    cluster = parse_cluster_name(out.route.cluster) if out.HasField("route") else None
    if cluster is not None:
        return f"{cluster.hostname}:{cluster.port}{text}"
    return f"{virtual_service}:{port}{text}"
