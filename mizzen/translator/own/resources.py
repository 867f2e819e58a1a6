"""Inbound resources of sidecars and gateway resources: those that a proxy does not share with all proxies of
its class. The shared ones are in outbound.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mizzen.config.diagnostics import Diagnostic, Origin
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import ip_family
from mizzen.mesh.recorded.proxy_questions import ProxyQuestions
from mizzen.mesh.rules.destination_rules import MergedDestinationRule
from mizzen.mesh.rules.gateways import GatewayServer, MergedGateway
from mizzen.mesh.rules.peer_authentication import PeerModes
from mizzen.mesh.rules.security_policies import WorkloadPolicies
from mizzen.mesh.rules.token_keys import rules_without_keys
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.scope.sidecars import SidecarConfig
from mizzen.mesh.service import Service, ServicePort
from mizzen.mesh.services.registry import ServiceInstance
from mizzen.translator.base.by_identity import ByIdentity
from mizzen.translator.base.memo import Memo
from mizzen.translator.clusters.inbound import inbound_clusters
from mizzen.translator.filters.external_authorization import several_authorizers, unasked_about_tcp
from mizzen.translator.listeners.auto_passthrough import PassthroughServices
from mizzen.translator.listeners.gateway import GatewayListenerBuilder
from mizzen.translator.listeners.http3 import announcing_http3
from mizzen.translator.listeners.inbound import (
    VIRTUAL_INBOUND,
    InboundPort,
    PassthroughChains,
    UnownedPorts,
    bound_inbound_listener,
    inbound_ports,
    passthrough_chains,
    virtual_inbound_listener,
)
from mizzen.translator.listeners.names import listener_name
from mizzen.translator.routes.gateway import (
    CachedGatewayRoutes,
    GatewayRoutes,
    gateway_route_configuration,
)
from mizzen.translator.tls.secret_references import NO_SECRETS, SecretNames, all_secrets, secret_references
from mizzen.xds.resource import Resource


@dataclass(frozen=True, slots=True, eq=False)
class WorkloadResources:
    """Resources of one workload, and the names of their secrets. Equal replicas share the object.

    `hidden_listeners` are names of outbound listeners whose addresses inbound listeners use: Envoy rejects
    two listeners with one address. `ports` are those of a sidecar's workload. `route_servers` are the servers
    of each route configuration of a gateway. `chain_origins` are the origins of the filter chains of each of
    its listeners, in order. `gateway_routes` keeps what their next versions reuse. The reference
    `passthrough` keeps these chains in the memo for other workloads.
    """

    clusters: tuple[Resource, ...] = ()
    listeners: tuple[Resource, ...] = ()
    routes: tuple[Resource, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    secrets: SecretNames = NO_SECRETS
    hidden_listeners: frozenset[str] = frozenset()
    ports: tuple[InboundPort, ...] = ()
    route_servers: Mapping[str, tuple[GatewayServer, ...]] = field(default_factory=dict)
    chain_origins: Mapping[str, tuple[tuple[Origin, ...], ...]] = field(default_factory=dict)
    gateway_routes: tuple[GatewayRoutes, ...] = ()
    passthrough: PassthroughChains | None = None


@dataclass(frozen=True, slots=True)
class ServedWorkload:
    """Everything that a sidecar's inbound resources depend on.

    Replicas of a workload are equal: only the `traits` of the proxy count, and for its instances not the
    endpoints.
    """

    ports: tuple[tuple[Service, ServicePort, int], ...]
    rules: tuple[MergedDestinationRule | None, ...]
    sidecar: SidecarConfig | None
    policies: WorkloadPolicies
    modes: PeerModes
    settings: ByIdentity[MeshConfig]
    traits: tuple[Any, ...]
    mesh_config: MeshConfig = field(compare=False)
    proxy: Proxy = field(compare=False)
    instances: tuple[ServiceInstance, ...] = field(compare=False)

    @classmethod
    def of(
        cls, mesh: ProxyQuestions, proxy: Proxy, sidecar: SidecarConfig | None, mesh_config: MeshConfig
    ) -> ServedWorkload:
        """Return the values for a proxy from `mesh`; `mesh_config` has the proxy's own ProxyConfig."""
        instances = mesh.instances(proxy)
        policies = mesh.policies_for(proxy)
        return cls(
            tuple((each.service, each.port, each.target_port) for each in instances),
            tuple(mesh.inbound_rule(proxy.namespace, each.service) for each in instances),
            sidecar,
            policies,
            mesh.peer_modes(proxy, policies),
            ByIdentity(mesh_config),
            (*_inbound_traits(proxy, sidecar), ip_family(proxy, mesh_config.default_config)),
            mesh_config,
            proxy,
            instances,
        )


