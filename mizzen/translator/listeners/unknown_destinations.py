"""The target for a sidecar's connections to addresses that are not in the registry."""

from __future__ import annotations

from mizzen.mesh.recorded.scope import RecordedScope
from mizzen.translator.base.cluster_names import (
    BLACK_HOLE_CLUSTER,
    PASSTHROUGH_CLUSTER,
    outbound_cluster_name,
)
from mizzen.translator.listeners.l4_routes import destination_port
from mizzen.translator.listeners.tcp_proxy import TcpTarget, plain_target


def unknown_target(scope: RecordedScope) -> TcpTarget:
    """Return the target that the sidecar's outbound traffic policy demands: BlackHoleCluster, the egress
    proxy, or the original address."""
    if scope.outbound_traffic_policy == "REGISTRY_ONLY":
        return plain_target(BLACK_HOLE_CLUSTER)
    proxy = scope.egress_proxy
    if proxy is not None:
        number = proxy.port.number if proxy.port else 0
        port = destination_port(proxy.host, number, scope, 0)
        host = scope.destination_host(proxy.host)
        return plain_target(outbound_cluster_name(port, proxy.subset, host))
    return plain_target(PASSTHROUGH_CLUSTER, scope.profile.idle_timeout)
