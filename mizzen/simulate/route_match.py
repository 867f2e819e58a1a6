"""Conditions of a route on a request.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto, RouteMatch
"""

from __future__ import annotations

from typing import Any, Final

from mizzen.simulate.condition import Condition, RequestTest
from mizzen.simulate.header_match import header_condition, query_condition
from mizzen.simulate.metadata_match import metadata_condition
from mizzen.simulate.request import Request
from mizzen.simulate.string_match import regex_test

_DENOMINATORS: Final = (100, 10_000, 1_000_000)


def route_conditions(match: Any) -> tuple[Condition, ...]:
    """Return the conditions of a RouteMatch that the request alone decides, the path first."""
    conditions = [_path_condition(match)]
    if match.HasField("grpc"):
        conditions.append(Condition("gRPC", "a gRPC request", _content_type, _is_grpc))
    conditions += [header_condition(header) for header in match.headers]
    conditions += [query_condition(parameter) for parameter in match.query_parameters]
    conditions += [metadata_condition(metadata) for metadata in match.dynamic_metadata]
    return tuple(conditions)


def undecided_conditions(match: Any) -> tuple[str, ...]:
    """Return in words the conditions of a RouteMatch that the request alone does not decide."""
    undecided = []
    if match.HasField("runtime_fraction"):
        fraction = match.runtime_fraction.default_value
        percent = 100 * fraction.numerator / _DENOMINATORS[fraction.denominator]
        if percent < 100 or match.runtime_fraction.runtime_key:
            undecided.append(f"a random {percent:g} % of requests")
    if match.HasField("tls_context"):
        undecided.append("the client's certificate")
    if match.filter_state:
        undecided.append("the state of filters")
    return tuple(undecided)


def _path_condition(match: Any) -> Condition:
    kind = match.WhichOneof("path_specifier")
    ignore_case = match.HasField("case_sensitive") and not match.case_sensitive.value
    if kind == "safe_regex":
        test = regex_test(match.safe_regex.regex)
        return _path("path regex", match.safe_regex.regex, lambda request: test(request.path))
    if kind == "connect_matcher":
        return _path("method", "CONNECT", lambda request: request.method == "CONNECT")
    if kind not in ("prefix", "path", "path_separated_prefix"):
        return _path(str(kind), "what the simulator does not know", lambda request: False)
    wanted = getattr(match, kind)
    folded = wanted.lower() if ignore_case else wanted

    def path(request: Request) -> str:
        return request.path.lower() if ignore_case else request.path

    if kind == "prefix":
        if wanted == "/" or not wanted:
            return _path("path prefix", wanted, lambda request: request.path.startswith(wanted))
        return _path("path prefix", wanted, lambda request: path(request).startswith(folded))
    if kind == "path":
        return _path("path", wanted, lambda request: path(request) == folded)
    below = f"{folded}/"
    return _path("path prefix", below, lambda request: f"{path(request)}/".startswith(below))


def _path(name: str, wanted: str, test: RequestTest) -> Condition:
    return Condition(name, wanted, lambda request: request.path, test)


def _content_type(request: Request) -> str:
    return request.header("content-type") or "no content type"


def _is_grpc(request: Request) -> bool:
    return request.is_grpc
