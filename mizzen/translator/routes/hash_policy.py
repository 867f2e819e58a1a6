"""Consistent hashing in routes: which part of a request is hashed.

The cluster decides which host the hash selects (clusters/load_balancing.py). Source:
https://istio.io/latest/docs/reference/config/networking/destination-rule/#LoadBalancerSettings-ConsistentHashLB
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envoy.config.route.v3 import route_components_pb2

from mizzen.config.models.destination_rule import ConsistentHashLB, LoadBalancerSettings, TrafficPolicy
from mizzen.config.models.virtual_service import Destination
from mizzen.translator.base.config_sources import duration

if TYPE_CHECKING:
    from mizzen.mesh.rules.destination_rules import MergedDestinationRule


def service_hash(rule: MergedDestinationRule | None, port: int) -> ConsistentHashLB | None:
    """Return the consistent hash for a service's port without a VirtualService: the port's own, else the
    rule's."""
    if rule is None or rule.traffic_policy is None:
        return None
    return _at_port(rule.traffic_policy, port) or _consistent_hash(rule.traffic_policy.load_balancer)


def destination_hash(rule: MergedDestinationRule | None, destination: Destination) -> ConsistentHashLB | None:
    """Return the consistent hash for a VirtualService's destination.

    It is the first of: the subset's for the port, the subset's, the rule's for the port, the rule's. Settings
    for a port count only if the destination has that port.
    """
    if rule is None:
        return None
    number = destination.port.number if destination.port is not None else 0
    subset = rule.subset(destination.subset) if destination.subset else None
    policies = (subset.traffic_policy if subset is not None else None, rule.traffic_policy)
    for policy in policies:
        if policy is None:
            continue
        found = _at_port(policy, number) or _consistent_hash(policy.load_balancer)
        if found is not None:
            return found
    return None


def hash_policy(consistent_hash: ConsistentHashLB | None) -> Any | None:
    """Return Envoy's HashPolicy, or None if the settings name no part of the request."""
    if consistent_hash is None:
        return None
    out = route_components_pb2.RouteAction.HashPolicy()
    if consistent_hash.http_header_name is not None:
        out.header.header_name = consistent_hash.http_header_name
    elif consistent_hash.http_cookie is not None:
        cookie = consistent_hash.http_cookie
        out.cookie.name = cookie.name
        out.cookie.path = cookie.path
        if cookie.ttl is not None:
            out.cookie.ttl.CopyFrom(duration(cookie.ttl))
        for attribute in cookie.attributes:
            out.cookie.attributes.add(name=attribute.name, value=attribute.value)
    elif consistent_hash.use_source_ip is not None:
        out.connection_properties.source_ip = consistent_hash.use_source_ip
    elif consistent_hash.http_query_parameter_name is not None:
        out.query_parameter.name = consistent_hash.http_query_parameter_name
    else:
        return None
    return out


def _at_port(policy: TrafficPolicy, number: int) -> ConsistentHashLB | None:
    if not number:
        return None
    for settings in policy.port_level_settings:
        if settings.port is not None and settings.port.number == number:
            return _consistent_hash(settings.load_balancer)
    return None


def _consistent_hash(load_balancer: LoadBalancerSettings | None) -> ConsistentHashLB | None:
    return load_balancer.consistent_hash if load_balancer is not None else None
