"""Inbound listeners of a sidecar: virtualInbound for captured connections, and listeners that bind a port if
a Sidecar resource asks for them.

Source: Istio's pilot/pkg/networking/core/listener_inbound.go. The mode of a port says whether it accepts
plain text, mutual TLS or both (inbound_matches.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2

from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.document import Config
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import MutualTLSMode, Sidecar
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import ip_family
from mizzen.mesh.rules.peer_authentication import PLAIN_TEXT, PeerModes
from mizzen.mesh.rules.security_policies import NO_POLICIES, WorkloadPolicies
from mizzen.mesh.service import Protocol, Service, ServicePort
from mizzen.mesh.services.registry import ServiceInstance
from mizzen.translator.base.by_identity import ByIdentity
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
from mizzen.translator.listeners.http_connection_manager import (
    HttpSettings,
    Role,
    http_connection_manager,
)
from mizzen.translator.listeners.inbound_matches import (
    InboundMatch,
    inbound_matches,
    looks_for_http,
    looks_for_tls,
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
from mizzen.translator.tls.downstream import inbound_transport_socket

VIRTUAL_INBOUND = "virtualInbound"
_PASSTHROUGH_HTTP = "virtualInbound-catchall-http"


@dataclass(frozen=True, slots=True)
class InboundPort:
    """One port of the workload: its address, protocol and service. The service is None if a Sidecar resource
    has a port that belongs to no service."""

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
    """Return the ports of the workload of `proxy`, by number, and diagnostics for ports that are left out.

    The ports are those of the Sidecar's `ingress` if it has any. Otherwise they are the target ports of the
    services that the workload belongs to. If several services share a port, the oldest decides its protocol.
    Without traffic capture, only a Sidecar's ports are served.
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
        # A listener that binds a port binds one address only. So the workload can have the same port at
        # 127.0.0.1, and other proxies on the host can have it at their addresses.
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
    """Return the wildcard address of the proxy's IP family."""
    return "::" if proxy.is_ipv6_only else "0.0.0.0"  # noqa: S104 - what Istio's listeners bind


def virtual_inbound_listener(
    proxy: Proxy,
    ports: Sequence[InboundPort],
    mesh_config: MeshConfig,
    policies: WorkloadPolicies,
    modes: PeerModes,
    passthrough: PassthroughChains,
) -> Any:
    """Return the listener for captured inbound connections. `ports` are those without a listener of their
    own; `passthrough` takes connections to all other ports."""
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
    listener.listener_filters.extend(_inspectors(number, ports, modes))
    _set_timeout(listener, mesh_config)
    loop = listener.filter_chains.add(name="virtualInbound-blackhole")
    loop.filter_chain_match.destination_port.value = number
    loop.filters.extend(tcp_filters(plain_target(BLACK_HOLE_CLUSTER), mesh_config))
    listener.filter_chains.extend(passthrough.messages)
    for port in ports:
        listener.filter_chains.extend(_port_chains(proxy, port, mesh_config, policies, modes))
    return listener


def _inspectors(number: int, ports: Sequence[InboundPort], modes: PeerModes) -> Iterable[Any]:
    """Yield the filters that detect TLS and HTTP, switched off for ports that do not need them; `number` is
    the listener's own port."""
    modes_of = {port: (mode, Protocol.UNSUPPORTED) for port, mode in modes.ports}
    modes_of |= {port.number: (modes.of_port(port.number), port.protocol) for port in ports}
    elsewhere = looks_for_tls(modes.workload)
    tls = {number: False, **{port: looks_for_tls(mode) for port, (mode, _) in modes_of.items()}}
    yield from _inspector(listener_filters.tls_inspector(inbound=True), tls, elsewhere)
    elsewhere = looks_for_http(modes.workload, Protocol.UNSUPPORTED)
    http = {number: False, **{port: looks_for_http(*each) for port, each in modes_of.items()}}
    yield from _inspector(listener_filters.http_inspector(), http, elsewhere)


def _inspector(inspector: Any, needed: Mapping[int, bool], elsewhere: bool) -> Iterable[Any]:
    """Yield `inspector`, unless no port needs it. `needed` says for which ports it is on, `elsewhere` whether
    it is on for all other ports."""
    exceptions = [port for port, wanted in needed.items() if wanted is not elsewhere]
    if elsewhere or exceptions:
        yield listener_filters.disabled_on_ports(inspector, exceptions, default_disabled=not elsewhere)


def bound_inbound_listener(
    proxy: Proxy,
    port: InboundPort,
    mesh_config: MeshConfig,
    policies: WorkloadPolicies = NO_POLICIES,
    modes: PeerModes = PLAIN_TEXT,
) -> Any:
    """Return the listener that binds `port`."""
    mode = proxy.interception_mode
    mutual_tls = modes.of_port(port.number)
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
    if looks_for_tls(mutual_tls):
        listener.listener_filters.append(listener_filters.tls_inspector(inbound=True))
    if looks_for_http(mutual_tls, port.protocol):
        listener.listener_filters.append(listener_filters.http_inspector())
    _set_timeout(listener, mesh_config)
    listener.filter_chains.extend(_port_chains(proxy, port, mesh_config, policies, modes))
    return listener


