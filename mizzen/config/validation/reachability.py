"""Routes that no request reaches: they come after a route that takes all requests, or earlier matches cover
theirs.

Istio's analysis IST0130 (VirtualServiceUnreachableRule) and IST0131 (VirtualServiceIneffectiveMatch). A match
counts as covered only if every request that fits it fits the earlier one too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Final

from mizzen.config.models import (
    HTTPMatchRequest,
    HTTPRoute,
    StringMatch,
    TCPRoute,
    TLSRoute,
    VirtualService,
)
from mizzen.config.validation.place import Place

_MOST_COMPARED: Final = 100
"""How many earlier matches one is compared with: for thousands under one prefix the
cost would be quadratic."""


def warn_of_unreachable(service: VirtualService, place: Place) -> None:
    """Report, at `place`, each route and match that takes no effect because of an earlier one."""
    _warn_of_routes(service.http, place / "http")
    _warn_of_routes(service.tls, place / "tls")
    _warn_of_routes(service.tcp, place / "tcp")
    _warn_of_covered_prefixes(service.http, place / "http")


def _warn_of_routes(routes: Sequence[HTTPRoute | TLSRoute | TCPRoute], place: Place) -> None:
    seen: dict[str, str] = {}
    several = sum(len(route.match) for route in routes) > 1
    without_match: int | None = None
    for index, route in enumerate(routes):
        here = place / index
        if here.lost("match"):
            continue
        if without_match is not None:
            here.warning(
                f"no request reaches this route: {_name(routes, without_match)} before it has no match and "
                "takes all; move that one to the end",
                "IST0130",
            )
            continue
        if not route.match:
            without_match = index
            continue
        repeated = 0
        for number, match in enumerate(route.match if several else ()):
            key = json.dumps(match.model_dump(mode="json", exclude={"name"}), sort_keys=True)
            if earlier := seen.get(key):
                repeated += 1
                (here / "match" / number).warning(
                    f"this match has no effect: {earlier} has the same; leave one out", "IST0131"
                )
            seen.setdefault(key, _name(routes, index))
        if repeated == len(route.match):
            here.warning(
                "no request reaches this route: all its matches are in earlier ones; leave it out", "IST0130"
            )


def _name(routes: Sequence[HTTPRoute | TLSRoute | TCPRoute], index: int) -> str:
    name = getattr(routes[index], "name", "")
    return f'route "{name}"' if name else f"route #{index}"


def _warn_of_covered_prefixes(routes: Sequence[HTTPRoute], place: Place) -> None:
    earlier: dict[str, list[tuple[int, HTTPMatchRequest]]] = {}
    lengths: set[int] = set()
    for index, route in enumerate(routes):
        for number, match in enumerate(() if (place / index).lost("match") else route.match):
            if match.uri is None or not match.uri.prefix:
                continue
            path = match.uri.prefix
            shorter = (earlier.get(path[:length], []) for length in sorted(lengths) if length < len(path))
            for owner, other in islice(chain.from_iterable(shorter), _MOST_COMPARED):
                if _covers(other, match):
                    prefix = other.uri.prefix if other.uri is not None else ""
                    (place / index / "match" / number).warning(
                        f'this match has no effect: the prefix "{prefix}" of {_name(routes, owner)} takes '
                        f'all that starts with "{path}"; move this match before it',
                        "IST0131",
                    )
                    break
            earlier.setdefault(path, []).append((index, match))
            lengths.add(len(path))


def _covers(earlier: HTTPMatchRequest, later: HTTPMatchRequest) -> bool:
    """Tell whether `earlier` takes every request that fits `later`; the two have different prefixes."""
    assert earlier.uri is not None
    assert later.uri is not None
    if earlier.uri.prefix == later.uri.prefix or earlier.ignore_uri_case != later.ignore_uri_case:
        return False
    return (
        _implies(later.uri, earlier.uri)
        and earlier.port in (0, later.port)
        and _implies(later.method, earlier.method)
        and _implies(later.authority, earlier.authority)
        and _implies(later.scheme, earlier.scheme)
        and _all_implied(later.headers, earlier.headers)
        and _all_implied(later.query_params, earlier.query_params)
        and all(later.without_headers.get(name) == match for name, match in earlier.without_headers.items())
        and earlier.source_labels.items() <= later.source_labels.items()
        and earlier.source_namespace in ("", later.source_namespace)
        and (not earlier.gateways or set(later.gateways) == set(earlier.gateways))
    )


def _all_implied(later: Mapping[str, StringMatch], earlier: Mapping[str, StringMatch]) -> bool:
    return all(name in later and _implies(later[name], match) for name, match in earlier.items())


def _implies(one: StringMatch | None, other: StringMatch | None) -> bool:
    """Tell whether every text that fits `one` is certain to fit `other`."""
    if other is None or one == other or (one is not None and not other.model_fields_set):
        return True
    if one is None or other.prefix is None:
        return False
    text = one.exact if one.exact is not None else one.prefix
    return text is not None and text.startswith(other.prefix)
