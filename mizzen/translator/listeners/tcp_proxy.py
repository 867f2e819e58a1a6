"""The TCP proxy filter, and the protocol filters that may stand before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.network.mongo_proxy.v3 import mongo_proxy_pb2
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3 import sni_dynamic_forward_proxy_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.type.v3 import hash_policy_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.proxy.profile import IPFamily
from mizzen.mesh.service import Protocol
from mizzen.translator.base.config_sources import duration
from mizzen.translator.base.typed_config import typed
from mizzen.translator.clusters.dns_resolution import dns_cache_config
from mizzen.translator.listeners.access_logs import access_logs

NAME = "envoy.filters.network.tcp_proxy"


@dataclass(frozen=True, slots=True)
class TcpTarget:
    """Where a TCP chain sends its connections: (cluster, weight) pairs, one of them for a plain target.

    `tunnel` is (hostname:port, use POST) for HTTP CONNECT or POST tunnelling (DestinationRule.tunnel).
    `dns_cache` is the cache, port and addresses of a cluster that dials whatever name the SNI says.
    """

    clusters: tuple[tuple[str, int], ...]
    stat_prefix: str
    idle_timeout: timedelta | None = None
    max_connection_duration: timedelta | None = None
    hash_source_ip: bool = False
    tunnel: tuple[str, bool] | None = None
    dns_cache: tuple[str, int, IPFamily] | None = None


def plain_target(cluster: str, idle_timeout: timedelta | None = None, *, stat_prefix: str = "") -> TcpTarget:
    """Return the target that is one cluster, counted under the cluster's name unless another is given."""
    return TcpTarget(((cluster, 1),), stat_prefix=stat_prefix or cluster, idle_timeout=idle_timeout)


def tcp_filters(
    target: TcpTarget, mesh_config: MeshConfig, protocol: Protocol = Protocol.TCP
) -> Sequence[Any]:
    """Return the network filters of a TCP chain, the proxy last (MongoDB's filter is on, as in Istio)."""
    proxy = tcp_proxy_pb2.TcpProxy(stat_prefix=target.stat_prefix, access_log=access_logs(mesh_config))
    if len(target.clusters) == 1:
        proxy.cluster = target.clusters[0][0]
    else:
        for name, weight in target.clusters:
            proxy.weighted_clusters.clusters.add(name=name, weight=weight)
    if target.idle_timeout is not None:
        proxy.idle_timeout.CopyFrom(duration(target.idle_timeout))
    if target.max_connection_duration is not None:
        proxy.max_downstream_connection_duration.CopyFrom(duration(target.max_connection_duration))
    if target.hash_source_ip:
        proxy.hash_policy.append(hash_policy_pb2.HashPolicy(source_ip=hash_policy_pb2.HashPolicy.SourceIp()))
    if target.tunnel is not None:
        proxy.tunneling_config.hostname = target.tunnel[0]
        proxy.tunneling_config.use_post = target.tunnel[1]
    filters = [typed(listener_components_pb2.Filter, NAME, proxy)]
    if target.dns_cache is not None:
        name, port, family = target.dns_cache
        resolve = sni_dynamic_forward_proxy_pb2.FilterConfig(
            dns_cache_config=dns_cache_config(name, family), port_value=port
        )
        filters.insert(
            0,
            typed(listener_components_pb2.Filter, "envoy.filters.network.sni_dynamic_forward_proxy", resolve),
        )
    if protocol is Protocol.MONGO:
        mongo = mongo_proxy_pb2.MongoProxy(stat_prefix=target.stat_prefix)
        filters.insert(0, typed(listener_components_pb2.Filter, "envoy.filters.network.mongo_proxy", mongo))
    return filters
