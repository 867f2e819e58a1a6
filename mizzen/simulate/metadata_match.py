"""Conditions on the dynamic metadata of a request, such as the claims of a JWT.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/type/matcher/v3/metadata.proto
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from mizzen.simulate.header_match import RequestTest
from mizzen.simulate.request import Request
from mizzen.simulate.string_match import described, string_test

_MISSING: Final = object()
_Test = Callable[[Any], bool]


def metadata_test(matcher: Any) -> RequestTest:
    """Return a function that says whether a request fulfils a MetadataMatcher."""
    namespace = matcher.filter
    path = [segment.key for segment in matcher.path]
    test = _value_test(matcher.value)
    invert = bool(matcher.invert)

    def holds(request: Request) -> bool:
        value: Any = request.dynamic_metadata.get(namespace, _MISSING)
        for key in path:
            value = value.get(key, _MISSING) if isinstance(value, Mapping) else _MISSING
        return test(value) != invert

    return holds


def metadata_condition(matcher: Any) -> tuple[str, str]:
    """Return the name of the condition, and in words what it asks for."""
    path = ".".join(segment.key for segment in matcher.path)
    wanted = _described(matcher.value)
    return f"metadata {matcher.filter} {path}", f"not {wanted}" if matcher.invert else wanted


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
        return f"a list with {_described(matcher.list_match.one_of)}"
    if kind == "or_match":
        return " or ".join(map(_described, matcher.or_match.value_matchers))
    return str(matcher).strip().replace("\n", " ")
