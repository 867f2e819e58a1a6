"""The HTTP routes of a VirtualService, and the route of a service that has none.

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
"""The name of a route, and the place of the rule that it comes from."""


Position = tuple[int, int]
"""The places of an HTTP rule in its VirtualService and of a condition in it: -1 if it has none."""


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom routes are, as conditions may ask for it: the namespace and labels of a proxy, a port, and
    `mesh` or the `namespace/name` of a gateway."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    port: int
    gateway: str = MESH

    def applying(self, rule: VirtualServiceRule) -> tuple[Position, ...]:
        """Return the conditions of a VirtualService that can hold for its requests. Routes depend on nothing
        else of the caller but its port and gateway."""
        return tuple(self._applying(rule))

    def applies_any(self, rule: VirtualServiceRule) -> bool:
        """Return whether a VirtualService has routes for its requests."""
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
        """Return whether a condition can hold at all. Where it names gateways, labels and namespace are not
        looked at."""
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
    """All that the routes of one VirtualService depend on, besides itself and the conditions that apply.

    The destinations' `listen_port` is also the port that redirects mean: the listener's of a sidecar, the
    server's of a gateway. `tls`: the connection came over TLS.
    """

    destinations: Destinations
    settings: RouteSettings
    tls: bool = False

    @property
    def port(self) -> int:
        """The port that redirects mean."""
        return self.destinations.listen_port


@dataclass(frozen=True, slots=True, eq=False)
class RouteList:
    """The encoded routes of one VirtualService for one port, in order.

    `routes` are Route messages; `catch_all` says of each whether it takes every request; `rules` are their
    names and the rules they come from. Compared by identity, as hosts with one list may share a virtual host.
    """

    routes: tuple[bytes, ...]
    catch_all: tuple[bool, ...]
    rules: tuple[tuple[str, HttpRule], ...]
    fields: bytes
    """The `routes` fields of a VirtualHost."""
    places: tuple[Origin, ...]
    """Where the rules stood when the routes were made, each place once."""

    @property
    def origins(self) -> tuple[RouteOrigin, ...]:
        """The routes' names and where their rules stand now: lines move, and the routes stay as they are."""
        return tuple((name, rule.config.origin_of("spec", "http", rule.index)) for name, rule in self.rules)

    def __bool__(self) -> bool:
        return bool(self.routes)


def virtual_service_routes(
    rule: VirtualServiceRule, applying: Iterable[Position], context: RouteContext
) -> RouteList:
    """Return the routes of a VirtualService as one proxy is to have them: one for each of the conditions
    `applying`.

    What stands behind a route that takes every request is left out, since no request would reach it.
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
    """Return the hosts that these parts of a VirtualService send requests or copies of them to, each once."""
    routes = [rule.http[place].route for place in dict.fromkeys(place for place, _ in applying)]
    return tuple(dict.fromkeys(target.host for route in routes for target in http_destinations(route)))


class DefaultRoutes:
    """The routes of services without a VirtualService. All but the names is encoded once."""

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
    """Return where Istio says that the configuration is; no file or line, which change when others' lines
    do."""
    return f"/apis/{config.api_version}/namespaces/{config.namespace}/virtual-service/{config.name}"


def _operation(out: Any, virtual_service: str, port: int) -> str:
    """Return the name of the route's span: the destination if there is one, else the VirtualService."""
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
