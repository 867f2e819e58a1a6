"""Localities: proxies prefer near endpoints, and fail over to farther ones.

Sources: https://istio.io/latest/docs/tasks/traffic-management/locality-load-balancing/ and
pilot/pkg/networking/loadbalancer of Istio.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, NamedTuple

from envoy.config.cluster.v3 import cluster_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import (
    LoadBalancerSettings,
    LocalityDistribute,
    LocalityFailover,
    LocalityLoadBalancerSetting,
    ZoneAwareLoadBalancerSetting,
)
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.service import Endpoint, EndpointPool, Locality, Service
from mizzen.mesh.topology import (
    CLUSTER_LABEL,
    HOSTNAME_LABEL,
    NETWORK_LABEL,
    REGION_LABEL,
    SUBZONE_LABEL,
    ZONE_LABEL,
)

_TRAFFIC_DISTRIBUTION = {
    "PreferClose": (NETWORK_LABEL, REGION_LABEL, ZONE_LABEL),
    "PreferSameZone": (NETWORK_LABEL, REGION_LABEL, ZONE_LABEL),
    "PreferSameNode": (NETWORK_LABEL, REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL, HOSTNAME_LABEL),
}
"""The failoverPriority that each trafficDistribution of a service stands for."""

_HIGHEST_SUM = 2**32 - 1

_LEVELS = 5
"""Number of priorities that localities alone give (0 to 4). Priorities by labels are multiplied by it, so
that they count first."""


@dataclass(frozen=True, slots=True)
class LocalityPolicy:
    """How localities affect one cluster. The default has no effect.

    `by_locality`: endpoints get priorities by the distance of their locality. `weighted`: Envoy uses the
    weights of localities. `zone_aware`: whether Envoy prefers its own zone; None keeps Envoy's default.
    """

    distribute: tuple[LocalityDistribute, ...] = ()
    failover: tuple[LocalityFailover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    by_locality: bool = False
    weighted: bool = False
    zone_aware: bool | None = None
    min_cluster_size: int | None = None

    @property
    def reads_locality(self) -> bool:
        """Whether the endpoints' order depends on the proxy's locality."""
        return bool(self.distribute or self.by_locality or self.zone_aware)

    @property
    def reads_proxy(self) -> bool:
        """Whether the endpoints' order depends on the proxy's locality or labels."""
        return bool(self.failover_priority or self.reads_locality)


NO_POLICY: Final = LocalityPolicy()
"""The policy without any effect."""


class ProxyLocation(NamedTuple):
    """The parts of a proxy that the order of a service's endpoints depends on.

    These are its locality and the labels that failoverPriority names; `has_labels` says whether it has any
    labels at all. Parts without effect stay empty, and values that no endpoint has are all the same one, so
    that proxies share results.
    """

    locality: Locality = Locality()
    labels: tuple[tuple[str, str], ...] = ()
    has_labels: bool = False


NOWHERE: Final = ProxyLocation()

_UNKNOWN_VALUE: Final = "\0"
"""Stands for all values of a label that no endpoint has. No label has this value."""


def proxy_location(
    policies: Iterable[LocalityPolicy], profile: OutboundProfile, pool: EndpointPool
) -> ProxyLocation:
    """Return the location of a profile's proxies, limited to the parts by which these policies order the
    endpoints in `pool`."""
    reading = [policy for policy in policies if policy.reads_proxy]
    if not reading:
        return NOWHERE
    named = {entry for policy in reading for entry in policy.failover_priority if "=" not in entry}
    compared = any(policy.failover_priority for policy in reading)
    labels = _proxy_labels(profile) if compared else {}
    return ProxyLocation(
        profile.locality if any(policy.reads_locality for policy in reading) else NOWHERE.locality,
        tuple([(key, _known_value(key, labels[key], pool)) for key in sorted(named) if key in labels]),
        bool(labels) or (compared and profile.is_labelled),
    )


def _known_value(key: str, value: str, pool: EndpointPool) -> str:
    # Gateways of other networks take the place of endpoints later, with a label of their own.
    label = (key, value)
    return value if key == NETWORK_LABEL or any(label in each.labels for each in pool) else _UNKNOWN_VALUE


def locality_policy(
    balancer: LoadBalancerSettings | None, has_outlier_detection: bool, service: Service, mesh: MeshConfig
) -> LocalityPolicy:
    """Return the policy in force: the rule's, else the service's trafficDistribution, else the mesh's.

    Failover needs outlier detection: without it, Envoy never uses a lower priority. trafficDistribution and
    zone awareness have effect without it, as in Istio.
    """
    if balancer is not None and balancer.zone_aware_lb_setting is not None:
        return _zone_aware(balancer.zone_aware_lb_setting)
    if balancer is not None and balancer.locality_lb_setting is not None:
        return _by_setting(balancer.locality_lb_setting, has_outlier_detection)
    preference = _TRAFFIC_DISTRIBUTION.get(service.traffic_distribution)
    if preference is not None:
        return LocalityPolicy(failover_priority=preference, weighted=True)
    if mesh.zone_aware_lb_setting is not None:
        return _zone_aware(mesh.zone_aware_lb_setting)
    return _by_setting(mesh.locality_lb_setting, has_outlier_detection)


def apply_locality_settings(cluster: cluster_pb2.Cluster, policy: LocalityPolicy) -> None:
    """Set the part of `policy` that Envoy itself carries out (Cluster.CommonLbConfig)."""
    if policy.zone_aware is not None:
        zone_aware = cluster.common_lb_config.zone_aware_lb_config
        zone_aware.SetInParent()
        if not policy.zone_aware:
            zone_aware.routing_enabled.value = 0
        elif policy.min_cluster_size is not None:
            zone_aware.min_cluster_size.value = policy.min_cluster_size
    elif policy.weighted:
        cluster.common_lb_config.locality_weighted_lb_config.SetInParent()


class LocalityGroup(NamedTuple):
    """Endpoints of one locality that share a weight and a priority: Envoy's LocalityLbEndpoints."""

    locality: Locality
    endpoints: tuple[Endpoint, ...]
    weight: int
    priority: int = 0


