"""Listeners that ask for secrets."""

from __future__ import annotations

from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from google.protobuf.json_format import ParseDict

from mizzen import xds
from mizzen.config import Origin


def listener_naming(*secrets: str, origins: tuple[Origin, ...] = ()) -> xds.Resource:
    """A listener whose TLS asks for certificates of these names."""
    configs = [{"name": name} for name in secrets]
    context = tls_pb2.DownstreamTlsContext()
    ParseDict({"common_tls_context": {"tls_certificate_sds_secret_configs": configs}}, context)
    listener = listener_pb2.Listener(name="https")
    listener.filter_chains.add().transport_socket.typed_config.Pack(context)
    return xds.Resource(xds.type_urls.LISTENER, "https", listener.SerializeToString(), origins=origins)
