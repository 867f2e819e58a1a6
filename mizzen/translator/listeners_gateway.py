"""Listeners of a gateway, from the servers that its Gateway resources name.

Source: Istio's pilot/pkg/networking/core/gateway.go. Which servers may share a port is decided in
mesh/gateways.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2

from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.models import L4MatchAttributes, TLSMatchAttributes
from mizzen.mesh.gateways import GatewayListener, GatewayServer, MergedGateway
from mizzen.mesh.hosts import is_subset_of, matches
from mizzen.mesh.proxy import Proxy
from mizzen.mesh.service import Service
from mizzen.mesh.sidecar_scope import SidecarScope
from mizzen.mesh.snapshot import Mesh
from mizzen.mesh.virtual_services import VirtualServiceRule
from mizzen.translator.access_logs import listener_access_logs
from mizzen.translator.cluster_names import sni_dnat_cluster_name
from mizzen.translator.config_sources import duration
from mizzen.translator.destinations import destinations
from mizzen.translator.downstream_tls import gateway_transport_socket
from mizzen.translator.filter_chains import ChainMatch
from mizzen.translator.http_connection_manager import HttpSettings, Role, http_connection_manager
from mizzen.translator.l4_routes import routed_target
from mizzen.translator.listener_filters import tls_inspector
from mizzen.translator.listener_messages import address, set_accept_limit
from mizzen.translator.listeners_outbound import wildcard_address
from mizzen.translator.tcp_proxy import TcpTarget, plain_target, tcp_filters
from mizzen.xds.resource import Resource

_TRANSPORT_SOCKET_CONNECT_TIMEOUT = timedelta(seconds=15)
_MESH_PROTOCOLS = ("istio-peer-exchange", "istio", "istio-http/1.0", "istio-http/1.1", "istio-h2")


@dataclass(slots=True)
class GatewayListeners:
    """The listeners of one gateway, the servers behind each route configuration, and what was left out."""

    listeners: tuple[Resource, ...] = ()
    route_configurations: dict[str, tuple[GatewayServer, ...]] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class _L4Chain:
    target: TcpTarget
    match: ChainMatch
    origin: Origin


class GatewayListenerBuilder:
    """Builds the listeners of one gateway proxy."""

    def __init__(self, merged: MergedGateway, mesh: Mesh, proxy: Proxy, scope: SidecarScope) -> None:
        self._merged = merged
        self._mesh = mesh
        self._proxy = proxy
        self._scope = scope
        self._result = GatewayListeners()
        self._diagnostics: list[Diagnostic] = []

    def build(self) -> GatewayListeners:
        """Return what the gateway listens on. A listener that nothing would be served on is not made."""
        made = []
        for listener in self._merged.listeners:
            message = self._listener(listener)
            if message is not None:
                origins = tuple(dict.fromkeys(server.origin for server in listener.servers))
                made.append(Resource.of(message, origins=origins))
        self._result.listeners = tuple(made)
        self._result.diagnostics = tuple(self._diagnostics)
        return self._result

    def _listener(self, listener: GatewayListener) -> Any:
        bind = listener.bind or wildcard_address(self._scope.profile)
        name = f"{bind}_{listener.port}"
        chains = list(self._chains(listener, name))
        if not chains:
            return None
        message = listener_pb2.Listener(
            name=name,
            address=address(bind, listener.port),
            traffic_direction=base_pb2.OUTBOUND,
            access_log=listener_access_logs(self._mesh.mesh_config),
            filter_chains=chains,
        )
        message.listener_filters_timeout.seconds = 0
        set_accept_limit(message)
        if any(
            chain.filter_chain_match.server_names or chain.HasField("transport_socket") for chain in chains
        ):
            message.listener_filters.append(tls_inspector())
        return message

    def _chains(self, listener: GatewayListener, name: str) -> Iterator[Any]:
        plain_http = tuple(s for s in listener.servers if s.is_http and not s.terminates_tls)
        if plain_http:
            route_name = plain_http[0].route_name
            self._result.route_configurations[route_name] = plain_http
            yield self._http_chain(f"outbound_{name};", route_name)
        taken: set[str] = set()
        for server in listener.servers:
            if server.is_passthrough:
                by_sni = self._auto_passthrough if _mode(server) == "AUTO_PASSTHROUGH" else self._passthrough
                yield from self._l4_chains(by_sni(server, taken))
            elif not server.is_http:
                yield from self._terminated_tcp(server, listener)
            elif server.terminates_tls:
                yield self._https_chain(server, name)

    def _http_chain(self, stat_prefix: str, route_name: str) -> Any:
        settings = HttpSettings(
            Role.GATEWAY,
            stat_prefix=stat_prefix,
            route_config_name=route_name,
            http10=self._proxy.metadata.http10,
            idle_timeout=self._proxy.metadata.idle_timeout,
        )
        chain = _chain()
        chain.filters.append(http_connection_manager(settings, self._mesh.mesh_config))
        return chain

    def _https_chain(self, server: GatewayServer, name: str) -> Any:
        self._result.route_configurations[server.route_name] = (server,)
        stat_prefix = server.server.name or f"outbound_{name};"
        chain = self._http_chain(stat_prefix, server.route_name)
        match = ChainMatch(server_names=server.sni_hosts)
        if not match.is_match_all:
            chain.filter_chain_match.CopyFrom(match.message())
        self._secure(chain, server, is_http=True)
        return chain

    def _secure(self, chain: Any, server: GatewayServer, *, is_http: bool) -> None:
        socket = gateway_transport_socket(server.server, self._mesh.mesh_config, is_http=is_http)
        if socket is not None:
            chain.transport_socket.CopyFrom(socket)

    def _l4_chains(self, chains: Iterable[_L4Chain]) -> Iterator[Any]:
        for each in chains:
            chain = _chain()
            if not each.match.is_match_all:
                chain.filter_chain_match.CopyFrom(each.match.message())
            chain.filters.extend(tcp_filters(each.target, self._mesh.mesh_config))
            yield chain

    def _terminated_tcp(self, server: GatewayServer, listener: GatewayListener) -> Iterator[Any]:
        """A TCP server, with or without TLS: the first TCP rule that is for it says where everything goes."""
        for rule in self._rules(server):
            if not any(matches(host, name) for host in rule.hosts for _, name in server.hosts):
                continue
            for tcp_rule in rule.tcp:
                if not _applies(tcp_rule.route.match, server):
                    continue
                target = self._target(tcp_rule.route.route, rule, listener.port)
                names = server.sni_hosts if server.server.tls is not None else ()
                chain = next(iter(self._l4_chains([_L4Chain(target, ChainMatch(names), tcp_rule.origin)])))
                if server.server.tls is not None:
                    self._secure(chain, server, is_http=False)
                yield chain
                return

    def _passthrough(self, server: GatewayServer, taken: set[str]) -> Iterator[_L4Chain]:
        """TLS that is not terminated: one chain for each match of a TLS rule, by SNI."""
        for rule in self._rules(server):
            if not any(is_subset_of(host, name) for host in rule.hosts for _, name in server.hosts):
                continue
            for tls_rule in rule.tls:
                for match in tls_rule.route.match:
                    if not _applies((match,), server):
                        continue
                    names = tuple(name for name in match.sni_hosts if name not in taken)
                    for name in set(match.sni_hosts) & taken:
                        self._already_taken(name, tls_rule.origin, server)
                    if not names:
                        continue
                    taken.update(names)
                    number = _number(server)
                    target = self._target(tls_rule.route.route, rule, number)
                    chain_match = ChainMatch(names, tuple(match.destination_subnets))
                    yield _L4Chain(target, chain_match, tls_rule.origin)

    def _already_taken(self, name: str, origin: Origin, server: GatewayServer) -> None:
        number = _number(server)
        self._diagnostics.append(
            Diagnostic(
                Severity.WARNING,
                "MZ0103",
                f"sniHosts {name} is routed already on port {number} of gateway {server.gateway_name}: the "
                "older rule stays in force; remove one of the two",
                origin,
            )
        )

    def _auto_passthrough(self, server: GatewayServer, taken: set[str]) -> Iterator[_L4Chain]:
        """Mesh traffic from another network: the SNI itself names the cluster."""
        for service in passed_through(self._scope.services, auto_passthrough_hosts((server,))):
            rule = self._scope.destination_rule(service)
            for target in destinations(
                service, rule, self._scope.profile, self._mesh.mesh_config, sni_dnat=True
            ):
                name = sni_dnat_cluster_name(target.port.number, target.subset_name, service.hostname)
                if name in taken:
                    continue
                taken.add(name)
                match = ChainMatch((name,), application_protocols=_MESH_PROTOCOLS)
                yield _L4Chain(plain_target(name), match, server.origin)

    def _target(self, routes: Any, rule: VirtualServiceRule, port: int) -> TcpTarget:
        return routed_target(
            routes, rule, self._scope, port, self._mesh.mesh_config, self._proxy.metadata.idle_timeout
        )

    def _rules(self, server: GatewayServer) -> tuple[VirtualServiceRule, ...]:
        rules = self._mesh.virtual_services_for_gateway(server.gateway_name, self._proxy.namespace)
        allowed = {namespace for namespace, _ in server.hosts}
        return tuple(rule for rule in rules if "" in allowed or rule.config.namespace in allowed)


def _applies(found: Iterable[L4MatchAttributes | TLSMatchAttributes], server: GatewayServer) -> bool:
    """Return whether one of the matches is for this server; at a gateway only its port and name count."""
    conditions = tuple(found)
    number = _number(server)
    return not conditions or any(
        (not match.port or match.port == number)
        and (not match.gateways or server.gateway_name in match.gateways)
        for match in conditions
    )


def auto_passthrough_hosts(servers: Iterable[GatewayServer]) -> tuple[str, ...]:
    """Return the hosts of the servers that route mesh traffic by SNI alone."""
    return tuple(
        host for server in servers if _mode(server) == "AUTO_PASSTHROUGH" for _, host in server.hosts
    )


def passed_through(services: Iterable[Service], hosts: Sequence[str]) -> Iterator[Service]:
    """Yield the services of the mesh that such servers with these hosts are for."""
    for service in services:
        if not service.mesh_external and any(is_subset_of(service.hostname, host) for host in hosts):
            yield service


def _number(server: GatewayServer) -> int:
    return server.server.port.number if server.server.port is not None else 0


def _mode(server: GatewayServer) -> str:
    return str(server.server.tls.mode) if server.server.tls is not None else ""


def _chain() -> Any:
    chain = listener_components_pb2.FilterChain()
    chain.transport_socket_connect_timeout.CopyFrom(duration(_TRANSPORT_SOCKET_CONNECT_TIMEOUT))
    return chain
