"""Cross-origin resource sharing: the filter, and Istio's CorsPolicy as Envoy's for each route.

Source: https://istio.io/latest/docs/reference/config/networking/virtual-service/#CorsPolicy
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mizzen.config.models.virtual_service import HTTPRoute, UnmatchedPreflights
from mizzen.translator.base.fractional_percent import whole_percent
from mizzen.translator.base.string_matcher import string_matcher
from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.http_filter import HttpFilter, HttpFilterContext, HttpStep

NAME: Final = "envoy.filters.http.cors"


def cors(_: HttpFilterContext) -> Iterator[Any]:
    """Yield the filter, for all connection managers."""
    yield typed(hcm.HttpFilter, NAME, cors_pb2.Cors())


def route_cors(route: HTTPRoute) -> Any | None:
    """Return Envoy's CorsPolicy for a route, or None if the route has no `corsPolicy`."""
    policy = route.cors_policy
    if policy is None:
        return None
    out = cors_pb2.CorsPolicy(
        allow_methods=",".join(policy.allow_methods),
        allow_headers=",".join(policy.allow_headers),
        expose_headers=",".join(policy.expose_headers),
    )
    if policy.allow_origins:
        out.allow_origin_string_match.extend(string_matcher(origin) for origin in policy.allow_origins)
    else:
        for origin in policy.allow_origin:
            out.allow_origin_string_match.add(exact=origin)
    if policy.max_age is not None:
        out.max_age = str(int(policy.max_age.total_seconds()))
    if policy.allow_credentials is not None:
        out.allow_credentials.value = policy.allow_credentials
    out.filter_enabled.default_value.CopyFrom(whole_percent(100))
    out.forward_not_matching_preflights.value = policy.unmatched_preflights is not UnmatchedPreflights.IGNORE
    return out


FILTER: Final = HttpFilter(NAME, HttpStep.CORS, cors, configure_route=route_cors)
