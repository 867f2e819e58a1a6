"""HTTP/3 at gateways: a UDP listener beside the TCP listener, and the header that announces it to clients.

`proxyMetadata.PILOT_ENABLE_QUIC_LISTENERS` turns it on (docs/decisions/0008-http3.md).

Sources: Istio's pilot/pkg/networking/core/gateway.go (buildGatewayListeners for QUIC), and
https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/http/http3
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.transport_sockets.quic.v3 import quic_transport_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2

from mizzen.config.models import ServerTLSMode
from mizzen.mesh.rules.gateways import GatewayServer
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.typed_config import pack, typed
from mizzen.translator.routes.encoding import encode
from mizzen.xds.resource import Resource
from mizzen.xds.wire import length_delimited

_QUIC_SOCKET: Final = "envoy.transport_sockets.quic"
_ALPN: Final = "h3"
_HEADERS_TO_ADD: Final = route_pb2.RouteConfiguration.DESCRIPTOR.fields_by_name[
    "response_headers_to_add"
].number
_Manager = hcm.HttpConnectionManager


def serves_http3(server: GatewayServer) -> bool:
    """Return whether clients can call the server by HTTP/3: it must be HTTPS with the TLS mode SIMPLE,
    because Envoy does not ask for client certificates in QUIC."""
    tls = server.server.tls
    return (
        server.is_http
        and not server.protocol.is_http
        and tls is not None
        and tls.mode is ServerTLSMode.SIMPLE
    )


def http3_listener(resource: Resource) -> Resource | None:
    """Return the UDP listener for a gateway's TCP listener, with the same certificates, routes and filters;
    None if clients can call none of its servers by HTTP/3."""
    tcp = listener_pb2.Listener.FromString(resource.value)
    chains = [chain for chain in map(_quic_chain, tcp.filter_chains) if chain is not None]
    if not chains:
        return None
    udp = listener_pb2.Listener(
        name=f"udp_{tcp.name}",
        address=tcp.address,
        additional_addresses=tcp.additional_addresses,
        traffic_direction=tcp.traffic_direction,
        access_log=tcp.access_log,
        filter_chains=chains,
    )
    for place in (udp.address, *(each.address for each in udp.additional_addresses)):
        place.socket_address.protocol = address_pb2.SocketAddress.UDP
    udp.udp_listener_config.quic_options.SetInParent()
    udp.udp_listener_config.downstream_socket_config.SetInParent()
    udp.enable_reuse_port.value = True
    return Resource.of(udp, origins=resource.origins)


def _quic_chain(tcp: Any) -> Any:
    """Return the QUIC chain for a TCP chain; None if that is not HTTPS, or asks for client certificates."""
    context, manager = tls_pb2.DownstreamTlsContext(), _Manager()
    if not tcp.transport_socket.typed_config.Unpack(context) or not tcp.filters[-1].typed_config.Unpack(
        manager
    ):
        return None
    shared = context.common_tls_context
    if shared.HasField("combined_validation_context"):
        return None
    # QUIC always uses TLS 1.3 and its ciphers.
    shared.ClearField("tls_params")
    del shared.alpn_protocols[:]
    shared.alpn_protocols.append(_ALPN)
    manager.codec_type = _Manager.HTTP3
    manager.http3_protocol_options.SetInParent()
    chain = type(tcp)()
    chain.CopyFrom(tcp)
    quic = quic_transport_pb2.QuicDownstreamTransport(downstream_tls_context=context)
    chain.transport_socket.CopyFrom(typed(base_pb2.TransportSocket, _QUIC_SOCKET, quic))
    chain.filters[-1].typed_config.CopyFrom(pack(manager))
    return chain


def announcing_http3(routes: Resource, servers: Sequence[GatewayServer], memo: Memo) -> Resource:
    """Return the route configuration with a response header that announces HTTP/3 (`alt-svc`, RFC 7838);
    unchanged if no server can be called by HTTP/3."""
    server = next((each for each in servers if serves_http3(each)), None)
    if server is None or server.server.port is None:
        return routes
    text = f'h3=":{server.server.port.number}"; ma=86400'
    return memo(_with_header, routes, text)


def _with_header(routes: Resource, text: str) -> Resource:
    option = base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key="alt-svc", value=text),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    field = length_delimited(_HEADERS_TO_ADD, encode(option))
    version = blake2b(routes.version.encode(), digest_size=12)
    version.update(field)
    return Resource(routes.type_url, routes.name, routes.value + field, version.hexdigest(), routes.origins)
