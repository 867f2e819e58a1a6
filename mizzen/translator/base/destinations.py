"""The clusters of a service as plain values: for each port one, and one more for each subset.

Clusters and load assignments are made from the same list, so that every EDS cluster has a load assignment.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import LoadBalancerSettings, SimpleLB, Subset
from mizzen.mesh.rules.destination_rules import (
    EffectiveTrafficPolicy,
    MergedDestinationRule,
    effective_traffic_policy,
)
from mizzen.mesh.service import Protocol, Resolution, Service, ServicePort
from mizzen.translator.base.cluster_names import outbound_cluster_name, sni_dnat_cluster_name

_CONNECT_STRATEGY = "istio.io/connect-strategy"
_RACE_FIRST = "RACE_FIRST_TCP_CONNECT"


class Discovery(Enum):
    """How a cluster finds its endpoints (Envoy's Cluster.type)."""

    EDS = "EDS"
    STRICT_DNS = "STRICT_DNS"
    LOGICAL_DNS = "LOGICAL_DNS"
    ORIGINAL_DST = "ORIGINAL_DST"
    DYNAMIC_DNS = "envoy.clusters.dynamic_forward_proxy"

    @property
    def is_inline(self) -> bool:
        """Whether the cluster itself contains its endpoints, which are names."""
        return self is Discovery.STRICT_DNS or self is Discovery.LOGICAL_DNS


class Destination(NamedTuple):
    """One cluster of a service: its name, port, subset (None for the default cluster) and policy in force."""

    name: str
    service: Service
    port: ServicePort
    subset: Subset | None
    policy: EffectiveTrafficPolicy
    discovery: Discovery

    @property
    def is_sni_dnat(self) -> bool:
        """Whether it is a cluster of an AUTO_PASSTHROUGH gateway, chosen by the name in the client's SNI."""
        return self.name.startswith("outbound_.")

    @property
    def subset_name(self) -> str:
        """The subset's name, empty for the default cluster."""
        return "" if self.subset is None else self.subset.name


def destinations(
    service: Service,
    rule: MergedDestinationRule | None,
    mesh_config: MeshConfig,
    *,
    is_router: bool,
    sni_dnat: bool = False,
) -> Iterator[Destination]:
    """Yield the clusters of `service`: for each port the default one, then one for each subset.

    UDP ports have none. `is_router`: the clusters are for gateways. `sni_dnat` gives them the names of
    AUTO_PASSTHROUGH gateways. If a port number occurs twice, the first port counts. An alias has no clusters:
    its clients use those of the service that it stands for.
    """
    if service.is_alias:
        return
    name_of = sni_dnat_cluster_name if sni_dnat else outbound_cluster_name
    subsets: tuple[Subset | None, ...] = (None, *rule.subsets) if rule is not None else (None,)
    numbers: set[int] = set()
    for port in service.ports:
        if port.protocol is Protocol.UDP or port.number in numbers:
            continue
        numbers.add(port.number)
        for subset in subsets:
            subset_name = "" if subset is None else subset.name
            policy = effective_traffic_policy(rule, port.number, subset_name, mesh_config)
            yield Destination(
                name_of(port.number, subset_name, service.hostname),
                service,
                port,
                subset,
                policy,
                discovery(service, policy, is_router=is_router),
            )


def discovery(service: Service, policy: EffectiveTrafficPolicy, *, is_router: bool) -> Discovery:
    """Return how clusters of `service` find their endpoints (pilot: convertResolution).

    For a gateway there is no original destination, because clients dial the gateway itself. So it gets
    endpoints by EDS instead, unless a rule asks for PASSTHROUGH.
    """
    if _is_passthrough(policy.load_balancer):
        return Discovery.ORIGINAL_DST
    resolution = service.resolution
    if resolution is Resolution.STATIC:
        return Discovery.EDS
    if resolution is Resolution.DNS:
        return Discovery.LOGICAL_DNS if races_addresses(service) else Discovery.STRICT_DNS
    if resolution is Resolution.DNS_ROUND_ROBIN:
        return Discovery.LOGICAL_DNS
    if resolution is Resolution.DYNAMIC_DNS and service.hostname.startswith("*"):
        return Discovery.DYNAMIC_DNS
    return Discovery.EDS if is_router else Discovery.ORIGINAL_DST


def races_addresses(service: Service) -> bool:
    """Return whether Envoy tries all addresses of the name at once (annotation istio.io/connect-strategy)."""
    return service.resolution is Resolution.DNS and service.annotations.get(_CONNECT_STRATEGY) == _RACE_FIRST


def _is_passthrough(settings: LoadBalancerSettings | None) -> bool:
    """Return whether the rule tells Envoy to call the address that the client dialled."""
    return settings is not None and settings.simple == SimpleLB.PASSTHROUGH