def _listen_on_other_addresses(
    listener: Any, proxy: Proxy, port: InboundPort, mesh_config: MeshConfig
) -> None:
    """With dual stack, add an address of the second family, unless the Sidecar gives the address."""
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


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class PassthroughChains:
    """The filter chains for connections to ports that no service owns. They are large, and many workloads
    share them."""

    messages: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class UnownedPorts:
    """The values that the chains for ports without a service depend on. `modes` has the mTLS mode of each
    port that has its own; None stands for all other ports."""

    http10: bool
    idle_timeout: timedelta | None
    has_agent: bool
    modes: tuple[tuple[int | None, MutualTLSMode], ...]
    policies: WorkloadPolicies

    @classmethod
    def of(
        cls, proxy: Proxy, ports: Iterable[InboundPort], policies: WorkloadPolicies, modes: PeerModes
    ) -> UnownedPorts:
        """Return the values for a workload that serves `ports`."""
        owned = {port.number for port in ports}
        own = [(number, mode) for number, mode in modes.ports if number not in owned]
        metadata = proxy.metadata
        every = ((None, modes.workload), *own)
        return cls(metadata.http10, metadata.idle_timeout, metadata.agent, every, policies)


def passthrough_chains(unowned: UnownedPorts, mesh_settings: ByIdentity[MeshConfig]) -> PassthroughChains:
    """Return the chains that forward connections to ports without a service to their original address: as
    HTTP if Envoy detects it, otherwise as TCP."""
    http10, idle_timeout, policies = unowned.http10, unowned.idle_timeout, unowned.policies
    mesh_config = mesh_settings.value
    settings = HttpSettings(
        Role.SIDECAR_INBOUND,
        stat_prefix=f"{INBOUND_PASSTHROUGH_CLUSTER};",
        route_config=inbound_route_configuration(None, None, INBOUND_PASSTHROUGH_CLUSTER, mesh_config),
        http10=http10,
        idle_timeout=idle_timeout,
        policies=policies,
    )
    ends = _ChainEnds(
        _PASSTHROUGH_HTTP,
        VIRTUAL_INBOUND,
        http_connection_manager(settings, mesh_config),
        _tcp(idle_timeout, INBOUND_PASSTHROUGH_CLUSTER, Protocol.TCP, mesh_config, policies),
        unowned.has_agent,
    )
    chains: list[Any] = []
    for number, mode in unowned.modes:
        matches = inbound_matches(mode, Protocol.UNSUPPORTED, number, http10=http10)
        chains.extend(ends.chain(match, mesh_config) for match in matches)
    return PassthroughChains(tuple(chains))


def _port_chains(
    proxy: Proxy, port: InboundPort, mesh_config: MeshConfig, policies: WorkloadPolicies, modes: PeerModes
) -> list[Any]:
    cluster = inbound_cluster_name(port.number)
    settings = HttpSettings(
        Role.SIDECAR_INBOUND,
        stat_prefix=f"inbound_{port.name};",
        route_config=inbound_route_configuration(port.service, port.service_port, cluster, mesh_config),
        protocol=port.protocol,
        http10=proxy.metadata.http10,
        idle_timeout=proxy.metadata.idle_timeout,
        policies=policies,
    )
    stat_name = _stat_name(port, mesh_config)
    ends = _ChainEnds(
        port.name,
        port.name,
        None if port.protocol.is_tcp else http_connection_manager(settings, mesh_config),
        _tcp(proxy.metadata.idle_timeout, cluster, port.protocol, mesh_config, policies, stat_name),
        proxy.metadata.agent,
    )
    mode = modes.of_port(port.number)
    matches = inbound_matches(mode, port.protocol, port.number, http10=proxy.metadata.http10)
    return [ends.chain(match, mesh_config) for match in matches]


@dataclass(frozen=True, slots=True)
class _ChainEnds:
    """The common parts of a port's filter chains: their names, and the filters at their end."""

    http_name: str
    tcp_name: str
    manager: Any
    tcp: Sequence[Any]
    has_agent: bool

    def chain(self, wanted: InboundMatch, mesh_config: MeshConfig) -> Any:
        """Return the filter chain that takes the connections of `wanted`."""
        name = self.http_name if wanted.is_http else self.tcp_name
        chain = listener_components_pb2.FilterChain(name=name)
        chain.filter_chain_match.CopyFrom(wanted.match.message())
        chain.filters.extend([self.manager] if wanted.is_http else self.tcp)
        if wanted.terminates:
            socket = inbound_transport_socket(mesh_config, has_agent=self.has_agent)
            chain.transport_socket.CopyFrom(socket)
        return chain


def _stat_name(port: InboundPort, mesh_config: MeshConfig) -> str:
    """Return the name from MeshConfig.inboundClusterStatName for the port's cluster; empty keeps its own
    name."""
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
    idle_timeout: timedelta | None,
    cluster: str,
    protocol: Protocol,
    mesh_config: MeshConfig,
    policies: WorkloadPolicies,
    stat_name: str = "",
) -> Sequence[Any]:
    target = plain_target(cluster, idle_timeout, stat_prefix=stat_name)
    return tcp_filters(target, mesh_config, protocol, role=Role.SIDECAR_INBOUND, policies=policies)
