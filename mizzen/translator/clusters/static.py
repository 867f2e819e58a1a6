"""The clusters that a proxy has beside those of services: for calls to addresses that no service owns.

Source: pilot/pkg/networking/core/cluster_builder.go and cluster.go of Istio.
"""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2
from envoy.extensions.clusters.dynamic_forward_proxy.v3 import cluster_pb2 as forward_proxy_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import ClientTLSMode, ClientTLSSettings
from mizzen.mesh.proxy.profile import IPFamily, OutboundProfile
from mizzen.translator.base.cluster_names import (
    ALLOW_ANY_DNS_CACHE,
    ALLOW_ANY_DYNAMIC_DNS_CLUSTER,
    BLACK_HOLE_CLUSTER,
    INBOUND_PASSTHROUGH_CLUSTER,
    PASSTHROUGH_CLUSTER,
    alt_stat_name,
)
from mizzen.translator.base.proxy_settings import preserves_header_case
from mizzen.translator.base.typed_config import typed
from mizzen.translator.clusters.circuit_breakers import apply_circuit_breakers
from mizzen.translator.clusters.connection_settings import apply_connection_settings
from mizzen.translator.clusters.dns_resolution import dns_cache_config
from mizzen.translator.clusters.upstream_protocol import (
    HTTP_PROTOCOL_OPTIONS,
    HttpVersion,
    http_protocol_options,
    passthrough_options,
)
from mizzen.translator.tls.upstream import apply_upstream_tls, plain_settings_tls
from mizzen.xds.resource import Resource

_Cluster = cluster_pb2.Cluster

ALLOW_ANY_DYNAMIC_DNS = "ALLOW_ANY_DYNAMIC_DNS"


def static_clusters(
    profile: OutboundProfile, mesh_config: MeshConfig, outbound_traffic_policy: str = ""
) -> tuple[Resource, ...]:
    """Return BlackHoleCluster and, for sidecars, PassthroughCluster; with the policy ALLOW_ANY_DYNAMIC_DNS
    also AllowAnyDynamicDNSCluster. `outbound_traffic_policy` is the proxy's policy; empty means the
    mesh's."""
    clusters = [_black_hole(mesh_config)]
    if profile.type != "router":
        preserve_case = preserves_header_case(profile.proxy_config or mesh_config.default_config)
        clusters.append(_passthrough(PASSTHROUGH_CLUSTER, mesh_config, preserve_case=preserve_case))
        policy = outbound_traffic_policy or mesh_config.outbound_traffic_policy.mode
        if policy == ALLOW_ANY_DYNAMIC_DNS:
            clusters.append(_allow_any_dynamic_dns(profile, mesh_config, preserve_case=preserve_case))
    return tuple(Resource.of(cluster) for cluster in clusters)


def inbound_passthrough_cluster(ip_family: IPFamily, mesh_config: MeshConfig) -> Resource:
    """Return InboundPassthroughCluster: for captured calls to ports of the workload that no service owns."""
    preserve_case = preserves_header_case(mesh_config.default_config)
    cluster = _passthrough(INBOUND_PASSTHROUGH_CLUSTER, mesh_config, preserve_case=preserve_case)
    cluster.upstream_bind_config.CopyFrom(inbound_source(ip_family))
    return Resource.of(cluster)


def inbound_source(ip_family: IPFamily) -> address_pb2.BindConfig:
    """Return the source address for calls to the proxy's own workload; with dual stack one of each family.
    iptables recognises it and does not capture these calls again."""
    ipv6 = address_pb2.SocketAddress(address="::6", port_value=0)
    if ip_family == "V6_ONLY":
        return address_pb2.BindConfig(source_address=ipv6)
    source = address_pb2.BindConfig(
        source_address=address_pb2.SocketAddress(address="127.0.0.6", port_value=0)
    )
    if ip_family == "DUAL_STACK":
        source.extra_source_addresses.add().address.CopyFrom(ipv6)
    return source


def _named(name: str, mesh_config: MeshConfig) -> Any:
    cluster = _Cluster(name=name, alt_stat_name=alt_stat_name(name))
    apply_connection_settings(cluster, None, mesh_config)
    return cluster


def _black_hole(mesh_config: MeshConfig) -> Any:
    cluster = _named(BLACK_HOLE_CLUSTER, mesh_config)
    cluster.type = _Cluster.STATIC
    cluster.lb_policy = _Cluster.ROUND_ROBIN
    return cluster


def _passthrough(name: str, mesh_config: MeshConfig, *, preserve_case: bool) -> Any:
    cluster = _named(name, mesh_config)
    cluster.type = _Cluster.ORIGINAL_DST
    cluster.lb_policy = _Cluster.CLUSTER_PROVIDED
    apply_circuit_breakers(cluster, None)
    cluster.typed_extension_protocol_options[HTTP_PROTOCOL_OPTIONS].CopyFrom(
        passthrough_options(preserve_case=preserve_case)
    )
    return cluster


def _allow_any_dynamic_dns(profile: OutboundProfile, mesh_config: MeshConfig, *, preserve_case: bool) -> Any:
    cluster = _named(ALLOW_ANY_DYNAMIC_DNS_CLUSTER, mesh_config)
    cluster.lb_policy = _Cluster.CLUSTER_PROVIDED
    apply_circuit_breakers(cluster, None)
    settings: ClientTLSSettings | None = mesh_config.outbound_traffic_policy.tls
    tls = None
    if settings is not None and settings.mode in (ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL):
        tls = plain_settings_tls(settings)
    server_name = None if tls is None else tls.server_name
    options = http_protocol_options(HttpVersion.CLIENTS, None, server_name, preserve_case=preserve_case)
    cluster.typed_extension_protocol_options[HTTP_PROTOCOL_OPTIONS].CopyFrom(options)
    apply_upstream_tls(cluster, tls, None, mesh_config, http2=False, has_agent=profile.has_agent)
    verified = server_name is not None and server_name.auto_sni and server_name.auto_san_validation
    config = forward_proxy_pb2.ClusterConfig(
        dns_cache_config=dns_cache_config(ALLOW_ANY_DNS_CACHE, profile.ip_family),
        allow_insecure_cluster_options=not verified,
    )
    cluster.cluster_type.CopyFrom(
        typed(_Cluster.CustomClusterType, "envoy.clusters.dynamic_forward_proxy", config)
    )
    return cluster
