"""Envoy's StringMatcher and RegexMatcher.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/type/matcher/v3/string.proto
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import re2

StringTest = Callable[[str], bool]


def string_test(matcher: Any) -> StringTest:
    """Return a function that tells whether a text matches a StringMatcher."""
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return regex_test(matcher.safe_regex.regex)
    if kind not in ("exact", "prefix", "suffix", "contains"):
        return lambda text: False
    return text_test(kind, getattr(matcher, kind), ignore_case=matcher.ignore_case)


def text_test(kind: str, wanted: str, *, ignore_case: bool = False) -> StringTest:
    """Return a function that tells whether a text is `wanted`, or has it at its
    beginning, end or anywhere."""
    if ignore_case:
        test = text_test(kind, wanted.lower())
        return lambda text: test(text.lower())
    if kind == "exact":
        return lambda text: text == wanted
    if kind == "prefix":
        return lambda text: text.startswith(wanted)
    if kind == "suffix":
        return lambda text: text.endswith(wanted)
    return lambda text: wanted in text


def regex_test(regex: str) -> StringTest:
    """Return a function that tells whether a regular expression matches a whole text."""
    compiled = compiled_regex(regex)
    return lambda text: compiled.fullmatch(text) is not None


def described(matcher: Any) -> str:
    """Return a description of a StringMatcher."""
    kind = matcher.WhichOneof("match_pattern") or "exact"
    text = matcher.safe_regex.regex if kind == "safe_regex" else getattr(matcher, kind)
    words = {"exact": "", "safe_regex": "regex "}.get(kind, f"{kind} ")
    return f"{words}{text}{' (any case)' if matcher.ignore_case else ''}"


@lru_cache(maxsize=8192)
def compiled_regex(regex: str) -> Any:
    """Return a compiled regular expression of RE2."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(regex, options)
