"""Describes Envoy's routes in short: which requests a route matches, and where it sends them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mizzen.simulate.redirect import STATUS
from mizzen.simulate.route_match import route_conditions, undecided_conditions
from mizzen.translator.base.cluster_names import parse_cluster_name

EVERYTHING = "everything"


def match_words(match: Any) -> str:
    """Return the conditions of a RouteMatch: `path prefix /api, header end-user = jason`."""
    words = [
        f"{condition.name} {condition.wanted}"
        if "path" in condition.name
        else _is(condition.name, condition.wanted)
        for condition in route_conditions(match)
        if (condition.name, condition.wanted) != ("path prefix", "/")
    ]
    return ", ".join((*words, *undecided_conditions(match))) or EVERYTHING


def destinations(route: Any) -> Iterator[tuple[str, int | None]]:
    """Yield the destinations of a Route, each with its weight; a single one has None."""
    kind = route.WhichOneof("action")
    if kind != "route":
        yield _answer(route, kind), None
        return
    action = route.route
    if action.HasField("weighted_clusters"):
        for cluster in action.weighted_clusters.clusters:
            yield cluster.name or f"the cluster in header {cluster.cluster_header}", cluster.weight.value
        return
    if action.WhichOneof("cluster_specifier") == "cluster_header":
        yield f"the cluster in header {action.cluster_header}", None
        return
    yield action.cluster, None


def cluster_words(name: str) -> str:
    """Return the short form of a cluster's name: `reviews.default:9080 v1`; names of other forms stay."""
    parsed = parse_cluster_name(name)
    if parsed is None:
        return name
    if parsed.direction == "inbound":
        return f"this workload:{parsed.port}"
    subset = f" {parsed.subset}" if parsed.subset else ""
    return f"{short_host(parsed.hostname)}:{parsed.port}{subset}"


def shares_words(shares: Iterable[tuple[str, int | None]]) -> str:
    """Return destinations with their weights: `reviews.default:9080 v1 (weight 90), ...`."""
    return ", ".join(
        cluster_words(name) + (f" (weight {weight})" if weight is not None else "") for name, weight in shares
    )


def short_host(host: str) -> str:
    """Return a host without the suffix that all services of a Kubernetes cluster share."""
    name, found, _ = host.partition(".svc.")
    return name if found else host


def _answer(route: Any, kind: str | None) -> str:
    if kind == "direct_response":
        return f"answers {route.direct_response.status}"
    if kind != "redirect":
        return f"answers by {kind}" if kind else "nothing"
    action = route.redirect
    scheme = action.scheme_redirect or ("https" if action.https_redirect else "")
    port = f":{action.port_redirect}" if action.port_redirect else ""
    host = f"{action.host_redirect or ('HOST' if scheme or port else '')}{port}"
    path = action.path_redirect or (f"{action.prefix_rewrite}..." if action.prefix_rewrite else "")
    where = (f"{scheme}://{host}" if scheme else host) + path
    return f"redirects {STATUS[action.response_code]} to {where or 'the same place'}"


def _is(name: str, wanted: str) -> str:
    return f"{name} {wanted}" if wanted in ("present", "absent") or " " in wanted else f"{name} = {wanted}"
