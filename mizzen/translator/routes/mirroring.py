"""Mirroring: Envoy sends copies of requests, and ignores the answers.

Source: https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPMirrorPolicy
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from envoy.config.route.v3 import route_components_pb2

from mizzen.config.models.virtual_service import Destination, HTTPRoute, Percent
from mizzen.translator.base.fractional_percent import fraction, whole_percent


def mirror_policies(route: HTTPRoute, cluster_of: Callable[[Destination], str]) -> list[Any]:
    """Return the RequestMirrorPolicies of a route: `mirror` first, then `mirrors`, in their order.

    Without a percentage every request is mirrored; 0 means none. `cluster_of` returns a destination's
    cluster.
    """
    policies: list[Any] = []
    if route.mirror is not None:
        policy = _policy(route.mirror, cluster_of, route.mirror_percentage, route.mirror_percent)
        policies.extend(policy)
    for mirror in route.mirrors:
        if mirror.destination is not None:
            policies.extend(_policy(mirror.destination, cluster_of, mirror.percentage))
    return policies


def _policy(
    destination: Destination,
    cluster_of: Callable[[Destination], str],
    percentage: Percent | None,
    whole: int | None = None,
) -> list[Any]:
    if percentage is not None:
        share = fraction(percentage)
    else:
        share = whole_percent(100 if whole is None else whole)
    if not share.numerator:
        return []
    policy = route_components_pb2.RouteAction.RequestMirrorPolicy(
        cluster=cluster_of(destination),
        # As Istio: the mirrored service sees the Host that the client sent, not one that ends in "-shadow".
        disable_shadow_host_suffix_append=True,
    )
    policy.runtime_fraction.default_value.CopyFrom(share)
    policy.trace_sampled.value = False
    return [policy]
