"""Rewrites of the path and the authority."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from mizzen.simulate.request import Request
from mizzen.simulate.string_match import compiled_regex

PathRewrite = Callable[[str], str]
_GROUP: Final = re.compile(r"\\(\\|[0-9])")


def rewrite_of(action: Any, match: Any) -> PathRewrite | None:
    """Return how a RouteAction or RedirectAction rewrites a path without a query; None if it does not.

    `prefix_rewrite` replaces what the route matched: the prefix, or else the whole path.
    """
    if action.HasField("regex_rewrite"):
        return _regex_rewrite(action.regex_rewrite)
    new = action.prefix_rewrite
    if not new:
        return None
    kind = match.WhichOneof("path_specifier")
    if kind in ("prefix", "path_separated_prefix"):
        length = len(getattr(match, kind))
        return lambda path: new + path[length:]
    return lambda path: new


class AuthorityRewrite:
    """How a RouteAction rewrites the authority."""

    __slots__ = ("_header", "_literal")

    def __init__(self, action: Any) -> None:
        self._literal = action.host_rewrite_literal
        self._header = action.host_rewrite_header.lower()

    def __call__(self, request: Request) -> str:
        """Return the authority that is forwarded. With `auto_host_rewrite` it depends on the endpoint."""
        if self._literal:
            return str(self._literal)
        return (request.header(self._header) if self._header else None) or request.authority


def _regex_rewrite(message: Any) -> PathRewrite:
    pattern = compiled_regex(message.pattern.regex)
    substitution = message.substitution

    def substituted(found: Any) -> str:
        return _GROUP.sub(
            lambda group: "\\" if group[1] == "\\" else (found.group(int(group[1])) or ""), substitution
        )

    return lambda path: str(pattern.sub(substituted, path))
