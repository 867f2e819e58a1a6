"""Outbound clusters: for each port of a service one, and one more for each subset.

Sources: pilot/pkg/networking/core/cluster*.go of Istio; envoy.config.cluster.v3 of Envoy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.clusters.dynamic_forward_proxy.v3 import cluster_pb2 as forward_proxy_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import ClientTLSMode
from mizzen.mesh.rules.destination_rules import MergedDestinationRule
from mizzen.mesh.service import Resolution, Service
from mizzen.translator.base.client import Client
from mizzen.translator.base.cluster_names import alt_stat_name, dns_cache_name
from mizzen.translator.base.config_sources import aggregated_config_source
from mizzen.translator.base.destinations import Destination, Discovery, races_addresses
from mizzen.translator.base.typed_config import typed
from mizzen.translator.clusters.circuit_breakers import apply_circuit_breakers
from mizzen.translator.clusters.connection_settings import apply_connection_settings
from mizzen.translator.clusters.dns_resolution import apply_dns_settings, dns_cache_config
from mizzen.translator.clusters.load_balancing import apply_load_balancer
from mizzen.translator.clusters.outlier_detection import apply_outlier_detection, http_error_matcher
from mizzen.translator.clusters.upstream_protocol import (
    HTTP_PROTOCOL_OPTIONS,
    HttpVersion,
    http_protocol_options,
    http_version,
    keeps_case,
)
from mizzen.translator.endpoints.assignments import cluster_load_assignment
from mizzen.translator.endpoints.localities import LocalityPolicy, apply_locality_settings
from mizzen.translator.endpoints.service_destinations import ServiceDestinations
from mizzen.translator.endpoints.viewpoint import SeenEndpoints
from mizzen.translator.tls.mesh_protocols import MESH_HTTP_OFFER, OFFER_KEY, OFFER_NAMESPACE
from mizzen.translator.tls.secret_references import SecretNames, secret_references
from mizzen.translator.tls.upstream import Servers, UpstreamTls, apply_upstream_tls, upstream_tls
from mizzen.xds.resource import Resource

_Cluster = cluster_pb2.Cluster

_TYPES = {
    Discovery.EDS: _Cluster.EDS,
    Discovery.STRICT_DNS: _Cluster.STRICT_DNS,
    Discovery.LOGICAL_DNS: _Cluster.LOGICAL_DNS,
    Discovery.ORIGINAL_DST: _Cluster.ORIGINAL_DST,
}

_EDS_CONFIG = aggregated_config_source()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ServiceClusters:
    """The clusters of a service, and the secrets of each cluster that needs any, by the cluster's name.

    `of` is what they were made from. The reference keeps it alive, so that the memo finds it again.
    """

    of: ServiceDestinations
    resources: tuple[Resource, ...]
    secrets: tuple[tuple[str, SecretNames], ...]


def outbound_clusters(
    of: ServiceDestinations,
    servers: Servers,
    client: Client,
    seen: SeenEndpoints | None,
) -> ServiceClusters:
    """Return the clusters of a service for its clients.

    `seen` are the endpoints of clusters that contain them: names that Envoy resolves. Such a cluster is left
    out if it has no endpoint, so that its routes answer 503 at once.
    """
    resources, secrets = [], []
    for each, localities in of.each:
        cluster = _cluster(each, localities, of.rule, servers, client, seen, of.mesh_config)
        if cluster is not None:
            resource = Resource.of(cluster, name=each.name, origins=of.origins)
            resources.append(resource)
            names = secret_references(resource)
            if names:
                secrets.append((each.name, names))
    return ServiceClusters(of, tuple(resources), tuple(secrets))


def _cluster(
    destination: Destination,
    localities: LocalityPolicy,
    rule: MergedDestinationRule | None,
    servers: Servers,
    client: Client,
    seen: SeenEndpoints | None,
    mesh_config: MeshConfig,
) -> Any:
    """Return the Cluster, or None if its endpoints are inline and there are none."""
    policy = destination.policy
    cluster = _Cluster(name=destination.name, alt_stat_name=_stat_name(destination, mesh_config))
    if destination.discovery.is_inline:
        assert seen is not None
        if not _set_names(cluster, destination, localities, seen, client, mesh_config):
            return None
    else:
        _set_discovery(cluster, destination)
    pool_settings = policy.connection_pool
    apply_circuit_breakers(cluster, pool_settings, policy.retry_budget)
    apply_connection_settings(cluster, pool_settings, mesh_config)
    apply_outlier_detection(cluster, policy.outlier_detection)
    apply_load_balancer(cluster, policy.load_balancer)
    apply_locality_settings(cluster, localities)
    tls = upstream_tls(destination, rule, servers, client, mesh_config)
    protocol = destination.port.protocol
    preserve_case = client.preserves_header_case
    version = http_version(
        protocol,
        pool_settings,
        mesh_config,
        gateway=client.is_router,
        preserve_case=preserve_case,
    )
    options = http_protocol_options(
        version,
        pool_settings,
        None if tls is None else tls.server_name,
        http_error_matcher(policy.outlier_detection),
        preserve_case=preserve_case and keeps_case(protocol),
    )
    if options is not None:
        cluster.typed_extension_protocol_options[HTTP_PROTOCOL_OPTIONS].CopyFrom(options)
    apply_upstream_tls(
        cluster,
        tls,
        policy.proxy_protocol,
        mesh_config,
        http2=version is HttpVersion.HTTP2,
        has_agent=client.has_agent,
    )
    if destination.discovery is Discovery.DYNAMIC_DNS:
        _set_forward_proxy(cluster, destination, client, tls)
    _set_metadata(cluster, destination, rule)
    if tls is not None and tls.mode == ClientTLSMode.ISTIO_MUTUAL and protocol.is_auto:
        offer = cluster.metadata.filter_metadata[OFFER_NAMESPACE]
        offer.fields[OFFER_KEY].string_value = MESH_HTTP_OFFER
    return cluster


def _stat_name(destination: Destination, mesh_config: MeshConfig) -> str:
    port, pattern = destination.port, mesh_config.outbound_cluster_stat_name
    if not pattern:
        return alt_stat_name(destination.name)
    return alt_stat_name(
        destination.name,
        pattern,
        hostname=destination.service.hostname,
        port=port.number,
        port_name=port.name,
        target_port=port.target_port if isinstance(port.target_port, int) else port.number,
        subset=destination.subset_name,
    )


def _set_discovery(cluster: Any, destination: Destination) -> None:
    """Set the type and its settings for a cluster without inline endpoints."""
    service, discovery = destination.service, destination.discovery
    if discovery is Discovery.DYNAMIC_DNS:
        # The configuration follows when TLS is decided, but earlier settings depend on the type.
        cluster.cluster_type.name = discovery.value
        return
    cluster.type = _TYPES[discovery]
    if discovery is Discovery.EDS:
        cluster.eds_cluster_config.eds_config.CopyFrom(_EDS_CONFIG)
        cluster.eds_cluster_config.service_name = destination.name
        return
    target = destination.port.target_port
    # With PASSTHROUGH, and for a headless Kubernetes Service, the client dials the workload's port itself.
    dials_own_port = service.from_kubernetes or service.resolution is not Resolution.NONE
    if isinstance(target, int) and target != destination.port.number and not dials_own_port:
        cluster.original_dst_lb_config.upstream_port_override.value = target


def _set_names(
    cluster: Any,
    destination: Destination,
    localities: LocalityPolicy,
    seen: SeenEndpoints,
    client: Client,
    mesh_config: MeshConfig,
) -> bool:
    """Set the names that a cluster resolves; return False if there are none."""
    assignment = cluster_load_assignment(destination, localities, seen, mesh_config)
    if not assignment.endpoints:
        return False
    cluster.type = _TYPES[destination.discovery]
    cluster.load_assignment.CopyFrom(assignment)
    race = races_addresses(destination.service)
    apply_dns_settings(cluster, client.ip_family, mesh_config.dns_refresh_rate, race=race)
    return True


def _set_forward_proxy(
    cluster: Any, destination: Destination, client: Client, tls: UpstreamTls | None
) -> None:
    hostname = destination.service.hostname
    names = None if tls is None else tls.server_name
    verified = names is not None and names.auto_sni and names.auto_san_validation
    config = forward_proxy_pb2.ClusterConfig(
        dns_cache_config=dns_cache_config(dns_cache_name(hostname), client.ip_family),
        # Envoy accepts hosts that the client chooses only if TLS checks their names, or with this option.
        allow_insecure_cluster_options=not verified,
    )
    cluster.cluster_type.CopyFrom(typed(_Cluster.CustomClusterType, Discovery.DYNAMIC_DNS.value, config))


def _set_metadata(cluster: Any, destination: Destination, rule: MergedDestinationRule | None) -> None:
    """Write the cluster's service, rule and subset into its metadata, as Istio does (filter `istio`)."""
    service = destination.service
    fields = cluster.metadata.filter_metadata["istio"].fields
    add_service(fields["services"].list_value.values.add().struct_value.fields, service)
    if rule is not None and rule.configs:
        fields["config"].string_value = rule_path(rule)
    if destination.subset is not None:
        fields["subset"].string_value = destination.subset.name
    if service.mesh_external:
        fields["external"].bool_value = True
    tls = destination.policy.tls
    if tls is not None and tls.mode in (ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL):
        fields["alpn_override"].string_value = "false"


def add_service(fields: Any, service: Service) -> None:
    """Write a service's host, name and namespace into the fields of a Struct."""
    fields["host"].string_value = service.hostname
    fields["name"].string_value = service.name if service.from_kubernetes else service.hostname
    fields["namespace"].string_value = service.namespace


def rule_path(rule: MergedDestinationRule) -> str:
    """Return the path of the rule in Kubernetes' API; of several merged rules, that of the oldest."""
    config = rule.configs[0]
    return f"/apis/{config.api_version}/namespaces/{config.namespace}/destination-rule/{config.name}"
