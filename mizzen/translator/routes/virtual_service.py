"""The HTTP routes of a VirtualService, and the default route of a service without one.

Sources: Istio's pilot/pkg/networking/core/route (the order and the end of the list, names, metadata);
https://istio.io/latest/docs/reference/config/networking/virtual-service/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from envoy.config.route.v3 import route_components_pb2

from mizzen.config.diagnostics import Origin
from mizzen.config.document import Config
from mizzen.config.models.destination_rule import ConsistentHashLB
from mizzen.config.models.virtual_service import HTTPMatchRequest, HTTPRoute
from mizzen.mesh.rules.virtual_services import MESH, HttpRule, VirtualServiceRule, http_destinations
from mizzen.translator.base.cluster_names import outbound_cluster_name
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.base.typed_config import pack
from mizzen.translator.filters.http import route_settings
from mizzen.translator.routes.action import (
    Destinations,
    apply_direct_response,
    apply_redirect,
    encoded_timeout,
    forwarding,
)
from mizzen.translator.routes.encoding import (
    CLUSTER,
    DECORATOR,
    HASH_POLICY,
    OPERATION,
    ROUTE_ACTION,
    encode,
    encoded_routes,
)
from mizzen.translator.routes.hash_policy import hash_policy
from mizzen.translator.routes.header_operations import apply_headers
from mizzen.translator.routes.match import is_catch_all, path_text, route_match
from mizzen.translator.routes.retries import encoded_retries
from mizzen.xds.wire import length_delimited

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
    rule: VirtualServiceRule,
    applying: Iterable[Position],
    destinations: Destinations,
    settings: RouteSettings,
    *,
    tls: bool,
) -> RouteList:
    """Return the routes of a VirtualService for the conditions `applying`, one for each.

    Routes after one that matches every request are left out, because no request would reach them. The
    destinations' `listen_port` is also the port for redirects: the listener's port of a sidecar, or the
    server's port of a gateway. `tls`: connections use TLS.
    """
    routes: list[bytes] = []
    catch_all: list[bool] = []
    rules: list[tuple[str, HttpRule]] = []
    metadata = _metadata(rule.config)
    for place, at in applying:
        http = rule.http[place]
        match = http.route.match[at] if at >= 0 else None
        name = f"{http.route.name}.{match.name}" if match is not None and match.name else http.route.name
        route = _route(name, http.route, match, rule, destinations, settings, tls=tls)
        everything = is_catch_all(match)
        routes.append(route + metadata)
        catch_all.append(everything)
        rules.append((name, http))
        if everything:
            break
    places = tuple(dict.fromkeys([http.origin for _, http in rules]))
    return RouteList(tuple(routes), tuple(catch_all), tuple(rules), encoded_routes(routes), places)


def destination_hosts(rule: VirtualServiceRule, applying: Iterable[Position]) -> tuple[str, ...]:
    """Return the hosts to which these parts of a VirtualService send or mirror requests, each once."""
    found: dict[str, None] = {}
    for place in dict.fromkeys([place for place, _ in applying]):
        for target in http_destinations(rule.http[place].route):
            found[target.host] = None
    return tuple(found)


class DefaultRoutes:
    """The routes of services without a VirtualService. Everything except the names is encoded only once."""

    __slots__ = ("_action", "_route")

    def __init__(self, settings: RouteSettings) -> None:
        self._action = encoded_timeout(None) + encoded_retries(settings.default_retries, False)
        self._route = encode(route_components_pb2.Route(name=DEFAULT_ROUTE_NAME, match=route_match(None)))

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


def _route(
    name: str,
    route: HTTPRoute,
    match: HTTPMatchRequest | None,
    rule: VirtualServiceRule,
    destinations: Destinations,
    settings: RouteSettings,
    *,
    tls: bool,
) -> bytes:
    out = route_components_pb2.Route(name=name, match=route_match(match))
    if match is not None and match.stat_prefix:
        out.stat_prefix = match.stat_prefix
    authority = apply_headers(out, route.headers)
    called, action = f"{rule.config.name}:{destinations.listen_port}", b""
    if route.redirect is not None:
        apply_redirect(out, route.redirect, listen_port=destinations.listen_port, tls=tls)
    elif route.direct_response is not None:
        apply_direct_response(out, route.direct_response)
    else:
        forwards = forwarding(out, route, destinations, settings, authority)
        action = length_delimited(ROUTE_ACTION, forwards.action)
        if forwards.host:
            called = f"{forwards.host}:{forwards.port}"
    # The name of the tracing span.
    out.decorator.operation = called + path_text(match)
    for name, filter_settings in route_settings(route):
        out.typed_per_filter_config[name].CopyFrom(pack(filter_settings))
    return encode(out) + action


def _metadata(config: Config[Any]) -> bytes:
    """Return the `metadata` field of a Route: the path of the document as Istio writes it. It has no file or
    line, which change when other documents in the file are edited."""
    path = f"/apis/{config.api_version}/namespaces/{config.namespace}/virtual-service/{config.name}"
    route = route_components_pb2.Route()
    route.metadata.filter_metadata["istio"].fields["config"].string_value = path
    return encode(route)