def sidecar_resources(workload: ServedWorkload, memo: Memo) -> WorkloadResources:
    """Return the inbound listeners and clusters of a sidecar."""
    proxy, instances, sidecar = workload.proxy, workload.instances, workload.sidecar
    policies, modes, mesh_config = workload.policies, workload.modes, workload.mesh_config
    rule_of = {each.service: rule for each, rule in zip(instances, workload.rules, strict=True)}
    clusters = inbound_clusters(proxy, instances, sidecar, rule_of.get, mesh_config)
    ports, diagnostics = inbound_ports(proxy, instances, sidecar, mesh_config)
    listeners = [
        Resource.of(
            bound_inbound_listener(proxy, port, mesh_config, policies, modes),
            origins=(*port.origins, *policies.origins),
        )
        for port in ports
        if port.bind_to_port
    ]
    passthrough = None
    if proxy.interception_mode != "NONE":
        captured = [port for port in ports if not port.bind_to_port]
        unowned = UnownedPorts.of(proxy, captured, policies, modes)
        passthrough = memo(passthrough_chains, unowned, workload.settings)
        message = virtual_inbound_listener(proxy, captured, mesh_config, policies, modes, passthrough)
        served = dict.fromkeys(origin for port in captured for origin in port.origins)
        origins = (*served, *policies.origins)
        listeners.append(Resource.of(message, name=VIRTUAL_INBOUND, origins=origins))
    tcp_ports = [port.number for port in ports if not port.protocol.is_http]
    diagnostics += _about_policies(policies, mesh_config, tcp_ports)
    names = all_secrets(map(secret_references, (*listeners, *clusters)))
    hidden = frozenset(
        listener_name(port.bind, port.number, bound=False, interception_mode=proxy.interception_mode)
        for port in ports
        if port.bind_to_port
    )
    return WorkloadResources(
        clusters,
        tuple(listeners),
        diagnostics=diagnostics,
        secrets=names,
        hidden_listeners=hidden,
        ports=ports,
        passthrough=passthrough,
    )


def _inbound_traits(proxy: Proxy, sidecar: SidecarConfig | None) -> tuple[Any, ...]:
    """Return the properties of the proxy that inbound resources depend on. Its addresses count only with a
    Sidecar's ingress, where listeners or endpoints contain them."""
    addresses = proxy.ip_addresses if sidecar is not None and sidecar.spec.ingress else ()
    metadata = proxy.metadata
    return (
        addresses,
        proxy.interception_mode,
        metadata.http10,
        metadata.idle_timeout,
        metadata.unprivileged_pod,
        (metadata.envoy_status_port, metadata.envoy_prometheus_port),
        metadata.inbound_listener_exact_balance,
        metadata.agent,
    )


def gateway_resources(
    mesh: ProxyQuestions,
    merged: MergedGateway,
    policies: WorkloadPolicies,
    scope: SidecarScope,
    mesh_config: MeshConfig,
    passthrough: PassthroughServices,
    memo: Memo,
    cached: CachedGatewayRoutes,
) -> WorkloadResources:
    """Return the listeners and routes of a gateway, for its `merged` servers and the `policies` of its
    workload.

    `mesh_config` is the mesh's with the ProxyConfig of the scope's proxies. `passthrough` has the filter
    chains of the services for its AUTO_PASSTHROUGH servers. `cached` has the last route configurations of its
    kind, and is updated.
    """
    made = GatewayListenerBuilder(merged, policies, mesh, scope, mesh_config, passthrough, memo).build()
    gateway_routes = tuple(
        gateway_route_configuration(name, servers, mesh, scope, mesh_config, memo, cached)
        for name, servers in made.route_configurations.items()
    )
    routes = tuple(each.resource for each in gateway_routes)
    if mesh_config.default_config.quic_listeners:
        pairs = zip(routes, made.route_configurations.values(), strict=True)
        routes = tuple(announcing_http3(each, servers, memo) for each, servers in pairs)
    return WorkloadResources(
        listeners=made.listeners,
        routes=routes,
        diagnostics=(
            *merged.rejected,
            *made.diagnostics,
            *_about_policies(policies, mesh_config, _tcp_ports(merged)),
        ),
        secrets=all_secrets(map(secret_references, made.listeners)),
        route_servers=made.route_configurations,
        chain_origins=made.chain_origins,
        gateway_routes=gateway_routes,
    )


def _tcp_ports(merged: MergedGateway) -> Iterator[int]:
    """Yield the ports on which a gateway accepts connections that are not HTTP."""
    for listener in merged.listeners:
        if not all(server.is_http for server in listener.servers):
            yield listener.port


def _about_policies(
    policies: WorkloadPolicies, mesh_config: MeshConfig, tcp_ports: Iterable[int]
) -> tuple[Diagnostic, ...]:
    """Return diagnostics for parts of a workload's policies that do not work as written."""
    without_keys = rules_without_keys(policies.request_authentications, policies.fetched_keys)
    unasked = unasked_about_tcp(policies, mesh_config, tcp_ports)
    return (*without_keys, *several_authorizers(policies), *unasked)
