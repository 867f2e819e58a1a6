"""CORS preflights that the CORS filter answers itself.

Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/cors_filter
"""

from __future__ import annotations

from typing import Any, Final

from envoy.extensions.filters.http.cors.v3 import cors_pb2

from mizzen.simulate.fault import percent
from mizzen.simulate.request import Request
from mizzen.simulate.string_match import string_test
from mizzen.simulate.typed_config import unpacked

TYPE: Final = str(cors_pb2.Cors.DESCRIPTOR.full_name)


class Cors:
    """A compiled CorsPolicy."""

    __slots__ = ("_enabled", "_forwards_others", "_origins")

    def __init__(self, policy: Any) -> None:
        self._origins = [string_test(matcher) for matcher in policy.allow_origin_string_match]
        fraction = policy.filter_enabled
        self._enabled = not policy.HasField("filter_enabled") or percent(fraction.default_value) > 0
        others = policy.forward_not_matching_preflights
        self._forwards_others = others.value or not policy.HasField("forward_not_matching_preflights")

    def answers(self, request: Request) -> bool:
        """Return True if the request is a preflight that the filter answers."""
        if not (self._enabled and is_preflight(request)):
            return False
        origin = request.header("origin")
        return not self._forwards_others or any(test(origin) for test in self._origins)


def is_preflight(request: Request) -> bool:
    """Return True if the request is one by which a browser asks what it may do."""
    if request.method != "OPTIONS":
        return False
    return bool(request.header("origin") and request.header("access-control-request-method"))


def cors_of(packed: Any) -> Cors | None:
    """Return the policy of a typed configuration; None if it has a different type."""
    policy = unpacked(packed, cors_pb2.CorsPolicy)
    return Cors(policy) if policy is not None else None
