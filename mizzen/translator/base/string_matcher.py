"""Istio's StringMatch as Envoy's StringMatcher."""

from __future__ import annotations

from typing import Any

from envoy.type.matcher.v3 import string_pb2

from mizzen.config.models.virtual_service import StringMatch


def string_matcher(condition: StringMatch) -> Any:
    """Return Envoy's StringMatcher for a condition that has a text. Regular expressions are RE2, and must
    match the whole value."""
    out = string_pb2.StringMatcher()
    if condition.exact is not None:
        out.exact = condition.exact
    elif condition.prefix is not None:
        out.prefix = condition.prefix
    elif condition.regex is not None:
        out.safe_regex.regex = condition.regex
    return out
