"""The HTTP version and the connection settings that a cluster uses towards its endpoints.

Source: HttpProtocolOptions of Envoy; h2UpgradePolicy and useClientProtocol of
https://istio.io/latest/docs/reference/config/networking/destination-rule/#ConnectionPoolSettings-HTTPSettings
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from envoy.config.common.matcher.v3 import matcher_pb2
from envoy.config.core.v3 import protocol_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import any_pb2

from mizzen.config.mesh_config import MeshConfig, MeshH2UpgradePolicy
from mizzen.config.models import ConnectionPoolSettings, H2UpgradePolicy
from mizzen.mesh.service import Protocol
from mizzen.translator.base.config_sources import duration
from mizzen.translator.base.proxy_settings import preserve_header_case
from mizzen.translator.base.typed_config import pack
from mizzen.translator.tls.upstream import ServerName

_Options = http_protocol_options_pb2.HttpProtocolOptions

HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
"""The key of these options in Cluster.typed_extension_protocol_options."""


class HttpVersion(Enum):
    """The HTTP version that a cluster uses towards its endpoints."""

    ENVOY_DEFAULT = "nothing said: HTTP/1.1"
    HTTP2 = "HTTP/2, known beforehand"
    CLIENTS = "the version that the client spoke"


def http_version(
    protocol: Protocol,
    pool: ConnectionPoolSettings | None,
    mesh_config: MeshConfig,
    *,
    gateway: bool,
    upgrades: bool = True,
    preserve_case: bool = False,
) -> HttpVersion:
    """Return the HTTP version of a cluster for a port of `protocol`.

    If the protocol is detected on the wire, sidecars use the client's version, whatever h2UpgradePolicy says;
    gateways do not detect protocols and use HTTP/1.1. On other ports, a rule's h2UpgradePolicy holds for any
    protocol, the mesh's only for HTTP. With `preserve_case`, HTTP ports stay with HTTP/1.1, because headers
    of HTTP/2 are always in lower case. Inbound clusters are built without `upgrades`: the protocol of the
    service decides.
    """
    http = None if pool is None else pool.http
    if http is not None and http.use_client_protocol:
        return HttpVersion.CLIENTS
    if protocol.is_http2:
        return HttpVersion.HTTP2
    if protocol.is_auto and not gateway:
        return HttpVersion.CLIENTS
    if preserve_case and keeps_case(protocol):
        return HttpVersion.ENVOY_DEFAULT
    policy = H2UpgradePolicy.DEFAULT if http is None else http.h2_upgrade_policy
    if policy == H2UpgradePolicy.DEFAULT:
        upgrade = protocol.is_http and mesh_config.h2_upgrade_policy == MeshH2UpgradePolicy.UPGRADE
    else:
        upgrade = policy == H2UpgradePolicy.UPGRADE
    return HttpVersion.HTTP2 if upgrade and upgrades else HttpVersion.ENVOY_DEFAULT


def keeps_case(protocol: Protocol) -> bool:
    """Return whether clusters for ports of `protocol` may use HTTP/1.1, where headers can keep their case
    (ProxyConfig.proxyHeaders.preserveHttp1HeaderCase)."""
    return protocol.is_auto or (protocol.is_http and not protocol.is_http2)


def http_protocol_options(
    version: HttpVersion,
    pool: ConnectionPoolSettings | None = None,
    server_name: ServerName | None = None,
    error_matcher: matcher_pb2.MatchPredicate | None = None,
    *,
    preserve_case: bool = False,
) -> any_pb2.Any | None:
    """Return the packed options, or None if they equal Envoy's defaults. With `preserve_case`, headers of
    HTTP/1.1 keep the case in which they arrived."""
    common = None if pool is None else _connection_options(pool)
    if (
        common is None
        and server_name is None
        and error_matcher is None
        and not (version is HttpVersion.HTTP2 and _has_http2_settings(pool))
    ):
        return _PLAIN[version, preserve_case]
    options = _Options()
    options.CopyFrom(_FORMS[version, preserve_case])
    if version is HttpVersion.HTTP2 and pool is not None:
        _set_http2(options.explicit_http_config.http2_protocol_options, pool)
    if common is not None:
        options.common_http_protocol_options.CopyFrom(common)
    if server_name is not None:
        options.upstream_http_protocol_options.auto_sni = server_name.auto_sni
        options.upstream_http_protocol_options.auto_san_validation = server_name.auto_san_validation
    if error_matcher is not None:
        options.outlier_detection.error_matcher.CopyFrom(error_matcher)
    return pack(options)


def passthrough_options(*, preserve_case: bool = False) -> any_pb2.Any:
    """Return the options of the clusters that call the original destination: the client's HTTP version, and
    idle connections closed after five minutes, so that they do not outlive the calls they were opened for."""
    return _PASSTHROUGH[preserve_case]


def _connection_options(pool: ConnectionPoolSettings) -> Any:
    tcp, http = pool.tcp, pool.http
    idle = http.idle_timeout if http is not None and http.idle_timeout is not None else None
    if idle is None and tcp is not None:
        idle = tcp.idle_timeout
    common = protocol_pb2.HttpProtocolOptions()
    if idle is not None:
        common.idle_timeout.CopyFrom(duration(idle))
    if http is not None and http.max_requests_per_connection > 0:
        common.max_requests_per_connection.value = http.max_requests_per_connection
    if tcp is not None and tcp.max_connection_duration is not None:
        common.max_connection_duration.CopyFrom(duration(tcp.max_connection_duration))
    return common if common.ByteSize() else None


def _has_http2_settings(pool: ConnectionPoolSettings | None) -> bool:
    http = None if pool is None else pool.http
    return http is not None and (http.max_concurrent_streams > 0 or http.http2_keep_alive is not None)


def _set_http2(options: Any, pool: ConnectionPoolSettings) -> None:
    http = pool.http
    if http is None:
        return
    if http.max_concurrent_streams > 0:
        options.max_concurrent_streams.value = http.max_concurrent_streams
    keep_alive = http.http2_keep_alive
    if keep_alive is not None:
        if keep_alive.interval is not None:
            options.connection_keepalive.interval.CopyFrom(duration(keep_alive.interval))
        if keep_alive.timeout is not None:
            options.connection_keepalive.timeout.CopyFrom(duration(keep_alive.timeout))


def _form(version: HttpVersion, *, preserve_case: bool) -> Any:
    http1, http2 = protocol_pb2.Http1ProtocolOptions(), protocol_pb2.Http2ProtocolOptions()
    if preserve_case:
        preserve_header_case(http1)
    if version is HttpVersion.CLIENTS:
        return _Options(
            use_downstream_protocol_config=_Options.UseDownstreamHttpConfig(
                http_protocol_options=http1, http2_protocol_options=http2
            )
        )
    if version is HttpVersion.HTTP2:
        return _Options(explicit_http_config=_Options.ExplicitHttpConfig(http2_protocol_options=http2))
    return _Options(explicit_http_config=_Options.ExplicitHttpConfig(http_protocol_options=http1))


_FORMS = {
    (version, preserve_case): _form(version, preserve_case=preserve_case)
    for version in HttpVersion
    for preserve_case in (False, True)
}

_PLAIN = {
    key: None if key == (HttpVersion.ENVOY_DEFAULT, False) else pack(form) for key, form in _FORMS.items()
}


def _passthrough(*, preserve_case: bool) -> any_pb2.Any:
    options = _Options()
    options.CopyFrom(_FORMS[HttpVersion.CLIENTS, preserve_case])
    options.common_http_protocol_options.idle_timeout.seconds = 300
    return pack(options)


_PASSTHROUGH = {preserve_case: _passthrough(preserve_case=preserve_case) for preserve_case in (False, True)}
