"""Inbound listeners of a sidecar: virtualInbound where connections are captured, real ports where a Sidecar
resource asks for them.

Source: Istio's pilot/pkg/networking/core/listener_inbound.go. Workloads have no certificates of the mesh yet,
so every port is served as under PeerAuthentication's mode DISABLE: plaintext, and TLS passed through as it
came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2

from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.document import Config
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import Sidecar
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import ip_family
from mizzen.mesh.rules.security_policies import NO_POLICIES, WorkloadPolicies
from mizzen.mesh.service import Protocol, Service, ServicePort
from mizzen.mesh.services.registry import ServiceInstance
from mizzen.translator.base.cluster_names import (
    BLACK_HOLE_CLUSTER,
    INBOUND_PASSTHROUGH_CLUSTER,
    STAT_NAME_DELIMITER,
    alt_stat_name,
    inbound_cluster_name,
)
from mizzen.translator.base.config_sources import duration
from mizzen.translator.listeners import listener_filters
from mizzen.translator.listeners.access_logs import listener_access_logs
from mizzen.translator.listeners.filter_chains import ChainMatch
from mizzen.translator.listeners.http_connection_manager import (
    HttpSettings,
    Role,
    http_connection_manager,
    plaintext_http_protocols,
)
from mizzen.translator.listeners.messages import (
    address,
    listen_on_both_families,
    set_accept_limit,
    set_exact_balance,
)
from mizzen.translator.listeners.names import listener_name
from mizzen.translator.listeners.outbound import parse_protocol
from mizzen.translator.listeners.tcp_proxy import plain_target, tcp_filters
from mizzen.translator.routes.inbound import inbound_route_configuration

VIRTUAL_INBOUND = "virtualInbound"
_RAW_BUFFER = "raw_buffer"


@dataclass(frozen=True, slots=True)
class InboundPort:
    """One port of the workload: where it is served, with which protocol, for which service (None where a
    Sidecar resource names a port that belongs to no service)."""

    bind: str
    number: int
    protocol: Protocol
    bind_to_port: bool = False
    service: Service | None = None
    service_port: ServicePort | None = None
    origins: tuple[Origin, ...] = ()
    is_bind_given: bool = False

    @property
    def name(self) -> str:
        """The name of its filter chains."""
        return f"{self.bind}_{self.number}"


def inbound_ports(
    proxy: Proxy,
    instances: Sequence[ServiceInstance],
    sidecar: Config[Sidecar] | None,
    mesh_config: MeshConfig,
) -> tuple[tuple[InboundPort, ...], tuple[Diagnostic, ...]]:
    """Return the ports that the workload of `proxy` is served on, by number, and what could not be.

    A Sidecar's `ingress` replaces what its services say. Without it every target port of the services that
    the workload belongs to is one; the oldest service decides the protocol of a port that several share.
    Without capture nothing is served but what a Sidecar binds.
    """
    metadata = proxy.metadata
    own = {metadata.envoy_status_port, metadata.envoy_prometheus_port}
    if sidecar is not None and sidecar.spec.ingress:
        wanted = tuple(_ingress_ports(proxy, instances, sidecar))
    elif proxy.interception_mode == "NONE":
        return (), ()
    else:
        wanted = tuple(_service_ports(proxy, instances))
        own |= {mesh_config.proxy_listen_port, mesh_config.proxy_inbound_listen_port}
    ports: dict[int, InboundPort] = {}
    diagnostics = []
    for port in wanted:
        earlier = ports.get(port.number)
        at_proxys_own = not port.is_bind_given or port.bind == wildcard_bind(proxy)
        if port.protocol is Protocol.UDP:
            diagnostics.append(_not_served(port, "proxies serve no UDP; leave its listener out"))
        elif at_proxys_own and port.number in own:
            diagnostics.append(_not_served(port, "the proxy itself listens there; choose another port"))
        elif port.bind_to_port and metadata.unprivileged_pod and port.number < 1024:
            reason = "an unprivileged proxy cannot bind it; choose a port from 1024 on"
            diagnostics.append(_not_served(port, reason))
        elif earlier is None:
            ports[port.number] = port
        elif earlier.protocol is not port.protocol:
            diagnostics.append(_protocol_conflict(port, earlier))
    return tuple(ports[number] for number in sorted(ports)), tuple(diagnostics)


def _service_ports(proxy: Proxy, instances: Sequence[ServiceInstance]) -> Iterable[InboundPort]:
    for instance in instances:
        if instance.port.protocol is not Protocol.UDP:
            yield InboundPort(
                wildcard_bind(proxy),
                instance.target_port,
                instance.port.protocol,
                service=instance.service,
                service_port=instance.port,
                origins=instance.service.origins,
            )


def _ingress_ports(
    proxy: Proxy, instances: Sequence[ServiceInstance], sidecar: Config[Sidecar]
) -> Iterable[InboundPort]:
    services = {instance.target_port: instance.service for instance in reversed(instances)}
    for index, ingress in enumerate(sidecar.spec.ingress):
        if ingress.port is None:
            continue
        protocol = parse_protocol(ingress.port.protocol)
        bound = ingress.capture_mode == "NONE"
        if ingress.capture_mode == "DEFAULT":
            bound = proxy.interception_mode == "NONE"
        # A port that is really bound leaves the host's other addresses to others: the workload's own port at
        # 127.0.0.1, and proxies beside this one.
        default_bind = proxy.ip_addresses[0] if bound else wildcard_bind(proxy)
        yield InboundPort(
            ingress.bind or default_bind,
            ingress.port.number,
            protocol,
            bind_to_port=bound,
            service=services.get(ingress.port.number),
            service_port=ServicePort(ingress.port.name, ingress.port.number, protocol),
            origins=(sidecar.origin_of("spec", "ingress", index),),
            is_bind_given=bool(ingress.bind),
        )


def _not_served(port: InboundPort, reason: str) -> Diagnostic:
    origin = port.origins[0] if port.origins else Origin("")
    message = f"port {port.number} of the workload is not served: {reason}"
    return Diagnostic(Severity.WARNING, "MZ0104", message, origin)


def _protocol_conflict(port: InboundPort, earlier: InboundPort) -> Diagnostic:
    origin = port.origins[0] if port.origins else Origin("")
    owner, newcomer = (each.service.hostname if each.service else "a Sidecar" for each in (earlier, port))
    return Diagnostic(
        Severity.WARNING,
        "MZ0102",
        f"port {port.number} of the workload is {earlier.protocol} for {owner} and {port.protocol} for "
        f"{newcomer}: the older one, {owner}, decides; give both services the same protocol",
        origin,
    )


def wildcard_bind(proxy: Proxy) -> str:
    """Return the address that stands for all of the proxy's."""
    return "::" if proxy.is_ipv6_only else "0.0.0.0"  # noqa: S104 - what Istio's listeners bind


