"""Listeners of a gateway, for the servers in its Gateway resources.

Source: Istio's pilot/pkg/networking/core/gateway.go. Which servers may share a port is decided in
mesh/rules/gateways.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_pb2

from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import L4MatchAttributes, TLSMatchAttributes
from mizzen.mesh.hosts import matches
from mizzen.mesh.proxy.profile import IPFamily
from mizzen.mesh.recorded.proxy_questions import ProxyQuestions
from mizzen.mesh.rules.gateways import GatewayListener, GatewayServer, MergedGateway
from mizzen.mesh.rules.security_policies import WorkloadPolicies
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.service import Protocol
from mizzen.translator.base.by_identity import ByIdentity
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.proxy_settings import apply_buffer_limit, connection_settings
from mizzen.translator.listeners.access_logs import listener_access_logs
from mizzen.translator.listeners.auto_passthrough import (
    PassthroughChain,
    PassthroughServices,
    listener_resource,
    passthrough_hosts,
    untaken_chains,
)
from mizzen.translator.listeners.filter_chains import ChainMatch
from mizzen.translator.listeners.http3 import http3_listener
from mizzen.translator.listeners.http_connection_manager import HttpSettings, Role, http_connection_manager
from mizzen.translator.listeners.l4_routes import routed_target
from mizzen.translator.listeners.listener_filters import proxy_protocol, tls_inspector
from mizzen.translator.listeners.messages import (
    address,
    gateway_filter_chain,
    listen_on_both_families,
    set_accept_limit,
)
from mizzen.translator.listeners.outbound import wildcard_address
from mizzen.translator.listeners.tcp_proxy import TcpTarget, tcp_filters
from mizzen.translator.tls.downstream import gateway_transport_socket
from mizzen.xds.resource import Resource


@dataclass(slots=True)
class GatewayListeners:
    """The listeners of one gateway, the origins of their filter chains, the servers of each route
    configuration, and diagnostics for what was left out."""

    listeners: tuple[Resource, ...] = ()
    chain_origins: dict[str, tuple[tuple[Origin, ...], ...]] = field(default_factory=dict)
    route_configurations: dict[str, tuple[GatewayServer, ...]] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()


_Made = tuple[Any, tuple[Origin, ...]]
"""A filter chain and its origins: its servers, or the rule of a VirtualService."""


@dataclass(frozen=True, slots=True)
class _L4Chain:
    target: TcpTarget
    match: ChainMatch
    protocol: Protocol
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class _Frame:
    """A listener without its filter chains. `policies` are the origins of the policies of its filters."""

    listener: GatewayListener
    bind: str
    ip_family: IPFamily
    policies: tuple[Origin, ...]

    @property
    def name(self) -> str:
        """The listener's name."""
        return f"{self.bind}_{self.listener.port}"

    def resource(
        self,
        chains: Sequence[Any],
        passthrough: Sequence[PassthroughChain],
        mesh_config: MeshConfig,
        *,
        reads_sni: bool,
    ) -> Resource:
        """Return the listener with these chains, followed by the auto-passthrough chains `passthrough`."""
        listener, proxy_config = self.listener, mesh_config.default_config
        message = listener_pb2.Listener(
            name=self.name,
            address=address(self.bind, listener.port),
            traffic_direction=base_pb2.OUTBOUND,
            access_log=listener_access_logs(mesh_config),
            filter_chains=chains,
        )
        if not listener.bind:
            listen_on_both_families(message, self.ip_family)
        set_accept_limit(message)
        apply_buffer_limit(message, connection_settings(proxy_config, gateway=True))
        topology = proxy_config.gateway_topology
        if topology is not None and topology.proxy_protocol is not None:
            message.listener_filters.append(proxy_protocol())
        if reads_sni:
            message.listener_filters.append(tls_inspector())
        servers = dict.fromkeys(server.origin for server in listener.servers)
        return listener_resource(message, passthrough, (*servers, *self.policies))


def _passing_listener(
    frame: _Frame, services: PassthroughServices, settings: ByIdentity[MeshConfig]
) -> Resource:
    """Return a listener that has only auto-passthrough chains. Most of its cost is joining bytes."""
    passthrough = tuple(untaken_chains(services, passthrough_hosts(frame.listener.servers), ()))
    return frame.resource((), passthrough, settings.value, reads_sni=True)


