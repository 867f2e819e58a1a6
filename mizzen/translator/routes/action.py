"""The action for a matched request: redirect, direct response, or forwarding to clusters.

Source: https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRoute
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from envoy.config.route.v3 import route_components_pb2

from mizzen.config.models.virtual_service import (
    Destination,
    HTTPDirectResponse,
    HTTPRedirect,
    HTTPRewrite,
    HTTPRoute,
    HTTPRouteDestination,
    RedirectPortSelection,
)
from mizzen.translator.base.cluster_names import outbound_cluster_name
from mizzen.translator.base.config_sources import duration
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.routes.encoding import encode
from mizzen.translator.routes.hash_policy import destination_hash, hash_policy
from mizzen.translator.routes.header_operations import apply_headers
from mizzen.translator.routes.mirroring import mirror_policies
from mizzen.translator.routes.retries import encoded_retries

if TYPE_CHECKING:
    from mizzen.mesh.rules.destination_rules import MergedDestinationRule
    from mizzen.mesh.service import Service

UNKNOWN_SERVICE_CLUSTER: Final = "UnknownService"
"""The cluster for a destination without a host; no such cluster exists."""

_REDIRECT: Final = route_components_pb2.RedirectAction
_REDIRECT_CODES: Final = {
    0: _REDIRECT.MOVED_PERMANENTLY,
    301: _REDIRECT.MOVED_PERMANENTLY,
    302: _REDIRECT.FOUND,
    303: _REDIRECT.SEE_OTHER,
    307: _REDIRECT.TEMPORARY_REDIRECT,
    308: _REDIRECT.PERMANENT_REDIRECT,
}


@dataclass(frozen=True, slots=True, eq=False)
class Destinations:
    """Everything that is looked up for the destinations of a route.

    A destination without a port means the only port of its service if `services` has that service, otherwise
    the listener's port. `rules` are the merged DestinationRules of the destinations' hosts. `aliases` maps an
    alias to the host that it stands for.
    """

    listen_port: int
    services: Mapping[str, Service] = field(default_factory=dict)
    rules: Mapping[str, MergedDestinationRule] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def address(self, destination: Destination) -> tuple[str, int]:
        """Return the host and the port whose cluster the destination means."""
        if destination.port is not None:
            port = destination.port.number
        else:
            service = self.services.get(destination.host)
            single = service is not None and len(service.ports) == 1
            port = service.ports[0].number if service is not None and single else self.listen_port
        return self.aliases.get(destination.host, destination.host), port

    def cluster(self, destination: Destination) -> str:
        """Return the name of the destination's cluster; the cluster need not exist."""
        if not destination.host:
            return UNKNOWN_SERVICE_CLUSTER
        host, port = self.address(destination)
        return outbound_cluster_name(port, destination.subset, host)

    def hash_policy(self, destination: Destination) -> Any | None:
        """Return Envoy's HashPolicy for the destination, or None."""
        return hash_policy(destination_hash(self.rules.get(destination.host), destination))


def apply_redirect(out: Any, redirect: HTTPRedirect, *, listen_port: int, tls: bool) -> None:
    """Let the Route `out` answer with a redirect.

    For a code that Envoy cannot send, the answer is an error instead. Istio leaves such a route without an
    action, and then Envoy rejects all routes of the port.
    """
    code = _REDIRECT_CODES.get(redirect.redirect_code)
    if code is None:
        out.direct_response.status = HTTPStatus.INTERNAL_SERVER_ERROR
        return
    action = out.redirect
    action.SetInParent()
    action.host_redirect = redirect.authority
    if redirect.prefix_rewrite:
        action.prefix_rewrite = redirect.prefix_rewrite
    elif redirect.uri:
        action.path_redirect = redirect.uri
    if redirect.scheme:
        action.scheme_redirect = redirect.scheme
    port = redirect.port or 0
    if redirect.derive_port is RedirectPortSelection.FROM_REQUEST_PORT:
        port = listen_port
    scheme = redirect.scheme or ("https" if tls else "http")
    # The Location header leaves out a port that is the default of the scheme.
    action.port_redirect = 0 if (port, scheme) in ((80, "http"), (443, "https")) else port
    action.response_code = code