def group_by_locality(endpoints: Sequence[Endpoint]) -> list[LocalityGroup]:
    """Return one group for each locality, sorted by the locality's text. A group's weight is the sum of its
    endpoints' weights."""
    if len(endpoints) == 1:
        return [_group(endpoints)]
    ordered = sorted(endpoints, key=_locality_text)
    return [_group(members) for _, members in groupby(ordered, key=_locality_text)]


def arrange(
    groups: Sequence[LocalityGroup], policy: LocalityPolicy, location: ProxyLocation
) -> list[LocalityGroup]:
    """Return `groups` with the weights and priorities that they have for proxies at `location`."""
    if policy is NO_POLICY:
        return list(groups)
    if policy.distribute:
        return _distribute(groups, policy.distribute, location.locality)
    arranged = list(groups)
    if policy.failover_priority and location.has_labels:
        labels = dict(location.labels)
        arranged = [part for group in groups for part in _split(group, policy.failover_priority, labels)]
    if policy.zone_aware:
        arranged = [
            _add(group, _region_bucket(group, policy.failover, location.locality)) for group in arranged
        ]
    elif policy.by_locality:
        arranged = [_add(group, _distance(group, policy.failover, location.locality)) for group in arranged]
    return _compact(arranged)


def bounded(groups: Sequence[LocalityGroup]) -> list[LocalityGroup]:
    """Return `groups` with weights that Envoy accepts.

    Envoy limits two sums in each priority: of the weights of localities, and of the weights of endpoints. The
    message for the latter names a locality, but for consistent hashing Envoy adds the endpoints of all
    localities (TypedHashLbConfigBase::validateEndpoints in thread_aware_lb_impl.cc). If a sum is too high,
    its weights are scaled down to the limit.
    """
    within = sum([group.weight for group in groups]) <= _HIGHEST_SUM
    if within and sum([each.weight or 1 for group in groups for each in group.endpoints]) <= _HIGHEST_SUM:
        return list(groups)
    localities: defaultdict[int, _Sum] = defaultdict(_Sum)
    endpoints: defaultdict[int, _Sum] = defaultdict(_Sum)
    for group in groups:
        localities[group.priority].add(group.weight)
        for each in group.endpoints:
            endpoints[group.priority].add(each.weight or 1)
    return [
        group._replace(
            weight=localities[group.priority].share(group.weight),
            endpoints=tuple(
                replace(each, weight=endpoints[group.priority].share(each.weight or 1))
                for each in group.endpoints
            ),
        )
        for group in groups
    ]


@dataclass(slots=True)
class _Sum:
    """Weights of which Envoy limits the sum."""

    total: int = 0
    members: int = 0

    def add(self, weight: int) -> None:
        self.total += weight
        self.members += 1

    def share(self, weight: int) -> int:
        """Return the weight, scaled down if the sum is too high, at least 1. The scaled sum leaves room for
        rounding up each of the members."""
        if self.total <= _HIGHEST_SUM:
            return weight
        return max(1, round(weight * (_HIGHEST_SUM - self.members) / self.total))


def _by_setting(setting: LocalityLoadBalancerSetting, has_outlier_detection: bool) -> LocalityPolicy:
    if setting.enabled is False:
        return NO_POLICY
    if setting.distribute:
        return LocalityPolicy(distribute=setting.distribute, weighted=True)
    if not has_outlier_detection:
        return NO_POLICY
    return LocalityPolicy(
        failover=setting.failover,
        failover_priority=setting.failover_priority,
        by_locality=bool(setting.failover) or not setting.failover_priority,
        weighted=bool(setting.failover or setting.failover_priority),
    )


