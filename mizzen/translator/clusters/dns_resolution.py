"""How Envoy resolves names: for DNS clusters and for the caches of dynamic forward proxies."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.extensions.common.dynamic_forward_proxy.v3 import dns_cache_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2

from mizzen.mesh.proxy.profile import IPFamily
from mizzen.translator.base.config_sources import duration
from mizzen.translator.base.typed_config import typed

_Cluster = cluster_pb2.Cluster

_QUERIES_PER_SOCKET = 100
_JITTER_NANOSECONDS = 100_000_000

_RESOLVER = typed(
    extension_pb2.TypedExtensionConfig,
    "envoy.network.dns_resolver.cares",
    # The resolver replaces its socket after so many queries, because a socket may stop receiving answers.
    cares_dns_resolver_pb2.CaresDnsResolverConfig(udp_max_queries={"value": _QUERIES_PER_SOCKET}),
)


def lookup_family(family: IPFamily, *, race: bool = False) -> Any:
    """Return the address family to ask for: one that a proxy of `family` can dial, IPv4 if it can dial both
    and dual stack is off, and all with dual stack or `race` (Envoy tries all addresses at once)."""
    if race or family == "DUAL_STACK":
        return _Cluster.ALL
    return _Cluster.V6_ONLY if family == "V6_ONLY" else _Cluster.V4_ONLY


def apply_dns_settings(cluster: Any, family: IPFamily, refresh_rate: Any, *, race: bool = False) -> None:
    """Set how a STRICT_DNS or LOGICAL_DNS `cluster` resolves its names (`refresh_rate`: MeshConfig's)."""
    cluster.dns_lookup_family = lookup_family(family, race=race)
    cluster.dns_refresh_rate.CopyFrom(duration(refresh_rate))
    cluster.dns_jitter.nanos = _JITTER_NANOSECONDS
    cluster.respect_dns_ttl = True
    cluster.typed_dns_resolver_config.CopyFrom(_RESOLVER)


def dns_cache_config(name: str, family: IPFamily) -> dns_cache_pb2.DnsCacheConfig:
    """Return the DNS cache of a dynamic forward proxy. A cluster and a filter that name the same cache must
    have identical configurations, or Envoy rejects the second."""
    return dns_cache_pb2.DnsCacheConfig(
        name=name, dns_lookup_family=lookup_family(family), typed_dns_resolver_config=_RESOLVER
    )