def apply_direct_response(out: Any, response: HTTPDirectResponse) -> None:
    """Let the Route `out` answer by itself."""
    out.direct_response.status = response.status
    if response.body is not None:
        if response.body.string is not None:
            out.direct_response.body.inline_string = response.body.string
        elif response.body.bytes_ is not None:
            out.direct_response.body.inline_bytes = response.body.bytes_


class Forwarding(NamedTuple):
    """An encoded RouteAction, and the host and port that it forwards to, if it is a single known one."""

    action: bytes
    host: str = ""
    port: int = 0


def forwarding(
    out: Any, route: HTTPRoute, destinations: Destinations, settings: RouteSettings, authority: str
) -> Forwarding:
    """Return the action that forwards to the destinations of `route`.

    `authority` is the one that the route's header operations set. `rewrite.authority` overrides it. The
    header operations of a single destination are added to the Route `out`; they set the authority only if
    neither of the two does.
    """
    action = route_components_pb2.RouteAction()
    if route.rewrite is not None:
        _apply_rewrite(action, route.rewrite)
        authority = route.rewrite.authority or authority
    if settings.append_x_forwarded_host:
        action.append_x_forwarded_host = True
    if route.mirror is not None or route.mirrors:
        action.request_mirror_policies.extend(mirror_policies(route, destinations.cluster))
    host, port = "", 0
    if len(route.route) == 1:
        target = route.route[0]
        destination = target.destination or Destination()
        if destination.host:
            host, port = destinations.address(destination)
            action.cluster = outbound_cluster_name(port, destination.subset, host)
        else:
            action.cluster = UNKNOWN_SERVICE_CLUSTER
        own_authority = apply_headers(out, target.headers)
        authority = authority or own_authority
        policy = destinations.hash_policy(destination)
        if policy is not None:
            action.hash_policy.append(policy)
    else:
        _apply_weighted(action, route.route, destinations)
    if authority:
        action.host_rewrite_literal = authority
    retries = encoded_retries(
        settings.default_retries if route.retries is None else route.retries, bool(action.hash_policy)
    )
    return Forwarding(encode(action) + encoded_timeout(route.timeout) + retries, host, port)


@lru_cache(maxsize=256)
def encoded_timeout(timeout: timedelta | None) -> bytes:
    """Return the fields of a RouteAction for its timeout; see `apply_timeout`."""
    action = route_components_pb2.RouteAction()
    apply_timeout(action, timeout)
    return encode(action)


def apply_timeout(action: Any, timeout: timedelta | None) -> None:
    """Set the timeout of a RouteAction; None switches Envoy's default of 15 seconds off.

    `max_grpc_timeout` is set as well: without it, Envoy would ignore the `grpc-timeout` header of a client.
    """
    limit = duration(timedelta(0) if timeout is None else timeout)
    action.timeout.CopyFrom(limit)
    action.max_grpc_timeout.CopyFrom(limit)


def _apply_rewrite(action: Any, rewrite: HTTPRewrite) -> None:
    if rewrite.uri_regex_rewrite is not None:
        action.regex_rewrite.pattern.regex = rewrite.uri_regex_rewrite.match
        action.regex_rewrite.substitution = rewrite.uri_regex_rewrite.rewrite
    elif rewrite.uri:
        action.prefix_rewrite = rewrite.uri


def _apply_weighted(
    action: Any, targets: tuple[HTTPRouteDestination, ...], destinations: Destinations
) -> None:
    """Distribute requests among destinations by weight; those with weight 0 get none."""
    weighted = action.weighted_clusters
    weighted.SetInParent()
    for target in targets:
        if not target.weight:
            continue
        destination = target.destination or Destination()
        cluster = weighted.clusters.add(name=destinations.cluster(destination))
        cluster.weight.value = target.weight
        authority = apply_headers(cluster, target.headers)
        if authority:
            cluster.host_rewrite_literal = authority
        policy = destinations.hash_policy(destination)
        if policy is not None:
            action.hash_policy.append(policy)
