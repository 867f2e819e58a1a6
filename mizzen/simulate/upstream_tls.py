"""The TLS settings with which a cluster calls an endpoint."""

from __future__ import annotations

from typing import Any, Final

from envoy.extensions.transport_sockets.proxy_protocol.v3 import upstream_proxy_protocol_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2

from mizzen.simulate.typed_config import unpacked

_MATCH: Final = "envoy.transport_socket_match"


def upstream_context(cluster: Any, endpoint: Any | None) -> Any | None:
    """Return the UpstreamTlsContext with which a Cluster calls an LbEndpoint; None if it does not use TLS.

    The metadata of the endpoint may choose one of the cluster's transport sockets.
    """
    socket = cluster.transport_socket
    own = endpoint.metadata.filter_metadata if endpoint is not None else {}
    values = dict(own[_MATCH].fields) if _MATCH in own else {}
    for match in cluster.transport_socket_matches:
        if all(key in values and values[key] == value for key, value in match.match.fields.items()):
            socket = match.transport_socket
            break
    packed = socket.typed_config
    wrapped = unpacked(packed, upstream_proxy_protocol_pb2.ProxyProtocolUpstreamTransport)
    return unpacked(
        wrapped.transport_socket.typed_config if wrapped is not None else packed, tls_pb2.UpstreamTlsContext
    )
