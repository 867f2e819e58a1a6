"""Matching of requests: HTTPMatchRequest as Envoy's RouteMatch.

Source: https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPMatchRequest
"""

from __future__ import annotations

import re
from typing import Any, Final

from envoy.config.route.v3 import route_components_pb2

from mizzen.config.models.virtual_service import HTTPMatchRequest, StringMatch
from mizzen.translator.base.dynamic_metadata import claim
from mizzen.translator.base.string_matcher import string_matcher

_CLAIMS: Final = "@request.auth.claims"
_BRACKETED: Final = re.compile(r"\[([^\[\]]+)\]")


def route_match(match: HTTPMatchRequest | None) -> Any:
    """Return the RouteMatch of one match condition; None matches every request.

    All conditions must hold. Header conditions are sorted by name; conditions on method, authority and scheme
    follow them.
    """
    if match is None:
        return route_components_pb2.RouteMatch(prefix="/")
    out = route_components_pb2.RouteMatch()
    _apply_uri(out, match.uri)
    out.case_sensitive.value = not match.ignore_uri_case
    if match.headers or match.without_headers:
        out.dynamic_metadata.extend(_claim_conditions(match))
    if not _asks_for_no_header(match):
        out.headers.extend(_header_conditions(match))
    for name, condition in sorted(match.query_params.items()):
        out.query_parameters.append(_query_condition(name, condition))
    return out


def is_catch_all(match: HTTPMatchRequest | None) -> bool:
    """Return whether a condition holds for every request, so that Envoy never reaches the routes after it."""
    return match is None or (
        _takes_every_path(match.uri) and not match.query_params and _asks_for_no_header(match)
    )


def path_text(match: HTTPMatchRequest | None) -> str:
    """Return the path of a condition for people: a path, a prefix that ends in `*`, or an expression."""
    uri = match.uri if match is not None else None
    if uri is None:
        return "/*"
    if uri.exact is not None:
        return uri.exact
    if uri.prefix is not None:
        return uri.prefix + "*"
    return uri.regex if uri.regex is not None else "/*"


def claim_path(header: str) -> tuple[str, ...]:
    """Return the path of the JWT claim that a header condition names, or () for the name of a real header.

    `@request.auth.claims.a.b` and `@request.auth.claims[a][b]` name the claim b within a. The names of claims
    are case-sensitive, the prefix is not.
    """
    if not header.lower().startswith(_CLAIMS):
        return ()
    rest = header[len(_CLAIMS) :]
    if rest.startswith("."):
        claims = tuple(rest[1:].split("."))
        return claims if all(claims) else ()
    if rest and _BRACKETED.sub("", rest) == "":
        return tuple(_BRACKETED.findall(rest))
    return ()


def _takes_every_path(uri: StringMatch | None) -> bool:
    if uri is None or (uri.exact is None and uri.prefix is None and uri.regex is None):
        return True
    if uri.exact is not None:
        return False
    return uri.prefix == "/" if uri.prefix is not None else uri.regex == ".*"


def _asks_for_no_header(match: HTTPMatchRequest) -> bool:
    return (
        not match.headers
        and not match.without_headers
        and match.method is None
        and match.authority is None
        and match.scheme is None
    )


def _apply_uri(out: Any, uri: StringMatch | None) -> None:
    if uri is None:
        out.prefix = "/"
    elif uri.exact is not None:
        out.path = uri.exact
    elif uri.prefix is not None:
        out.prefix = uri.prefix
    elif uri.regex is not None:
        out.safe_regex.regex = uri.regex
    else:
        out.prefix = "/"


def _asks_for_presence(condition: StringMatch) -> bool:
    """Return whether a condition only asks that a header is present. Istio reads the regex `*` so, which is
    not valid RE2."""
    if condition.regex is not None:
        return condition.regex == "*"
    return condition.exact is None and condition.prefix is None


def _header_conditions(match: HTTPMatchRequest) -> list[Any]:
    conditions = [
        _header_condition(name, condition)
        for name, condition in match.headers.items()
        if not claim_path(name)
    ]
    conditions += [
        _header_condition(name, condition, invert=True)
        for name, condition in match.without_headers.items()
        if not claim_path(name)
    ]
    conditions.sort(key=lambda condition: str(condition.name))
    for name, special in (
        (":method", match.method),
        (":authority", match.authority),
        (":scheme", match.scheme),
    ):
        if special is not None:
            conditions.append(_header_condition(name, special))
    return conditions


def _header_condition(name: str, condition: StringMatch, *, invert: bool = False) -> Any:
    out = route_components_pb2.HeaderMatcher(name=name, invert_match=invert)
    if _asks_for_presence(condition):
        out.present_match = True
    else:
        out.string_match.CopyFrom(string_matcher(condition))
        # Without this, a missing header would fail even an inverted condition.
        out.treat_missing_header_as_empty = invert
    return out


def _query_condition(name: str, condition: StringMatch) -> Any:
    out = route_components_pb2.QueryParameterMatcher(name=name)
    if _asks_for_presence(condition):
        out.present_match = True
    else:
        out.string_match.CopyFrom(string_matcher(condition))
    return out


def _claim_conditions(match: HTTPMatchRequest) -> list[Any]:
    return [
        _claim_condition(path, condition, invert=invert)
        for conditions, invert in ((match.headers, False), (match.without_headers, True))
        for name, condition in sorted(conditions.items())
        if (path := claim_path(name))
    ]


def _claim_condition(path: tuple[str, ...], condition: StringMatch, *, invert: bool) -> Any:
    """Return the condition on a claim. If the claim is a list of strings, one of them must match."""
    text = None if _asks_for_presence(condition) else string_matcher(condition)
    return claim(path, text, invert=invert)
