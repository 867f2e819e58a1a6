"""HTTP routes of a VirtualService: their actions, and which actions exclude each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mizzen.config.models import HeaderOperations, Headers, HTTPRewrite, HTTPRoute
from mizzen.config.validation.cors import check_cors
from mizzen.config.validation.destinations import check_destination, check_weighted
from mizzen.config.validation.durations import check_duration
from mizzen.config.validation.faults import check_fault
from mizzen.config.validation.header_forms import (
    header_value_problem,
    is_authority,
    line_break_problem,
    operation_name_problem,
)
from mizzen.config.validation.http_answers import check_direct_response, check_redirect
from mizzen.config.validation.http_match import check_http_match
from mizzen.config.validation.percentages import check_percentage
from mizzen.config.validation.place import Place
from mizzen.config.validation.regexes import regex_problem
from mizzen.config.validation.retries import check_retries

_EXCLUDED_BY_ANSWERS: Final = ("fault", "rewrite")


def check_http_route(route: HTTPRoute, place: Place, *, in_delegate: bool) -> None:
    """Report at `place` all that is wrong with a route; `in_delegate`: the route belongs to a delegate."""
    _check_actions(route, place, in_delegate=in_delegate)
    for index, match in enumerate(route.match):
        check_http_match(match, place / "match" / index)
    if route.headers is not None:
        _check_headers(route.headers, place / "headers")
    if route.cors_policy is not None:
        check_cors(route.cors_policy, place / "corsPolicy")
    if route.fault is not None:
        check_fault(route.fault, place / "fault")
    _check_mirrors(route, place)
    if route.redirect is not None:
        check_redirect(route.redirect, () if place.lost("match") else route.match, place / "redirect")
    if route.direct_response is not None:
        check_direct_response(route.direct_response, place / "directResponse")
    if route.retries is not None:
        check_retries(route.retries, place / "retries")
    if route.rewrite is not None:
        _check_rewrite(route.rewrite, place / "rewrite")
    _check_one_authority(route, place)
    check_weighted(route.route, place / "route")
    for index, destination in enumerate(route.route):
        if destination.headers is not None:
            _check_headers(destination.headers, place / "route" / index / "headers")
    if route.timeout is not None:
        check_duration(route.timeout, place / "timeout", instead_of_zero="leave it out for none")


def _check_actions(route: HTTPRoute, place: Place, *, in_delegate: bool) -> None:
    if route.delegate is not None and in_delegate:
        (place / "delegate").error("a delegate cannot delegate in its turn; write the routes here")
    elif route.delegate is not None or place.lost("delegate"):
        for field in ("route", "redirect"):
            if getattr(route, field):
                (place / field).error(f"{field} and delegate exclude each other; keep one of them")
        return
    given = [
        name
        for name, action in (
            ("redirect", route.redirect is not None),
            ("directResponse", route.direct_response is not None),
            ("route", bool(route.route)),
        )
        if action
    ]
    if not given:
        place.error("the route goes nowhere; write route, redirect or directResponse")
    elif len(given) > 1:
        place.error(f"{' and '.join(given)} exclude each other; keep one of them")
    if given and given[0] != "route":
        for field in _EXCLUDED_BY_ANSWERS:
            if getattr(route, field) is not None:
                (place / field).error(f"{field} and {given[0]} exclude each other; leave {field} out")


def _check_mirrors(route: HTTPRoute, place: Place) -> None:
    if route.mirror is not None and route.mirrors:
        (place / "mirrors").error("mirrors and mirror exclude each other; write all in mirrors")
    if route.mirror_percent is not None and route.mirror_percent > 100:
        (place / "mirrorPercent").error(f"{route.mirror_percent} is not a percentage; write 0 to 100")
    if route.mirror_percentage is not None:
        check_percentage(route.mirror_percentage, place / "mirrorPercentage", finest=0)
    if route.mirror is not None:
        check_destination(route.mirror, place / "mirror")
    for index, mirror in enumerate(route.mirrors):
        here = place / "mirrors" / index
        if mirror.destination is None:
            (here / "destination").error("the destination is missing; write its host")
        check_destination(mirror.destination, here / "destination")
        check_percentage(mirror.percentage, here / "percentage", finest=0)


def _check_headers(headers: Headers, place: Place) -> None:
    if headers.request is not None:
        _check_operations(headers.request, place / "request", authority_allowed=True)
    if headers.response is not None:
        _check_operations(headers.response, place / "response", authority_allowed=False)


def _check_operations(operations: HeaderOperations, place: Place, *, authority_allowed: bool) -> None:
    changes: tuple[tuple[str, Mapping[str, str]], ...] = (("set", operations.set), ("add", operations.add))
    for field, headers in changes:
        for name, value in headers.items():
            here = place / field / name
            here.check(operation_name_problem(name, authority_allowed=authority_allowed))
            here.check(header_value_problem(value))
    for index, name in enumerate(operations.remove):
        (place / "remove" / index).check(operation_name_problem(name, authority_allowed=False))


def _check_rewrite(rewrite: HTTPRewrite, place: Place) -> None:
    regex = rewrite.uri_regex_rewrite
    if rewrite.uri and regex is not None:
        (place / "uriRegexRewrite").error("uriRegexRewrite and uri exclude each other; keep one of them")
    if not rewrite.uri and not rewrite.authority and regex is None:
        place.error("the rewrite is empty; write uri, uriRegexRewrite or authority")
    (place / "uri").check(line_break_problem(rewrite.uri))
    (place / "authority").check(line_break_problem(rewrite.authority))
    if regex is not None:
        (place / "uriRegexRewrite" / "rewrite").check(line_break_problem(regex.rewrite))
        (place / "uriRegexRewrite" / "match").check(regex_problem(regex.match))
        if not regex.rewrite:
            (place / "uriRegexRewrite" / "rewrite").error(
                r"the replacement is missing; write one, such as /\1"
            )


def _check_one_authority(route: HTTPRoute, place: Place) -> None:
    """The authority can be changed by rewrite, and by setting or adding its header, but only once in all."""
    changed = "rewrite.authority" if route.rewrite is not None and route.rewrite.authority else ""
    if route.headers is None or route.headers.request is None:
        return
    request = route.headers.request
    for field, headers in (("set", request.set), ("add", request.add)):
        for name in headers:
            if not is_authority(name):
                continue
            if changed:
                (place / "headers" / "request" / field / name).error(
                    f"the authority is changed by {changed} already; keep one of them"
                )
            changed = changed or f"headers.request.{field}.{name}"
