"""The action for a matched request: redirect, direct response, or forwarding to clusters.

Source: https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRoute
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

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
from mizzen.translator.routes.hash_policy import destination_hash, hash_policy
from mizzen.translator.routes.header_operations import apply_headers
from mizzen.translator.routes.mirroring import mirror_policies
from mizzen.translator.routes.retries import default_retry_policy, retry_policy

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


_NO_TIMEOUT: Final = duration(timedelta(0))


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

    def cluster(self, destination: Destination) -> str:
        """Return the name of the destination's cluster; the cluster need not exist."""
        if not destination.host:
            return UNKNOWN_SERVICE_CLUSTER
        if destination.port is not None:
            port = destination.port.number
        else:
            service = self.services.get(destination.host)
            single = service is not None and len(service.ports) == 1
            port = service.ports[0].number if service is not None and single else self.listen_port
        host = self.aliases.get(destination.host, destination.host)
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


def apply_route(
    out: Any, route: HTTPRoute, destinations: Destinations, settings: RouteSettings, authority: str
) -> None:
    """Let the Route `out` forward to the destinations of `route`.

    `authority` is the one that the route's header operations set. `rewrite.authority` overrides it. The
    header operations of a single destination count only if neither sets an authority.
    """
    action = out.route
    apply_timeout(action, route.timeout)
    if route.rewrite is not None:
        _apply_rewrite(action, route.rewrite)
        authority = route.rewrite.authority or authority
    if authority:
        action.host_rewrite_literal = authority
    action.append_x_forwarded_host = settings.append_x_forwarded_host
    action.request_mirror_policies.extend(mirror_policies(route, destinations.cluster))
    hashed = False
    if len(route.route) == 1:
        hashed = _apply_single(out, route.route[0], destinations)
    else:
        _apply_weighted(action, route.route, destinations)
    if route.retries is not None:
        policy = retry_policy(route.retries, consistent_hash=hashed)
    else:
        policy = default_retry_policy(settings.default_retries, consistent_hash=hashed)
    if policy is not None:
        action.retry_policy.CopyFrom(policy)


def apply_timeout(action: Any, timeout: timedelta | None) -> None:
    """Set the timeout of a RouteAction; None switches Envoy's default of 15 seconds off.

    `max_grpc_timeout` is set as well: without it, Envoy would ignore the `grpc-timeout` header of a client.
    """
    limit = duration(timeout) if timeout else _NO_TIMEOUT
    action.timeout.CopyFrom(limit)
    action.max_grpc_timeout.CopyFrom(limit)


def _apply_rewrite(action: Any, rewrite: HTTPRewrite) -> None:
    if rewrite.uri_regex_rewrite is not None:
        action.regex_rewrite.pattern.regex = rewrite.uri_regex_rewrite.match
        action.regex_rewrite.substitution = rewrite.uri_regex_rewrite.rewrite
    elif rewrite.uri:
        action.prefix_rewrite = rewrite.uri


def _apply_single(out: Any, target: HTTPRouteDestination, destinations: Destinations) -> bool:
    """Forward to one destination; add its header operations to the route's. Return whether it has a hash
    policy."""
    action = out.route
    destination = target.destination or Destination()
    action.cluster = destinations.cluster(destination)
    authority = apply_headers(out, target.headers)
    if authority and not action.host_rewrite_literal:
        action.host_rewrite_literal = authority
    policy = destinations.hash_policy(destination)
    if policy is not None:
        action.hash_policy.append(policy)
    return policy is not None


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
