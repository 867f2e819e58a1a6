"""Responses that a proxy sends by itself: redirects and direct responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mizzen.config.models import HTTPDirectResponse, HTTPMatchRequest, HTTPRedirect
from mizzen.config.validation.header_forms import line_break_problem
from mizzen.config.validation.place import Place
from mizzen.config.validation.ports import port_number_problem

_REDIRECT_CODES: Final = (0, 301, 302, 303, 307, 308)
_LARGE_BODY: Final = 100 * 1024
_TOO_LARGE_BODY: Final = 1024 * 1024


def check_redirect(redirect: HTTPRedirect, matches: Sequence[HTTPMatchRequest], place: Place) -> None:
    """Check a redirect of requests that match one of `matches`."""
    if redirect.uri and redirect.prefix_rewrite:
        (place / "prefixRewrite").error("prefixRewrite and uri exclude each other; keep one of them")
    if redirect.prefix_rewrite and any(
        match.uri is not None and match.uri.prefix is None for match in matches
    ):
        (place / "prefixRewrite").error(
            "prefixRewrite replaces a prefix, and not all matches of this route have one; write uri, "
            "or uri.prefix in each match"
        )
    if not (
        redirect.uri
        or redirect.prefix_rewrite
        or redirect.authority
        or redirect.scheme
        or redirect.port is not None
        or redirect.derive_port is not None
    ):
        place.error("the redirect leads to where the request came; write uri, authority, scheme or port")
    if redirect.redirect_code and not 300 <= redirect.redirect_code <= 399:
        (place / "redirectCode").error(
            f"{redirect.redirect_code} is not a redirect; write 301, 302, 303, 307 or 308"
        )
    elif redirect.redirect_code not in _REDIRECT_CODES:
        (place / "redirectCode").warning(
            f"Envoy cannot redirect by {redirect.redirect_code}, and the requests fail; "
            "write 301, 302, 303, 307 or 308"
        )
    for field, text in (
        ("uri", redirect.uri),
        ("prefixRewrite", redirect.prefix_rewrite),
        ("authority", redirect.authority),
    ):
        (place / field).check(line_break_problem(text))
    if redirect.scheme not in ("", "http", "https"):
        (place / "scheme").error(f'"{redirect.scheme}" is not a scheme; write http or https')
    if redirect.port:
        (place / "port").check(port_number_problem(redirect.port))


def check_direct_response(response: HTTPDirectResponse, place: Place) -> None:
    """Check a direct response."""
    (place / "status").check(status_problem(response.status))
    if response.body is None:
        return
    size = len((response.body.string or "").encode()) or len(response.body.bytes_ or b"")
    if size > _TOO_LARGE_BODY:
        (place / "body").error(f"the body has {size} bytes; at most {_TOO_LARGE_BODY} are possible")
    elif size > _LARGE_BODY:
        (place / "body").warning(
            f"the body has {size} bytes, which every proxy holds in its configuration; serve it by a service"
        )


def status_problem(status: int) -> str | None:
    """`status` must be that of a final response. (Istio allows 600, for which Envoy rejects all routes.)"""
    if 200 <= status < 600:
        return None
    return f"{status} is not a status of HTTP; write 200 to 599"
