"""One route: its conditions, and what it does to a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from mizzen.simulate.cors import Cors, cors_of
from mizzen.simulate.fault import fault_of, percent
from mizzen.simulate.header_changes import request_changes, response_changes
from mizzen.simulate.redirect import Redirect
from mizzen.simulate.request import Request
from mizzen.simulate.rewrite import AuthorityRewrite, rewrite_of
from mizzen.simulate.route_match import route_conditions, undecided_conditions
from mizzen.simulate.seconds import limit
from mizzen.simulate.shares import shares
from mizzen.simulate.verdict import (
    Fault,
    HeaderChange,
    Mirror,
    Retries,
    RouteStep,
    Upstream,
)

_DEFAULT_TIMEOUT: Final = 15.0
_CLUSTER_NOT_FOUND: Final = (503, 404, 500)

WeightedCluster = tuple[str, float, tuple[HeaderChange, ...], tuple[HeaderChange, ...]]
"""Name, share, and the header changes of its requests and of its responses."""


class Route:
    """A compiled route. `owners` are its virtual host and its route configuration."""

    __slots__ = (
        "_authority",
        "_cluster_header",
        "_clusters",
        "_rewrite",
        "_tests",
        "conditions",
        "cors",
        "direct_status",
        "missing_cluster_status",
        "overridden",
        "redirect",
        "step",
        "undecided",
    )

    def __init__(self, message: Any, index: int, owners: tuple[Any, ...], *, reverse: bool = False) -> None:
        self.conditions = route_conditions(message.match)
        self._tests = tuple(condition.holds for condition in self.conditions)
        self.undecided = undecided_conditions(message.match)
        action = str(message.WhichOneof("action") or "")
        self.redirect = Redirect(message.redirect, message.match) if action == "redirect" else None
        self.direct_status = int(message.direct_response.status) if action == "direct_response" else 0
        route = message.route
        self._clusters = tuple(_clusters(route)) if action == "route" else ()
        self._cluster_header = str(route.cluster_header).lower()
        self._rewrite = rewrite_of(route, message.match)
        self._authority = AuthorityRewrite(route)
        self.missing_cluster_status = _CLUSTER_NOT_FOUND[route.cluster_not_found_response_code]
        configured = [message, *owners]
        self.cors = _first_cors(configured)
        self.overridden = frozenset(str(name) for each in configured for name in each.typed_per_filter_config)
        """The filters for which the route has settings of its own."""
        self.step = _step(message, index, action, configured[::-1] if reverse else configured)

    def matches(self, request: Request) -> bool:
        """Return True if all conditions hold that the request alone decides."""
        for test in self._tests:  # noqa: SIM110 (this is the inner loop: a generator costs twice as much)
            if not test(request):
                return False
        return True

    def clusters(self, request: Request) -> tuple[WeightedCluster, ...]:
        """Return the clusters of the request with their shares."""
        if self._cluster_header:
            return ((request.header(self._cluster_header), 1.0, (), ()),)
        return self._clusters

    def upstream(self, request: Request) -> Upstream:
        """Return authority and path as they are forwarded."""
        target = request.target
        if self._rewrite is not None:
            target = self._rewrite(request.path) + target[len(request.path) :]
        headers = tuple((name, value) for name, values in request.headers.items() for value in values)
        return Upstream(
            self._authority(request),
            target,
            headers if request.is_changed else None,
            claims=request.claims is not None,
        )


def _clusters(route: Any) -> Iterator[WeightedCluster]:
    kind = route.WhichOneof("cluster_specifier")
    if kind == "cluster":
        yield str(route.cluster), 1.0, (), ()
    elif kind == "weighted_clusters":
        clusters = route.weighted_clusters.clusters
        weights = shares([each.weight.value for each in clusters])
        for each, share in zip(clusters, weights, strict=True):
            if share:
                yield str(each.name), share, request_changes(each), response_changes(each)


def _step(message: Any, index: int, action: str, owners: Iterable[Any]) -> RouteStep:
    route = message.route
    metadata = message.metadata.filter_metadata
    config = metadata["istio"].fields["config"].string_value if "istio" in metadata else ""
    return RouteStep(
        name=str(message.name),
        index=index,
        config=str(config),
        action=action,
        timeout=limit(route, "timeout", _DEFAULT_TIMEOUT) if action == "route" else None,
        idle_timeout=limit(route, "idle_timeout"),
        retries=retries_of(route),
        fault=first_fault(owners),
        mirrors=mirrors_of(route),
        request_headers=request_changes(*owners),
        response_headers=response_changes(*owners),
    )


def mirrors_of(action: Any) -> tuple[Mirror, ...]:
    """Return where a RouteAction mirrors requests to."""
    return tuple(Mirror(str(each.cluster), _mirrored(each)) for each in action.request_mirror_policies)


def _mirrored(policy: Any) -> float:
    if not policy.HasField("runtime_fraction"):
        return 100.0
    return percent(policy.runtime_fraction.default_value)


def retries_of(route: Any) -> Retries | None:
    """Return when and how often a RouteAction retries; None if it does not say."""
    if not route.HasField("retry_policy"):
        return None
    policy = route.retry_policy
    return Retries(
        retry_on=str(policy.retry_on),
        number=policy.num_retries.value if policy.HasField("num_retries") else 1,
        per_try_timeout=limit(policy, "per_try_timeout"),
        status_codes=tuple(policy.retriable_status_codes),
    )


def _filter_configs(owners: Iterable[Any]) -> Iterator[Any]:
    for owner in owners:
        yield from owner.typed_per_filter_config.values()


def first_fault(owners: Iterable[Any]) -> Fault | None:
    """Return the first fault that messages with typed_per_filter_config inject."""
    return next((fault for each in _filter_configs(owners) if (fault := fault_of(each))), None)


def _first_cors(owners: Iterable[Any]) -> Cors | None:
    return next((cors for each in _filter_configs(owners) if (cors := cors_of(each))), None)
