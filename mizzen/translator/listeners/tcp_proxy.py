"""The TCP proxy filter, after the filters that a chain needs before it (filters/network/)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.type.v3 import hash_policy_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.proxy.profile import IPFamily
from mizzen.mesh.rules.security_policies import NO_POLICIES, WorkloadPolicies
from mizzen.mesh.service import Protocol
from mizzen.translator.base.config_sources import duration
from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.network import network_filters
from mizzen.translator.filters.network_filter import NetworkFilterContext
from mizzen.translator.filters.role import Role
from mizzen.translator.listeners.access_logs import access_logs

NAME = "envoy.filters.network.tcp_proxy"


@dataclass(frozen=True, slots=True)
class TcpTarget:
    """The target of a TCP chain: (cluster, weight) pairs; a plain target has one.

    `tunnel` is (hostname:port, use POST) for HTTP CONNECT or POST tunnelling (DestinationRule.tunnel).
    `dns_cache` is (cache, port, IP family) for a cluster that connects to the name in the SNI.
    """

    clusters: tuple[tuple[str, int], ...]
    stat_prefix: str
    idle_timeout: timedelta | None = None
    max_connection_duration: timedelta | None = None
    hash_source_ip: bool = False
    tunnel: tuple[str, bool] | None = None
    dns_cache: tuple[str, int, IPFamily] | None = None


def plain_target(cluster: str, idle_timeout: timedelta | None = None, *, stat_prefix: str = "") -> TcpTarget:
    """Return the target of one cluster. Its statistics have the cluster's name unless `stat_prefix` is
    given."""
    return TcpTarget(((cluster, 1),), stat_prefix=stat_prefix or cluster, idle_timeout=idle_timeout)


def tcp_filters(
    target: TcpTarget,
    mesh_config: MeshConfig,
    protocol: Protocol = Protocol.TCP,
    *,
    role: Role = Role.SIDECAR_OUTBOUND,
    policies: WorkloadPolicies = NO_POLICIES,
) -> Sequence[Any]:
    """Return the network filters of a TCP chain, with the TCP proxy last."""
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
    context = NetworkFilterContext(
        role, protocol, target.stat_prefix, mesh_config, target.dns_cache, policies
    )
    return [*network_filters(context), typed(listener_components_pb2.Filter, NAME, proxy)]
