"""Translating outbound listeners from plain values (ListenerSpec) to Envoy's messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from google.protobuf import wrappers_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.proxy.profile import IPFamily, OutboundProfile
from mizzen.translator.base.by_identity import ByIdentity
from mizzen.translator.base.cluster_names import ALLOW_ANY_DNS_CACHE
from mizzen.translator.base.config_sources import duration
from mizzen.translator.listeners.access_logs import listener_access_logs
from mizzen.translator.listeners.dynamic_dns import dynamic_dns_route_configuration
from mizzen.translator.listeners.filter_chains import Chain, ChainMatch, HttpChain, TcpChain
from mizzen.translator.listeners.http_connection_manager import (
    HttpSettings,
    Role,
    http_connection_manager,
    plaintext_http_protocols,
)
from mizzen.translator.listeners.listener_filters import http_inspector, tls_inspector
from mizzen.translator.listeners.outbound import ListenerSpec, wildcard_address
from mizzen.translator.listeners.tcp_proxy import TcpTarget, tcp_filters
from mizzen.xds.resource import Resource

_TRANSPORT_SOCKET_CONNECT_TIMEOUT = timedelta(seconds=15)
_NO_TIMEOUT = timedelta(0)
PASSTHROUGH_FILTER_CHAIN = "PassthroughFilterChain"
VIRTUAL_OUTBOUND = "virtualOutbound"
_CATCH_ALL = "virtualOutbound-catchall-tcp"


def address(bind: str, port: int) -> Any:
    """Return Envoy's Address of an IP and port, or of `unix://path`."""
    if bind.startswith("unix://"):
        return address_pb2.Address(pipe=address_pb2.Pipe(path=bind.removeprefix("unix://")))
    return address_pb2.Address(
        socket_address=address_pb2.SocketAddress(address=bind, port_value=port),
    )


_IPV6_BESIDE = {"0.0.0.0": "::", "127.0.0.1": "::1"}  # noqa: S104 - what Istio's listeners bind


def listen_on_both_families(listener: Any, family: IPFamily) -> None:
    """With dual stack, let a listener on the IPv4 wildcard or loopback address also listen on that of IPv6
    (`additional_addresses`)."""
    socket = listener.address.socket_address
    beside = _IPV6_BESIDE.get(socket.address)
    if family == "DUAL_STACK" and beside is not None:
        listener.additional_addresses.add().address.CopyFrom(address(beside, socket.port_value))


def gateway_filter_chain() -> Any:
    """Return an empty filter chain for a gateway, with a time limit for the client's TLS handshake."""
    chain = listener_components_pb2.FilterChain()
    chain.transport_socket_connect_timeout.CopyFrom(duration(_TRANSPORT_SOCKET_CONNECT_TIMEOUT))
    return chain


@dataclass(frozen=True, slots=True)
class ListenerTraits:
    """The parts of a sidecar that its outbound listeners depend on, apart from the ListenerSpecs."""

    ip_family: IPFamily
    http10: bool
    idle_timeout: timedelta | None
    exact_balance: bool

    @classmethod
    def of(cls, profile: OutboundProfile) -> ListenerTraits:
        """Return the traits of a profile's sidecars."""
        exact_balance = profile.outbound_listener_exact_balance
        return cls(profile.ip_family, profile.http10, profile.idle_timeout, exact_balance)


def outbound_listener(
    spec: ListenerSpec, unknown: TcpTarget, traits: ListenerTraits, settings: ByIdentity[MeshConfig]
) -> Resource:
    """Return the Listener for `spec`; connections that match no chain go to `unknown`."""
    return Resource.of(_outbound_listener(spec, unknown, traits, settings.value), origins=spec.origins)


def _outbound_listener(
    spec: ListenerSpec, unknown: TcpTarget, traits: ListenerTraits, mesh_config: MeshConfig
) -> Any:
    listener = listener_pb2.Listener(
        name=spec.name,
        address=address(spec.bind, spec.port),
        traffic_direction=base_pb2.OUTBOUND,
        continue_on_listener_filters_timeout=True,
        access_log=listener_access_logs(mesh_config),
    )
    listen_on_both_families(listener, traits.ip_family)
    if spec.bind_to_port:
        set_accept_limit(listener)
    else:
        listener.bind_to_port.value = False
    set_exact_balance(listener, traits.exact_balance)
    detects_http = any(chain.match.application_protocols for chain in spec.chains)
    if any(_reads_sni(chain) for chain in spec.chains):
        listener.listener_filters.append(tls_inspector())
    timeout = _NO_TIMEOUT
    if detects_http:
        listener.listener_filters.append(http_inspector())
        timeout = mesh_config.protocol_detection_timeout
    listener.listener_filters_timeout.CopyFrom(duration(timeout))
    for chain in spec.chains:
        message = _filter_chain(chain, spec, traits, mesh_config)
        if chain.match.is_match_all:
            listener.default_filter_chain.CopyFrom(message)
        else:
            message.filter_chain_match.CopyFrom(chain.match.message())
            listener.filter_chains.append(message)
    if not listener.HasField("default_filter_chain"):
        listener.default_filter_chain.name = PASSTHROUGH_FILTER_CHAIN
        listener.default_filter_chain.filters.extend(tcp_filters(unknown, mesh_config))
    elif not listener.filter_chains:
        listener.filter_chains.append(listener.default_filter_chain)
        listener.ClearField("default_filter_chain")
    return listener