def _zone_aware(setting: ZoneAwareLoadBalancerSetting) -> LocalityPolicy:
    if setting.enabled is False:
        return LocalityPolicy(zone_aware=False)
    return LocalityPolicy(
        failover=setting.failover,
        failover_priority=setting.failover_priority,
        zone_aware=True,
        min_cluster_size=setting.min_cluster_size,
    )


def _locality_text(endpoint: Endpoint) -> str:
    return str(endpoint.locality)


def _group(members: Iterable[Endpoint]) -> LocalityGroup:
    endpoints = tuple(members)
    return LocalityGroup(endpoints[0].locality, endpoints, sum([each.weight or 1 for each in endpoints]))


def locality_matches(locality: Locality, pattern: str) -> bool:
    """Return whether `pattern` (`region/zone/subzone`; `*` or a missing tail is any) covers `locality`."""
    wanted = Locality.parse(pattern)
    return (
        wanted.region in ("*", locality.region)
        and wanted.zone in ("*", "", locality.zone)
        and wanted.subzone in ("*", "", locality.subzone)
    )


def _distribute(
    groups: Sequence[LocalityGroup], rules: Sequence[LocalityDistribute], locality: Locality
) -> list[LocalityGroup]:
    rule = next((each for each in rules if locality_matches(locality, each.from_)), None)
    if rule is None:
        return list(groups)
    remaining = dict(enumerate(groups))
    shared: dict[int, LocalityGroup] = {}
    # Istio reads the map in random order. Narrow destinations come first here, so that wide ones do not take
    # their localities.
    for pattern, share in sorted(rule.to.items(), key=_specificity):
        matched = {
            index: group for index, group in remaining.items() if locality_matches(group.locality, pattern)
        }
        total = sum(group.weight for group in matched.values())
        for index, group in matched.items():
            del remaining[index]
            if share:
                shared[index] = group._replace(weight=math.ceil(group.weight * share / total))
    return [shared[index] for index in sorted(shared)]


def _specificity(entry: tuple[str, int]) -> tuple[int, str]:
    named = sum(part not in ("*", "") for part in entry[0].split("/"))
    return (-named, entry[0])


def _distance(group: LocalityGroup, failover: Sequence[LocalityFailover], proxy: Locality) -> int:
    theirs = group.locality
    if theirs.region == proxy.region:
        if theirs.zone != proxy.zone:
            return 2
        return 0 if theirs.subzone == proxy.subzone else 1
    target = next((each.to for each in failover if each.from_ == proxy.region), None)
    return 3 if target is None or theirs.region == target else 4


def _region_bucket(group: LocalityGroup, failover: Sequence[LocalityFailover], proxy: Locality) -> int:
    """Return the priority of the group's region. Envoy itself chooses the zone inside a region."""
    if group.locality.region == proxy.region:
        return 0
    target = next((each.to for each in failover if each.from_ == proxy.region), None)
    return 1 if target is not None and group.locality.region == target else 2


def _add(group: LocalityGroup, level: int) -> LocalityGroup:
    return group._replace(priority=group.priority * _LEVELS + level)


def _proxy_labels(profile: OutboundProfile) -> dict[str, str]:
    topology = {
        REGION_LABEL: profile.locality.region,
        ZONE_LABEL: profile.locality.zone,
        SUBZONE_LABEL: profile.locality.subzone,
        CLUSTER_LABEL: profile.cluster_id,
        NETWORK_LABEL: profile.network,
        HOSTNAME_LABEL: profile.node_name,
    }
    return {key: value for key, value in topology.items() if value} | dict(profile.labels)


def _split(
    group: LocalityGroup, wanted: Sequence[str], proxy_labels: Mapping[str, str]
) -> list[LocalityGroup]:
    """Split a locality's endpoints by how many of the labels, from the first on, equal the proxy's."""
    by_priority: dict[int, list[Endpoint]] = {}
    for endpoint in group.endpoints:
        by_priority.setdefault(_label_priority(endpoint, wanted, proxy_labels), []).append(endpoint)
    return [_group(by_priority[priority])._replace(priority=priority) for priority in sorted(by_priority)]


def _label_priority(endpoint: Endpoint, wanted: Sequence[str], proxy_labels: Mapping[str, str]) -> int:
    labels = dict(endpoint.labels)
    priority = 0
    for index, entry in enumerate(wanted):
        key, has_value, value = entry.partition("=")
        if not has_value:
            value = proxy_labels.get(key, "")
        if value == labels.get(key, ""):
            continue
        if index == 0 and key == NETWORK_LABEL:
            priority += len(wanted)
            continue
        return priority + len(wanted) - index
    return priority


def _compact(groups: Sequence[LocalityGroup]) -> list[LocalityGroup]:
    """Renumber the priorities without gaps, because Envoy rejects gaps."""
    if all(group.priority == 0 for group in groups):
        return list(groups)
    ranks = {level: rank for rank, level in enumerate(sorted({group.priority for group in groups}))}
    return [group._replace(priority=ranks[group.priority]) for group in groups]
