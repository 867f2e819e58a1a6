"""Conditions on the dynamic metadata of a request, such as the claims of a JWT.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/type/matcher/v3/metadata.proto
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from mizzen.simulate.condition import Condition, RequestTest
from mizzen.simulate.request import Request
from mizzen.simulate.string_match import described, string_test

JWT_FILTER: Final = "envoy.filters.http.jwt_authn"
"""The key under which the JWT filter stores its results."""

_MISSING: Final = object()
_LIST: Final = "a list with "
_Test = Callable[[Any], bool]


def metadata_test(matcher: Any) -> RequestTest:
    """Return a function that tells whether a request fulfils a MetadataMatcher."""
    find = _finder(matcher)
    test = _value_test(matcher.value)
    invert = bool(matcher.invert)
    return lambda request: test(find(request)) != invert


def metadata_condition(matcher: Any) -> Condition:
    """Return a MetadataMatcher as a condition: `claim sub` for a claim of a JWT."""
    keys = [segment.key for segment in matcher.path]
    find, wanted = _finder(matcher), _described(matcher.value)
    is_claim = matcher.filter == JWT_FILTER and len(keys) > 1

    def found(request: Request) -> str:
        value = find(request)
        if isinstance(value, str):
            return value
        return "none" if value is _MISSING else json.dumps(value)

    return Condition(
        f"claim {'.'.join(keys[1:])}" if is_claim else f"metadata {matcher.filter} {'.'.join(keys)}",
        f"not {wanted}" if matcher.invert else wanted,
        found,
        metadata_test(matcher),
    )


def _finder(matcher: Any) -> Callable[[Request], Any]:
    """Return a function that finds the value in a request."""
    namespace = matcher.filter
    keys = [segment.key for segment in matcher.path]

    def find(request: Request) -> Any:
        value: Any = request.dynamic_metadata.get(namespace, _MISSING)
        for key in keys:
            value = value.get(key, _MISSING) if isinstance(value, Mapping) else _MISSING
        return value

    return find


def _value_test(matcher: Any) -> _Test:
    kind = matcher.WhichOneof("match_pattern")
    if kind == "string_match":
        text = string_test(matcher.string_match)
        return lambda value: isinstance(value, str) and text(value)
    if kind == "present_match":
        wanted = matcher.present_match
        return lambda value: (value is not _MISSING) == wanted
    if kind == "bool_match":
        truth = matcher.bool_match
        return lambda value: value is truth
    if kind == "null_match":
        return lambda value: value is None
    if kind == "list_match":
        one = _value_test(matcher.list_match.one_of)
        return lambda value: isinstance(value, list | tuple) and any(map(one, value))
    if kind == "or_match":
        tests = [_value_test(each) for each in matcher.or_match.value_matchers]
        return lambda value: any(test(value) for test in tests)
    if kind == "double_match":
        return _double_test(matcher.double_match)
    return lambda value: False


def _double_test(matcher: Any) -> _Test:
    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    if matcher.WhichOneof("match_pattern") == "range":
        start, end = matcher.range.start, matcher.range.end
        return lambda value: is_number(value) and start <= value < end
    return lambda value: is_number(value) and value == matcher.exact


def _described(matcher: Any) -> str:
    kind = matcher.WhichOneof("match_pattern")
    if kind == "string_match":
        return described(matcher.string_match)
    if kind == "present_match":
        return "present" if matcher.present_match else "absent"
    if kind == "list_match":
        return f"{_LIST}{_described(matcher.list_match.one_of)}"
    if kind == "or_match":
        # A claim may be a text or a list. Then the matcher tests for both, and describing the text is enough.
        words = [_described(each) for each in matcher.or_match.value_matchers]
        lists = {f"{_LIST}{each}" for each in words}
        return " or ".join(each for each in words if each not in lists)
    return str(matcher).strip().replace("\n", " ")