def virtual_inbound_listener(
    proxy: Proxy,
    ports: Sequence[InboundPort],
    mesh_config: MeshConfig,
    policies: WorkloadPolicies = NO_POLICIES,
) -> Any:
    """Return the listener that captured inbound connections arrive at; `ports` are those without a real
    listener of their own."""
    number = mesh_config.proxy_inbound_listen_port
    listener = listener_pb2.Listener(
        name=VIRTUAL_INBOUND,
        address=address(wildcard_bind(proxy), number),
        traffic_direction=base_pb2.INBOUND,
        continue_on_listener_filters_timeout=True,
        access_log=listener_access_logs(mesh_config),
    )
    listen_on_both_families(listener, ip_family(proxy, mesh_config.default_config))
    set_accept_limit(listener)
    listener.listener_filters.append(listener_filters.original_destination())
    if proxy.interception_mode == "TPROXY":
        listener.transparent.value = True
        listener.listener_filters.append(listener_filters.original_source())
    set_exact_balance(listener, proxy.metadata.inbound_listener_exact_balance)
    known = [number, *(port.number for port in ports if not port.protocol.is_auto)]
    inspector = listener_filters.http_inspector()
    listener.listener_filters.append(
        listener_filters.disabled_on_ports(inspector, known, default_disabled=False)
    )
    _set_timeout(listener, mesh_config)
    loop = listener.filter_chains.add(name="virtualInbound-blackhole")
    loop.filter_chain_match.destination_port.value = number
    loop.filters.extend(tcp_filters(plain_target(BLACK_HOLE_CLUSTER), mesh_config))
    listener.filter_chains.extend(_passthrough_chains(proxy, mesh_config, policies))
    for port in ports:
        listener.filter_chains.extend(_port_chains(proxy, port, mesh_config, policies))
    return listener


def bound_inbound_listener(
    proxy: Proxy,
    port: InboundPort,
    mesh_config: MeshConfig,
    policies: WorkloadPolicies = NO_POLICIES,
) -> Any:
    """Return the listener of a port that is really bound."""
    mode = proxy.interception_mode
    listener = listener_pb2.Listener(
        name=listener_name(port.bind, port.number, bound=True, interception_mode=mode),
        address=address(port.bind, port.number),
        traffic_direction=base_pb2.INBOUND,
        continue_on_listener_filters_timeout=True,
        access_log=listener_access_logs(mesh_config),
    )
    _listen_on_other_addresses(listener, proxy, port, mesh_config)
    set_accept_limit(listener)
    set_exact_balance(listener, proxy.metadata.inbound_listener_exact_balance)
    if port.protocol.is_auto:
        listener.listener_filters.append(listener_filters.http_inspector())
    _set_timeout(listener, mesh_config)
    listener.filter_chains.extend(_port_chains(proxy, port, mesh_config, policies))
    return listener


