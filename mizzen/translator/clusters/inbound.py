"""Inbound clusters: from a sidecar to the workload beside it, one for each port that the workload listens on.

Source: pilot/pkg/networking/core/cluster.go of Istio (buildInboundClusters); Sidecar.ingress of
https://istio.io/latest/docs/reference/config/networking/sidecar/#IstioIngressListener
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2

from mizzen.config.diagnostics import Origin
from mizzen.config.document import Config
from mizzen.config.mesh_config import InboundTrafficPolicyMode, MeshConfig
from mizzen.config.models import ConnectionPoolSettings, IstioIngressListener, RetryBudget, Sidecar
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import IPFamily, ip_family
from mizzen.mesh.rules.destination_rules import (
    EffectiveTrafficPolicy,
    MergedDestinationRule,
    effective_traffic_policy,
)
from mizzen.mesh.service import Protocol, Service
from mizzen.mesh.services.registry import ServiceInstance
from mizzen.translator.base.cluster_names import alt_stat_name, inbound_cluster_name
from mizzen.translator.base.proxy_settings import preserves_header_case
from mizzen.translator.clusters.circuit_breakers import apply_circuit_breakers
from mizzen.translator.clusters.connection_settings import apply_connection_settings
from mizzen.translator.clusters.outbound import add_service
from mizzen.translator.clusters.static import inbound_passthrough_cluster, inbound_source
from mizzen.translator.clusters.upstream_protocol import (
    HTTP_PROTOCOL_OPTIONS,
    http_protocol_options,
    http_version,
    keeps_case,
)
from mizzen.xds.resource import Resource

_Cluster = cluster_pb2.Cluster

_NEVER_SECONDS = 100 * 365 * 24 * 3600
"""The workload's address never becomes stale. (Istio sends 292 years, the longest duration of its language;
Envoy takes that as out of range.)"""

_LOOPBACK = ("127.0.0.1", "::1")

RuleFor = Callable[[Service], MergedDestinationRule | None]


@dataclass(frozen=True, slots=True)
class _Inbound:
    """One port of the workload. With `target` None, Envoy calls the address that the client dialled."""

    port: int
    protocol: Protocol
    services: tuple[Service, ...]
    service_port: int
    service_port_name: str
    target: address_pb2.Address | None
    bind_source: bool
    pool: ConnectionPoolSettings | None
    retry_budget: RetryBudget | None
    origins: tuple[Origin, ...]


def inbound_clusters(
    proxy: Proxy,
    instances: Sequence[ServiceInstance],
    sidecar: Config[Sidecar] | None,
    rule_for: RuleFor,
    mesh_config: MeshConfig,
) -> tuple[Resource, ...]:
    """Return a sidecar's clusters towards its workload; none for a gateway.

    `instances` are the services that the workload belongs to, in their order: if two have the same port, the
    first decides. A non-empty Sidecar.ingress replaces them. `rule_for` finds a service's DestinationRule;
    its connection pool holds for inbound calls too unless the Sidecar has one.
    """
    if proxy.type == "router":
        return ()
    if sidecar is not None and sidecar.spec.ingress:
        wanted = _from_ingress(proxy, instances, sidecar, rule_for, mesh_config)
    else:
        wanted = _from_services(proxy, instances, sidecar, rule_for, mesh_config)
    family = ip_family(proxy, mesh_config.default_config)
    resources = [
        Resource.of(_cluster(inbound, family, mesh_config), origins=inbound.origins) for inbound in wanted
    ]
    if proxy.interception_mode != "NONE":
        resources.append(inbound_passthrough_cluster(family, mesh_config))
    return tuple(resources)


def _from_services(
    proxy: Proxy,
    instances: Sequence[ServiceInstance],
    sidecar: Config[Sidecar] | None,
    rule_for: RuleFor,
    mesh_config: MeshConfig,
) -> list[_Inbound]:
    localhost = mesh_config.inbound_traffic_policy.mode == InboundTrafficPolicyMode.LOCALHOST
    by_port: dict[int, list[ServiceInstance]] = {}
    for instance in instances:
        if instance.port.protocol is not Protocol.UDP:
            by_port.setdefault(instance.target_port, []).append(instance)
    found = []
    for port, sharing in by_port.items():
        first = sharing[0]
        services = tuple(each.service for each in sharing if each.port.number == first.port.number)
        own = None if sidecar is None else sidecar.spec.inbound_connection_pool
        policy = _service_policy(first.service, first.port.number, rule_for, mesh_config)
        found.append(
            _Inbound(
                port=port,
                protocol=first.port.protocol,
                services=services,
                service_port=first.port.number,
                service_port_name=first.port.name,
                target=_socket("::1" if proxy.is_ipv6_only else "127.0.0.1", port) if localhost else None,
                bind_source=not localhost,
                pool=own or policy.connection_pool,
                retry_budget=policy.retry_budget,
                origins=_origins(services, sidecar),
            )
        )
    return found


def _from_ingress(
    proxy: Proxy,
    instances: Sequence[ServiceInstance],
    sidecar: Config[Sidecar],
    rule_for: RuleFor,
    mesh_config: MeshConfig,
) -> list[_Inbound]:
    found: dict[int, _Inbound] = {}
    for listener in sidecar.spec.ingress:
        port = listener.port
        if port is None or port.number in found:
            continue
        instance = next((each for each in instances if each.target_port == port.number), None)
        services = () if instance is None else (instance.service,)
        target, bind_source = _default_endpoint(listener, proxy)
        own = listener.connection_pool or sidecar.spec.inbound_connection_pool
        service = None if instance is None else instance.service
        policy = _service_policy(service, port.number, rule_for, mesh_config)
        found[port.number] = _Inbound(
            port=port.number,
            protocol=Protocol.parse(port.protocol),
            services=services,
            service_port=port.number if instance is None else instance.port.number,
            service_port_name=port.name,
            target=target,
            bind_source=bind_source,
            pool=own or policy.connection_pool,
            retry_budget=policy.retry_budget,
            origins=_origins(services, sidecar),
        )
    return list(found.values())


def _origins(services: Sequence[Service], sidecar: Config[Sidecar] | None) -> tuple[Origin, ...]:
    origins = tuple(origin for service in services for origin in service.origins)
    return origins if sidecar is None else (*origins, sidecar.origin)


def _service_policy(
    service: Service | None, port: int, rule_for: RuleFor, mesh_config: MeshConfig
) -> EffectiveTrafficPolicy:
    """Return the policy of the service's rule for `port`, with the mesh's defaults. A rule with a
    workloadSelector is ignored, because it selects clients, not servers."""
    rule = None if service is None else rule_for(service)
    if rule is not None and rule.workload_selector is not None:
        rule = None
    return effective_traffic_policy(rule, port, "", mesh_config)


def _default_endpoint(
    listener: IstioIngressListener, proxy: Proxy
) -> tuple[address_pb2.Address | None, bool]:
    """Return the address that Sidecar.ingress.defaultEndpoint calls (None: the one that the client dialled),
    and whether Envoy must use the source address that iptables lets through. 0.0.0.0 and :: mean the proxy's
    own address of that family, or loopback if it has none."""
    text = listener.default_endpoint
    if not text:
        return None, True
    if text.startswith("unix://"):
        return address_pb2.Address(pipe=address_pb2.Pipe(path=text.removeprefix("unix://"))), False
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    wants_ipv6 = ":" in host
    if host in ("0.0.0.0", "::"):  # noqa: S104 - Istio's word for the proxy's own address; nothing binds to it
        own = next((each for each in proxy.ip_addresses if (":" in each) == wants_ipv6), None)
        if own is not None:
            return _socket(own, int(port)), own not in _LOOPBACK
        return _socket(_LOOPBACK[wants_ipv6], int(port)), False
    if host in _LOOPBACK:
        # The workload of a proxy with a single family listens on the loopback address of that family.
        if proxy.is_ipv6_only or proxy.is_ipv4_only:
            wants_ipv6 = proxy.is_ipv6_only
        return _socket(_LOOPBACK[wants_ipv6], int(port)), False
    return _socket(host, int(port)), True


def _socket(address: str, port: int) -> address_pb2.Address:
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=address, port_value=port))


def _cluster(inbound: _Inbound, family: IPFamily, mesh_config: MeshConfig) -> Any:
    name = inbound_cluster_name(inbound.port)
    cluster = _Cluster(name=name, alt_stat_name=_stat_name(name, inbound, mesh_config))
    if inbound.target is None:
        cluster.type = _Cluster.ORIGINAL_DST
        cluster.lb_policy = _Cluster.CLUSTER_PROVIDED
        cluster.cleanup_interval.seconds = _NEVER_SECONDS
    else:
        cluster.type = _Cluster.STATIC
        cluster.load_assignment.cluster_name = name
        endpoint = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint
        endpoint.address.CopyFrom(inbound.target)
    if inbound.bind_source:
        cluster.upstream_bind_config.CopyFrom(inbound_source(family))
    apply_circuit_breakers(cluster, inbound.pool, inbound.retry_budget)
    apply_connection_settings(cluster, inbound.pool, mesh_config)
    preserve_case = preserves_header_case(mesh_config.default_config) and keeps_case(inbound.protocol)
    version = http_version(inbound.protocol, inbound.pool, mesh_config, gateway=False, upgrades=False)
    options = http_protocol_options(version, inbound.pool, preserve_case=preserve_case)
    if options is not None:
        cluster.typed_extension_protocol_options[HTTP_PROTOCOL_OPTIONS].CopyFrom(options)
    if inbound.services:
        values = cluster.metadata.filter_metadata["istio"].fields["services"].list_value.values
        for service in inbound.services:
            add_service(values.add().struct_value.fields, service)
    return cluster


def _stat_name(name: str, inbound: _Inbound, mesh_config: MeshConfig) -> str:
    pattern = mesh_config.inbound_cluster_stat_name
    if not inbound.services:
        return alt_stat_name(name)
    return alt_stat_name(
        name,
        pattern,
        hostname=inbound.services[0].hostname,
        port=inbound.service_port,
        port_name=inbound.service_port_name,
        target_port=inbound.port,
    )
