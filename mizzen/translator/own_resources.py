"""What one workload alone is sent: how it is served itself. The rest it shares with others (outbound.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import ip_family
from mizzen.mesh.rules.gateways import GatewayServer, MergedGateway
from mizzen.mesh.rules.security_policies import WorkloadPolicies
from mizzen.mesh.rules.token_keys import rules_without_keys
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.route_settings import ByIdentity
from mizzen.translator.clusters.inbound import inbound_clusters
from mizzen.translator.listeners.auto_passthrough import PassedServices
from mizzen.translator.listeners.external_authorization import several_authorizers
from mizzen.translator.listeners.gateway import GatewayListenerBuilder
from mizzen.translator.listeners.http3 import announcing_http3
from mizzen.translator.listeners.inbound import (
    VIRTUAL_INBOUND,
    InboundPort,
    bound_inbound_listener,
    inbound_ports,
    virtual_inbound_listener,
)
from mizzen.translator.listeners.names import listener_name
from mizzen.translator.routes.gateway import gateway_route_configuration
from mizzen.translator.tls.secret_references import NO_SECRETS, SecretNames, all_secrets, secret_references
from mizzen.xds.resource import Resource


@dataclass(frozen=True, slots=True, eq=False)
class OwnResources:
    """Resources of one workload, and the names of the secrets that they ask for; replicas that cannot be told
    apart share the object. `hidden_listeners` names outbound listeners at addresses that the workload's own
    take: Envoy refuses two listeners with one address. `ports` are those of a sidecar's workload;
    `route_servers` are the servers of each route configuration of a gateway."""

    clusters: tuple[Resource, ...] = ()
    listeners: tuple[Resource, ...] = ()
    routes: tuple[Resource, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    secrets: SecretNames = NO_SECRETS
    hidden_listeners: frozenset[str] = frozenset()
    ports: tuple[InboundPort, ...] = ()
    route_servers: Mapping[str, tuple[GatewayServer, ...]] = field(default_factory=dict)


def sidecar_resources(
    mesh: Mesh, proxy: Proxy, scope: SidecarScope, mesh_config: MeshConfig, memo: Memo
) -> OwnResources:
    """Return the inbound listeners and clusters of a sidecar; `mesh_config` is the mesh's with the proxy's
    own ProxyConfig."""
    instances = mesh.instances(proxy)
    policies = mesh.policies_for(proxy)
    modes = mesh.peer_modes(proxy, policies)
    rules = tuple(scope.destination_rule(instance.service, inbound=True) for instance in instances)
    key = (
        "own resources of a sidecar",
        tuple((instance.service, instance.port, instance.target_port) for instance in instances),
        rules,
        scope.sidecar,
        policies,
        modes,
        ByIdentity(mesh_config),
        _inbound_traits(proxy, scope),
        ip_family(proxy, mesh_config.default_config),
    )

    def build() -> OwnResources:
        rule_of = {i.service: rule for i, rule in zip(instances, rules, strict=True)}
        clusters = inbound_clusters(proxy, instances, scope.sidecar, rule_of.get, mesh_config)
        ports, diagnostics = inbound_ports(proxy, instances, scope.sidecar, mesh_config)
        listeners = [
            Resource.of(
                bound_inbound_listener(proxy, port, mesh_config, policies, modes), origins=port.origins
            )
            for port in ports
            if port.bind_to_port
        ]
        if proxy.interception_mode != "NONE":
            captured = [port for port in ports if not port.bind_to_port]
            message = virtual_inbound_listener(proxy, captured, mesh_config, policies, modes)
            origins = tuple(dict.fromkeys(origin for port in captured for origin in port.origins))
            listeners.append(Resource.of(message, name=VIRTUAL_INBOUND, origins=origins))
        diagnostics += _about_policies(policies)
        names = all_secrets(map(secret_references, (*listeners, *clusters)))
        hidden = frozenset(
            listener_name(port.bind, port.number, bound=False, interception_mode=proxy.interception_mode)
            for port in ports
            if port.bind_to_port
        )
        return OwnResources(clusters, tuple(listeners), (), diagnostics, names, hidden, ports)

    return memo.get(key, build)


def _inbound_traits(proxy: Proxy, scope: SidecarScope) -> tuple[Any, ...]:
    """Return what inbound resources depend on of the proxy itself. Its address counts only where a listener
    or an endpoint names it: with a Sidecar's ingress."""
    sidecar = scope.sidecar
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
    mesh: Mesh,
    proxy: Proxy,
    merged: MergedGateway,
    policies: WorkloadPolicies,
    scope: SidecarScope,
    mesh_config: MeshConfig,
    passed: PassedServices,
    memo: Memo,
) -> OwnResources:
    """Return the listeners and routes of a gateway, from its `merged` servers and the `policies` of its
    workload. `mesh_config` is the mesh's with the proxy's own ProxyConfig, `passed` are the services that its
    AUTO_PASSTHROUGH servers pass on."""
    made = GatewayListenerBuilder(merged, policies, mesh, proxy, scope, mesh_config, passed, memo).build()
    routes = tuple(
        gateway_route_configuration(name, servers, mesh, scope, mesh_config, memo)
        for name, servers in made.route_configurations.items()
    )
    if mesh_config.default_config.quic_listeners:
        pairs = zip(routes, made.route_configurations.values(), strict=True)
        routes = tuple(announcing_http3(each, servers, memo) for each, servers in pairs)
    return OwnResources(
        listeners=made.listeners,
        routes=routes,
        diagnostics=(*merged.rejected, *made.diagnostics, *_about_policies(policies)),
        secrets=all_secrets(map(secret_references, made.listeners)),
        route_servers=made.route_configurations,
    )


def _about_policies(policies: WorkloadPolicies) -> tuple[Diagnostic, ...]:
    """Return what cannot be served of a workload's policies as it is written."""
    without_keys = rules_without_keys(policies.request_authentications, policies.fetched_keys)
    return (*without_keys, *several_authorizers(policies))