def _listen_on_other_addresses(
    listener: Any, proxy: Proxy, port: InboundPort, mesh_config: MeshConfig
) -> None:
    """With dual stack, a listener whose address the Sidecar leaves open is on one of each family."""
    family = ip_family(proxy, mesh_config.default_config)
    if family != "DUAL_STACK" or port.is_bind_given:
        return
    if port.bind == wildcard_bind(proxy):
        listen_on_both_families(listener, family)
        return
    others = (each for each in proxy.ip_addresses if (":" in each) != (":" in port.bind))
    listener.additional_addresses.add().address.CopyFrom(address(next(others), port.number))


def _set_timeout(listener: Any, mesh_config: MeshConfig) -> None:
    listener.listener_filters_timeout.CopyFrom(duration(mesh_config.protocol_detection_timeout))


def _passthrough_chains(proxy: Proxy, mesh_config: MeshConfig, policies: WorkloadPolicies) -> list[Any]:
    """Connections to ports that no service owns go where they were meant to: HTTP seen as such, the rest
    as bytes."""
    settings = HttpSettings(
        Role.SIDECAR_INBOUND,
        stat_prefix=f"{INBOUND_PASSTHROUGH_CLUSTER};",
        route_config=inbound_route_configuration(None, None, INBOUND_PASSTHROUGH_CLUSTER, mesh_config),
        http10=proxy.metadata.http10,
        idle_timeout=proxy.metadata.idle_timeout,
        policies=policies,
    )
    http = listener_components_pb2.FilterChain(name="virtualInbound-catchall-http")
    http.filter_chain_match.CopyFrom(_http_match(proxy, None).message())
    http.filters.append(http_connection_manager(settings, mesh_config))
    tcp = listener_components_pb2.FilterChain(name=VIRTUAL_INBOUND)
    tcp.filter_chain_match.CopyFrom(ChainMatch(transport_protocol=_RAW_BUFFER).message())
    tcp.filters.extend(_tcp(proxy, INBOUND_PASSTHROUGH_CLUSTER, Protocol.TCP, mesh_config, policies))
    return [http, tcp]


def _port_chains(
    proxy: Proxy, port: InboundPort, mesh_config: MeshConfig, policies: WorkloadPolicies
) -> list[Any]:
    cluster = inbound_cluster_name(port.number)
    chains = []
    if not port.protocol.is_tcp:
        settings = HttpSettings(
            Role.SIDECAR_INBOUND,
            stat_prefix=f"inbound_{port.name};",
            route_config=inbound_route_configuration(port.service, port.service_port, cluster, mesh_config),
            protocol=port.protocol,
            http10=proxy.metadata.http10,
            idle_timeout=proxy.metadata.idle_timeout,
            policies=policies,
        )
        http = listener_components_pb2.FilterChain(name=port.name)
        match = ChainMatch(transport_protocol=_RAW_BUFFER, destination_port=port.number)
        if port.protocol.is_auto:
            match = _http_match(proxy, port.number)
        http.filter_chain_match.CopyFrom(match.message())
        http.filters.append(http_connection_manager(settings, mesh_config))
        chains.append(http)
    if not port.protocol.is_http:
        tcp = listener_components_pb2.FilterChain(name=port.name)
        match = ChainMatch(transport_protocol=_RAW_BUFFER, destination_port=port.number)
        tcp.filter_chain_match.CopyFrom(match.message())
        stat_name = _stat_name(port, mesh_config)
        tcp.filters.extend(_tcp(proxy, cluster, port.protocol, mesh_config, policies, stat_name))
        chains.append(tcp)
    return chains


def _http_match(proxy: Proxy, number: int | None) -> ChainMatch:
    return ChainMatch(
        application_protocols=tuple(plaintext_http_protocols(proxy.metadata.http10)),
        transport_protocol=_RAW_BUFFER,
        destination_port=number,
    )


def _stat_name(port: InboundPort, mesh_config: MeshConfig) -> str:
    """Return what MeshConfig.inboundClusterStatName makes of the port's cluster, empty for its own name."""
    pattern = mesh_config.inbound_cluster_stat_name
    if not pattern or port.service_port is None:
        return ""
    name = alt_stat_name(
        "",
        pattern,
        hostname=port.service.hostname if port.service is not None else "",
        port=port.service_port.number,
        port_name=port.service_port.name,
        target_port=port.number,
    )
    return name.removesuffix(STAT_NAME_DELIMITER)


def _tcp(
    proxy: Proxy,
    cluster: str,
    protocol: Protocol,
    mesh_config: MeshConfig,
    policies: WorkloadPolicies,
    stat_name: str = "",
) -> Sequence[Any]:
    target = plain_target(cluster, proxy.metadata.idle_timeout, stat_prefix=stat_name)
    return tcp_filters(target, mesh_config, protocol, role=Role.SIDECAR_INBOUND, policies=policies)
