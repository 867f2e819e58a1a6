"""Conditions on headers and query parameters.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from mizzen.simulate.condition import Condition, RequestTest
from mizzen.simulate.request import Request
from mizzen.simulate.string_match import described, regex_test, string_test, text_test

_INTEGER: Final = re.compile(r"\s*[-+]?[0-9]+\s*")
_OLD_KINDS: Final = {
    "exact_match": "exact",
    "prefix_match": "prefix",
    "suffix_match": "suffix",
    "contains_match": "contains",
}


def header_test(matcher: Any) -> RequestTest:
    """Return a function that tells whether a request fulfils a HeaderMatcher.

    If a request has several headers of that name, one must have the value; inverted, none may. A condition on
    the value of a missing header fails, inverted or not, unless the matcher treats a missing header as empty.
    """
    name = matcher.name.lower()
    invert = bool(matcher.invert_match)
    kind = matcher.WhichOneof("header_match_specifier")
    if kind in (None, "present_match"):
        wanted = bool(kind is None or matcher.present_match) != invert
        if matcher.treat_missing_header_as_empty:
            return lambda request: wanted
        return lambda request: bool(request.values(name)) == wanted
    test = _value_test(matcher, kind)
    missing = matcher.treat_missing_header_as_empty and test("") != invert

    def holds(request: Request) -> bool:
        values = request.values(name)
        if not values:
            return missing
        if len(values) == 1:
            return test(values[0]) != invert
        return any(map(test, values)) != invert

    return holds


def header_condition(matcher: Any) -> Condition:
    """Return a HeaderMatcher as a condition."""
    kind = matcher.WhichOneof("header_match_specifier")
    if kind in (None, "present_match"):
        wanted = "present" if kind is None or matcher.present_match else "absent"
    elif kind == "string_match":
        wanted = described(matcher.string_match)
    elif kind == "range_match":
        wanted = f"{matcher.range_match.start} to below {matcher.range_match.end}"
    elif kind == "safe_regex_match":
        wanted = f"regex {matcher.safe_regex_match.regex}"
    else:
        wanted = f"{_OLD_KINDS[kind]} {getattr(matcher, kind)}"
    name = matcher.name.lower()
    return Condition(
        f"header {matcher.name}",
        f"not {wanted}" if matcher.invert_match else wanted,
        lambda request: ", ".join(request.values(name)) or "none",
        header_test(matcher),
    )


def query_test(matcher: Any) -> RequestTest:
    """Return a function that tells whether a request fulfils a QueryParameterMatcher."""
    name = matcher.name
    if matcher.WhichOneof("query_parameter_match_specifier") != "string_match":
        present = matcher.present_match or not matcher.HasField("present_match")
        return lambda request: (name in request.query) == present
    test = string_test(matcher.string_match)

    def holds(request: Request) -> bool:
        value = request.query.get(name)
        return value is not None and test(value)

    return holds


def query_condition(matcher: Any) -> Condition:
    """Return a QueryParameterMatcher as a condition."""
    has_text = matcher.WhichOneof("query_parameter_match_specifier") == "string_match"
    name = matcher.name
    return Condition(
        f"query parameter {name}",
        described(matcher.string_match) if has_text else "present",
        lambda request: request.query.get(name, "none"),
        query_test(matcher),
    )


def _value_test(matcher: Any, kind: str) -> Callable[[str], bool]:
    if kind == "string_match":
        return string_test(matcher.string_match)
    if kind == "safe_regex_match":
        return regex_test(matcher.safe_regex_match.regex)
    if kind == "range_match":
        start, end = matcher.range_match.start, matcher.range_match.end
        return lambda value: _INTEGER.fullmatch(value) is not None and start <= int(value) < end
    return text_test(_OLD_KINDS[kind], getattr(matcher, kind))