class GatewayListenerBuilder:
    """Builds the listeners of one class of gateway; `mesh_config` is the mesh's with the gateway's
    ProxyConfig."""

    def __init__(
        self,
        merged: MergedGateway,
        policies: WorkloadPolicies,
        mesh: ProxyQuestions,
        scope: SidecarScope,
        mesh_config: MeshConfig,
        passthrough: PassthroughServices,
        memo: Memo,
    ) -> None:
        self._merged = merged
        self._passed_through = passthrough
        self._memo = memo
        self._mesh = mesh
        self._profile = scope.profile
        self._policies = policies
        self._scope = scope
        self._mesh_config = mesh_config
        self._proxy_config = mesh_config.default_config
        self._result = GatewayListeners()
        self._diagnostics: list[Diagnostic] = []

    def build(self) -> GatewayListeners:
        """Return the gateway's listeners. Listeners that would have no filter chain are left out."""
        made = []
        for listener in self._merged.listeners:
            if self._profile.unprivileged_pod and listener.port < 1024:
                self._privileged(listener)
                continue
            resource = self._remembered(listener)
            if resource is not None:
                made.append(resource)
                beside = http3_listener(resource) if self._proxy_config.quic_listeners else None
                if beside is not None:
                    made.append(beside)
        self._result.listeners = tuple(made)
        self._result.diagnostics = tuple(self._diagnostics)
        return self._result

    def _remembered(self, listener: GatewayListener) -> Resource | None:
        """Return the listener. The memo remembers one that has only auto-passthrough chains until they
        change."""
        if not self._passed_through.chains or any(
            not passthrough_hosts((server,)) for server in listener.servers
        ):
            return self._listener(listener)
        if next(untaken_chains(self._passed_through, passthrough_hosts(listener.servers), ()), None) is None:
            return None
        frame = self._frame(listener)
        return self._memo(_passing_listener, frame, self._passed_through, ByIdentity(self._mesh_config))

    def _frame(self, listener: GatewayListener) -> _Frame:
        bind, origins = listener.bind or wildcard_address(self._profile), self._policies.filter_origins
        return _Frame(listener, bind, self._profile.ip_family, origins)

    def _listener(self, listener: GatewayListener) -> Resource | None:
        frame = self._frame(listener)
        name = frame.name
        taken: set[str] = set()
        made = list(self._chains(listener, name, taken))
        chains = [chain for chain, _ in made]
        if made:
            self._result.chain_origins[name] = tuple([origins for _, origins in made])
        passthrough = tuple(untaken_chains(self._passed_through, passthrough_hosts(listener.servers), taken))
        if not chains and not passthrough:
            return None
        # Even with `taken` names alone: access logs show the SNI (REQUESTED_SERVER_NAME).
        reads_sni = bool(passthrough or taken) or any(chain.HasField("transport_socket") for chain in chains)
        return frame.resource(chains, passthrough, self._mesh_config, reads_sni=reads_sni)

    def _privileged(self, listener: GatewayListener) -> None:
        server = listener.servers[0]
        self._warn(
            "MZ0104",
            f"port {listener.port} of gateway {server.gateway_name} gets no listener: an unprivileged proxy "
            "cannot bind it; listen on a port from 1024 on",
            server.origin,
        )

    def _chains(self, listener: GatewayListener, name: str, taken: set[str]) -> Iterator[_Made]:
        """Yield the chains of a listener without auto-passthrough ones; add their server names to `taken`."""
        # An HTTP server with a tls block only redirects. It gets no TLS, whatever the mode.
        plain_http = tuple(server for server in listener.servers if server.protocol.is_http)
        if plain_http:
            route_name = plain_http[0].route_name
            self._result.route_configurations[route_name] = plain_http
            chain = self._http_chain(f"outbound_{name};", route_name, plain_http[0].protocol)
            yield chain, tuple([server.origin for server in plain_http])
        for server in listener.servers:
            if server.protocol.is_http:
                continue
            if server.is_passthrough:
                if not passthrough_hosts((server,)):
                    yield from self._l4_chains(self._passthrough(server, taken))
                continue
            names = self._untaken(server.sni_hosts, taken, server.origin, server)
            if server.server.tls is not None and not names:
                continue
            if server.is_http:
                yield self._https_chain(server, name, names), (server.origin,)
            else:
                yield from self._terminated_tcp(server, names)

    def _untaken(
        self, names: Iterable[str], taken: set[str], origin: Origin, server: GatewayServer
    ) -> tuple[str, ...]:
        """Return those of `names` that no earlier chain of the listener has, and add them to `taken`. Envoy
        rejects a listener that has a name in two chains."""
        free = []
        for name in names:
            if name in taken:
                self._already_taken(name, origin, server)
            else:
                free.append(name)
        taken.update(free)
        return tuple(free)

    def _http_chain(self, stat_prefix: str, route_name: str, protocol: Protocol) -> Any:
        settings = HttpSettings(
            Role.GATEWAY,
            stat_prefix=stat_prefix,
            route_config_name=route_name,
            protocol=protocol,
            http10=self._profile.http10,
            idle_timeout=self._profile.idle_timeout,
            policies=self._policies,
        )
        chain = gateway_filter_chain()
        chain.filters.append(http_connection_manager(settings, self._mesh_config))
        return chain

    def _https_chain(self, server: GatewayServer, name: str, sni_hosts: tuple[str, ...]) -> Any:
        self._result.route_configurations[server.route_name] = (server,)
        stat_prefix = server.server.name or f"outbound_{name};"
        chain = self._http_chain(stat_prefix, server.route_name, server.protocol)
        match = ChainMatch(server_names=sni_hosts)
        if not match.is_match_all:
            chain.filter_chain_match.CopyFrom(match.message())
        self._secure(chain, server, is_http=True)
        return chain

    def _secure(self, chain: Any, server: GatewayServer, *, is_http: bool) -> None:
        socket = gateway_transport_socket(
            server.server, self._mesh_config, has_agent=self._profile.has_agent, is_http=is_http
        )
        if socket is not None:
            chain.transport_socket.CopyFrom(socket)

    def _l4_chains(self, chains: Iterable[_L4Chain]) -> Iterator[_Made]:
        for each in chains:
            chain = gateway_filter_chain()
            if not each.match.is_match_all:
                chain.filter_chain_match.CopyFrom(each.match.message())
            chain.filters.extend(
                tcp_filters(
                    each.target,
                    self._mesh_config,
                    each.protocol,
                    role=Role.GATEWAY,
                    policies=self._policies,
                )
            )
            yield chain, each.origins

    def _terminated_tcp(self, server: GatewayServer, sni_hosts: tuple[str, ...]) -> Iterator[_Made]:
        """Yield the chain of a TCP server, with or without TLS: the first TCP rule for it decides the
        target."""
        for rule in self._rules(server):
            for tcp_rule in rule.tcp:
                if not _applies(tcp_rule.route.match, server):
                    continue
                target = self._target(tcp_rule.route.route, rule, _number(server))
                with_tls = server.server.tls is not None
                origins = (tcp_rule.origin, server.origin) if with_tls else (tcp_rule.origin,)
                made = _L4Chain(target, ChainMatch(sni_hosts), server.protocol, origins)
                chain, _ = next(self._l4_chains([made]))
                if with_tls:
                    self._secure(chain, server, is_http=False)
                yield chain, origins
                return

    def _passthrough(self, server: GatewayServer, taken: set[str]) -> Iterator[_L4Chain]:
        """Yield the chains for TLS that is not terminated: one for each match of a TLS rule, by SNI alone."""
        for rule in self._rules(server):
            for tls_rule in rule.tls:
                for match in tls_rule.route.match:
                    if not _applies((match,), server):
                        continue
                    names = self._untaken(dict.fromkeys(match.sni_hosts), taken, tls_rule.origin, server)
                    if not names:
                        continue
                    target = self._target(tls_rule.route.route, rule, _number(server))
                    yield _L4Chain(target, ChainMatch(names), server.protocol, (tls_rule.origin,))

    def _already_taken(self, name: str, origin: Origin, server: GatewayServer) -> None:
        self._warn(
            "MZ0103",
            f"host {name} is served already on port {_number(server)} of gateway {server.gateway_name}: what "
            "is older stays in force; remove one of the two",
            origin,
        )

    def _warn(self, code: str, message: str, origin: Origin) -> None:
        self._diagnostics.append(Diagnostic(Severity.WARNING, code, message, origin))

    def _target(self, routes: Any, rule: VirtualServiceRule, port: int) -> TcpTarget:
        return routed_target(routes, rule, self._scope, port, self._mesh_config, self._profile.idle_timeout)

    def _rules(self, server: GatewayServer) -> Iterator[VirtualServiceRule]:
        """Yield the virtual services of the gateway that apply to the server: a host of the virtual service
        overlaps a host of the server that allows the virtual service's namespace."""
        for rule in self._mesh.virtual_services_for_gateway(server.gateway_name, self._profile.namespace):
            namespace = rule.config.namespace
            allowed = [host for place, host in server.hosts if place in ("", namespace)]
            if any(matches(host, name) for host in rule.hosts for name in allowed):
                yield rule


def _applies(found: Iterable[L4MatchAttributes | TLSMatchAttributes], server: GatewayServer) -> bool:
    """Return whether one of the matches applies to this server. Only the port and gateway of a match
    count."""
    conditions = tuple(found)
    number = _number(server)
    return not conditions or any(
        (not match.port or match.port == number)
        and (not match.gateways or server.gateway_name in match.gateways)
        for match in conditions
    )


def _number(server: GatewayServer) -> int:
    return server.server.port.number if server.server.port is not None else 0