def set_accept_limit(listener: Any) -> None:
    """Let a listener that binds a port accept one connection at each wake-up, so that the workers share the
    load (Istio's MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP=1)."""
    listener.max_connections_to_accept_per_socket_event.CopyFrom(wrappers_pb2.UInt32Value(value=1))


def set_exact_balance(listener: Any, wanted: bool) -> None:
    """If `wanted`, give each worker the same number of connections. The node's metadata asks for it
    (INBOUND_LISTENER_EXACT_BALANCE, OUTBOUND_LISTENER_EXACT_BALANCE)."""
    if wanted:
        listener.connection_balance_config.exact_balance.SetInParent()


def _reads_sni(chain: Chain) -> bool:
    return bool(chain.match.server_names) or (
        isinstance(chain, TcpChain) and chain.target.dns_cache is not None
    )


def _filter_chain(chain: Chain, spec: ListenerSpec, traits: ListenerTraits, mesh_config: MeshConfig) -> Any:
    message = listener_components_pb2.FilterChain()
    message.transport_socket_connect_timeout.CopyFrom(duration(_TRANSPORT_SOCKET_CONNECT_TIMEOUT))
    if isinstance(chain, HttpChain):
        settings = HttpSettings(
            Role.SIDECAR_OUTBOUND,
            stat_prefix=f"outbound_{spec.bind}_{spec.port};",
            route_config_name=chain.route_config_name,
            protocol=chain.protocol,
            http10=traits.http10,
            allow_absolute_url=spec.allow_absolute_url,
            idle_timeout=traits.idle_timeout,
            dns_caches=chain.dns_caches,
            ip_family=traits.ip_family,
        )
        message.filters.append(http_connection_manager(settings, mesh_config))
    else:
        message.filters.extend(tcp_filters(chain.target, mesh_config, chain.protocol))
    return message


def virtual_outbound_listener(
    profile: OutboundProfile,
    mesh_config: MeshConfig,
    unknown: TcpTarget,
    black_hole: TcpTarget,
    *,
    dynamic_dns: bool = False,
) -> Any:
    """Return the listener for captured outbound connections. It hands each one to the listener for its
    original destination; connections without such a listener go to `unknown`. With `dynamic_dns` (the policy
    ALLOW_ANY_DYNAMIC_DNS), HTTP without a listener goes to the host that each request names."""
    port = mesh_config.proxy_listen_port
    listener = listener_pb2.Listener(
        name=VIRTUAL_OUTBOUND,
        address=address(wildcard_address(profile), port),
        traffic_direction=base_pb2.OUTBOUND,
        use_original_dst=wrappers_pb2.BoolValue(value=True),
        access_log=listener_access_logs(mesh_config),
    )
    listen_on_both_families(listener, profile.ip_family)
    set_accept_limit(listener)
    if profile.interception_mode == "TPROXY":
        listener.transparent.value = True
    loop = listener.filter_chains.add(name="virtualOutbound-blackhole")
    loop.filter_chain_match.destination_port.value = port
    loop.filters.extend(tcp_filters(black_hole, mesh_config))
    if dynamic_dns:
        listener.listener_filters.append(http_inspector())
        listener.filter_chains.append(_dynamic_dns_chain(profile, mesh_config))
    rest = listener.filter_chains.add(name=_CATCH_ALL)
    rest.filters.extend(tcp_filters(unknown, mesh_config))
    return listener


def _dynamic_dns_chain(profile: OutboundProfile, mesh_config: MeshConfig) -> Any:
    """Return the chain for HTTP to unknown addresses.

    Unlike Istio's, its match has the transport protocol. Without it, Envoy would add a TLS inspector, and
    then take TLS with the ALPN http/1.1 for plaintext HTTP.
    """
    settings = HttpSettings(
        Role.SIDECAR_OUTBOUND,
        stat_prefix=f"outbound_{VIRTUAL_OUTBOUND}_allow_any_dynamic_dns;",
        route_config=dynamic_dns_route_configuration(mesh_config),
        http10=profile.http10,
        idle_timeout=profile.idle_timeout,
        dns_caches=(ALLOW_ANY_DNS_CACHE,),
        ip_family=profile.ip_family,
    )
    match = ChainMatch(
        application_protocols=tuple(plaintext_http_protocols(profile.http10)), transport_protocol="raw_buffer"
    )
    return listener_components_pb2.FilterChain(
        name=f"{_CATCH_ALL}-http",
        filter_chain_match=match.message(),
        filters=[http_connection_manager(settings, mesh_config)],
    )
