"""What one workload alone is sent: how it is served itself. The rest it shares with others (outbound.py)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.gateways import MergedGateway
from mizzen.mesh.profile import ip_family
from mizzen.mesh.proxy import Proxy
from mizzen.mesh.sidecar_scope import SidecarScope
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.clusters_inbound import inbound_clusters
from mizzen.translator.clusters_outbound import outbound_clusters, outbound_clusters_key
from mizzen.translator.endpoints import load_assignments, load_assignments_key
from mizzen.translator.listeners_gateway import (
    GatewayListenerBuilder,
    auto_passthrough_hosts,
    passed_through,
)
from mizzen.translator.listeners_inbound import (
    VIRTUAL_INBOUND,
    bound_inbound_listener,
    inbound_ports,
    virtual_inbound_listener,
)
from mizzen.translator.memo import Memo
from mizzen.translator.route_settings import ByIdentity
from mizzen.translator.routes_gateway import gateway_route_configuration
from mizzen.xds.resource import Resource


@dataclass(frozen=True, slots=True, eq=False)
class OwnResources:
    """Resources of one workload; replicas that cannot be told apart share the object."""

    clusters: tuple[Resource, ...] = ()
    endpoints: tuple[Resource, ...] = ()
    listeners: tuple[Resource, ...] = ()
    routes: tuple[Resource, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


def sidecar_resources(
    mesh: Mesh, proxy: Proxy, scope: SidecarScope, mesh_config: MeshConfig, memo: Memo
) -> OwnResources:
    """Return the inbound listeners and clusters of a sidecar; `mesh_config` is the mesh's with the proxy's
    own ProxyConfig."""
    instances = mesh.instances(proxy)
    rules = tuple(scope.destination_rule(instance.service, inbound=True) for instance in instances)
    key = (
        "own resources of a sidecar",
        tuple((instance.service, instance.port, instance.target_port) for instance in instances),
        rules,
        scope.sidecar,
        ByIdentity(mesh_config),
        _inbound_traits(proxy, scope),
        ip_family(proxy, mesh_config.default_config),
    )

    def build() -> OwnResources:
        rule_of = {i.service: rule for i, rule in zip(instances, rules, strict=True)}
        clusters = inbound_clusters(proxy, instances, scope.sidecar, rule_of.get, mesh_config)
        ports, diagnostics = inbound_ports(proxy, instances, scope.sidecar, mesh_config)
        listeners = [
            Resource.of(bound_inbound_listener(proxy, port, mesh_config), origins=port.origins)
            for port in ports
            if port.bind_to_port
        ]
        if proxy.interception_mode != "NONE":
            captured = [port for port in ports if not port.bind_to_port]
            message = virtual_inbound_listener(proxy, captured, mesh_config)
            origins = tuple(dict.fromkeys(origin for port in captured for origin in port.origins))
            listeners.append(Resource.of(message, name=VIRTUAL_INBOUND, origins=origins))
        return OwnResources(clusters, listeners=tuple(listeners), diagnostics=diagnostics)

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
    )


def gateway_resources(
    mesh: Mesh, proxy: Proxy, scope: SidecarScope, mesh_config: MeshConfig, memo: Memo
) -> OwnResources:
    """Return the listeners and routes of a gateway; `mesh_config` is the mesh's with the proxy's own
    ProxyConfig."""
    merged: MergedGateway = mesh.gateways_for(proxy)
    made = GatewayListenerBuilder(merged, mesh, proxy, scope, mesh_config).build()
    routes = tuple(
        gateway_route_configuration(name, servers, mesh, scope, mesh_config, memo)
        for name, servers in made.route_configurations.items()
    )
    clusters, endpoints = _passed_through(mesh, merged, scope, memo)
    diagnostics = (*merged.rejected, *made.diagnostics)
    return OwnResources(clusters, endpoints, made.listeners, routes, diagnostics)


def _passed_through(
    mesh: Mesh, merged: MergedGateway, scope: SidecarScope, memo: Memo
) -> tuple[tuple[Resource, ...], tuple[Resource, ...]]:
    """Return the clusters that SNI names at AUTO_PASSTHROUGH servers, and their endpoints."""
    hosts = tuple(auto_passthrough_hosts(merged.servers))
    clusters: list[Resource] = []
    endpoints: list[Resource] = []
    for service in passed_through(scope.services, hosts) if hosts else ():
        rule, pool = scope.destination_rule(service), mesh.endpoints(service)
        inputs = (service, rule, pool, scope.profile, mesh.mesh_config)
        clusters += memo.get(
            outbound_clusters_key(*inputs, sni_dnat=True), partial(outbound_clusters, *inputs, sni_dnat=True)
        )
        endpoints += memo.get(
            load_assignments_key(*inputs, sni_dnat=True), partial(load_assignments, *inputs, sni_dnat=True)
        )
    return tuple(clusters), tuple(endpoints)
