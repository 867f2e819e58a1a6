"""Cross-origin resource sharing: Istio's CorsPolicy as Envoy's, for each route.

Source: https://istio.io/latest/docs/reference/config/networking/virtual-service/#CorsPolicy
"""

from __future__ import annotations

from typing import Any, Final

from envoy.extensions.filters.http.cors.v3 import cors_pb2

from mizzen.config.models.virtual_service import CorsPolicy, UnmatchedPreflights
from mizzen.translator.routes.fault import whole_percent
from mizzen.translator.routes.match import string_matcher

CORS_FILTER: Final = "envoy.filters.http.cors"


def cors_policy(policy: CorsPolicy) -> Any:
    """Return Envoy's CorsPolicy for a route."""
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
