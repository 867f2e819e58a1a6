"""How a proxy connects to an endpoint: its TLS, and its version of HTTP."""

from __future__ import annotations

from typing import Any, Final

from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from mizzen.simulate import ClientTls, Protocol
from mizzen.simulate.upstream_tls import upstream_context
from mizzen.translator.tls.secret_names import WORKLOAD_CERTIFICATE

_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def upstream_tls(cluster: Any, endpoint: Any | None, identity: str = "") -> ClientTls | None:
    """Return what the proxy sends in its TLS handshake with an endpoint, or None if it speaks no TLS.

    `cluster` is an Envoy Cluster, `endpoint` an LbEndpoint, whose metadata may choose the transport socket.
    `identity` is the name in the workload certificate of the proxy.
    """
    context = upstream_context(cluster, endpoint)
    if context is None:
        return None
    common = context.common_tls_context
    secrets = common.tls_certificate_sds_secret_configs
    is_own = any(each.name == WORKLOAD_CERTIFICATE for each in secrets)
    return ClientTls(
        str(context.sni),
        tuple(common.alpn_protocols),
        certificate=bool(secrets or common.tls_certificates),
        names=(identity,) if is_own and identity else (),
    )


def upstream_protocol(cluster: Any, downstream: Protocol) -> Protocol:
    """Return the version of HTTP in which the proxy forwards requests; TCP stays TCP."""
    if not downstream.is_http:
        return downstream
    packed = cluster.typed_extension_protocol_options
    if _OPTIONS not in packed:
        return Protocol.HTTP1
    options: Any = http_protocol_options_pb2.HttpProtocolOptions.FromString(packed[_OPTIONS].value)
    if options.HasField("explicit_http_config"):
        explicit = options.explicit_http_config.WhichOneof("protocol_config")
        return Protocol.HTTP2 if explicit == "http2_protocol_options" else Protocol.HTTP1
    if options.HasField("use_downstream_protocol_config"):
        return downstream
    return Protocol.HTTP1
