"""The names of clusters. They are Istio's, so that dashboards, EnvoyFilters and people's habits keep working.

Source: pilot/pkg/model/service.go and cluster_builder.go of Istio.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

BLACK_HOLE_CLUSTER = "BlackHoleCluster"
PASSTHROUGH_CLUSTER = "PassthroughCluster"
INBOUND_PASSTHROUGH_CLUSTER = "InboundPassthroughCluster"
ALLOW_ANY_DYNAMIC_DNS_CLUSTER = "AllowAnyDynamicDNSCluster"
ALLOW_ANY_DNS_CACHE = "allow_any_dfp_dns_cache"

STAT_NAME_DELIMITER = ";"
"""Ends every `alt_stat_name`: Istio's regular expressions for statistics' tags stop at it."""


def outbound_cluster_name(port: int, subset: str, hostname: str) -> str:
    """Return the name of the cluster for a service's port: `outbound|80|v1|reviews.example`."""
    return f"outbound|{port}|{subset}|{hostname}"


def inbound_cluster_name(target_port: int) -> str:
    """Return the name of the cluster for a port of the workload itself: `inbound|8080||`."""
    return f"inbound|{target_port}||"


def sni_dnat_cluster_name(port: int, subset: str, hostname: str) -> str:
    """Return the cluster's name in a form that fits into SNI: `outbound_.80_.v1_.reviews.example`.

    AUTO_PASSTHROUGH gateways name their clusters so, and clients send it as SNI in the mesh's mutual TLS.
    """
    return f"outbound_.{port}_.{subset}_.{hostname}"


def dns_cache_name(hostname: str) -> str:
    """Return the name of the DNS cache of a DYNAMIC_DNS service, for its cluster and its listener's
    filter."""
    return f"{hostname}_dfp_dns_cache"


@dataclass(frozen=True, slots=True)
class ClusterName:
    """The parts of a cluster's name; `direction` is `outbound` or `inbound`, `hostname` empty for inbound."""

    direction: str
    port: int
    subset: str = ""
    hostname: str = ""


@lru_cache(maxsize=4096)
def parse_cluster_name(name: str) -> ClusterName | None:
    """Return the parts of `name` in either form; None for all other names (`BlackHoleCluster`)."""
    separator = "_." if name.startswith(("outbound_.", "inbound_.")) else "|"
    parts = name.split(separator, 3)
    if len(parts) != 4 or parts[0] not in ("outbound", "inbound") or not parts[1].isdecimal():
        return None
    return ClusterName(parts[0], int(parts[1]), parts[2], parts[3])


def alt_stat_name(
    name: str,
    pattern: str = "",
    *,
    hostname: str = "",
    port: int = 0,
    port_name: str = "",
    target_port: int = 0,
    subset: str = "",
) -> str:
    """Return the name of a cluster in statistics; it always ends in the delimiter.

    `pattern` is MeshConfig.outboundClusterStatName or inboundClusterStatName; empty keeps the cluster's name.
    A service's short name is its whole hostname, as in Istio outside Kubernetes.
    """
    if not pattern:
        return name + STAT_NAME_DELIMITER
    expanded = pattern
    for variable, value in (
        ("%SERVICE%", hostname),
        ("%SERVICE_NAME%", hostname),
        ("%SERVICE_FQDN%", hostname),
        ("%SERVICE_PORT%", str(port)),
        ("%TARGET_PORT%", str(target_port)),
        ("%SERVICE_PORT_NAME%", port_name),
        ("%SUBSET_NAME%", subset),
    ):
        expanded = expanded.replace(variable, value)
    return expanded + STAT_NAME_DELIMITER
