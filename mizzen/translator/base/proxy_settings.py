"""The settings of ProxyConfig for downstream connections: headers, limits, and proxies before a gateway.

Source: Istio's ProxyConfig
(https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig) and its translation in
pilot/pkg/networking/util/proxy_headers.go and pilot/pkg/networking/core/connection_settings.go.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from envoy.config.core.v3 import protocol_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.http.header_formatters.preserve_case.v3 import preserve_case_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.proxy_config import (
    ConnectionProfile,
    ConnectionSettings,
    ForwardClientCertDetails,
    HeadersWithUnderscoresAction,
    PathWithEscapedSlashesAction,
    ProxyConfig,
    ProxyHeaders,
    SetCurrentClientCertDetails,
)
from mizzen.translator.base.by_identity import ByIdentity
from mizzen.translator.base.config_sources import duration
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.typed_config import pack

_Manager = hcm.HttpConnectionManager
_SERVER_NAME: Final = "istio-envoy"

_EDGE: Final[dict[str, Any]] = {
    "listener_per_connection_buffer_limit_bytes": 32 * 1024,
    "http_idle_timeout": timedelta(hours=1),
    "http_stream_idle_timeout": timedelta(minutes=5),
    "http_request_timeout": timedelta(minutes=5),
    "http_request_headers_timeout": timedelta(seconds=60),
    "http_max_concurrent_streams": 100,
    "http2_initial_stream_window_size": 64 * 1024,
    "http2_initial_connection_window_size": 1024 * 1024,
    "http_headers_with_underscores_action": HeadersWithUnderscoresAction.REJECT_REQUEST,
    "http_merge_slashes": True,
    "http_path_with_escaped_slashes_action": PathWithEscapedSlashesAction.UNESCAPE_AND_REDIRECT,
}
"""Envoy's recommendations for edge proxies: the defaults of the profile EDGE."""


def mesh_config_of_proxy(mesh_config: MeshConfig, proxy_config: ProxyConfig | None, memo: Memo) -> MeshConfig:
    """Return the mesh's configuration with the proxy's own ProxyConfig (the node metadata PROXY_CONFIG)
    instead of `defaultConfig`. `memo` returns the same object while there is a reference to it."""
    if proxy_config is None:
        return mesh_config
    return memo(_with_proxy_config, ByIdentity(mesh_config), proxy_config)


def _with_proxy_config(mesh_config: ByIdentity[MeshConfig], proxy_config: ProxyConfig) -> MeshConfig:
    return mesh_config.value.model_copy(update={"default_config": proxy_config})


def apply_proxy_headers(manager: Any, headers: ProxyHeaders | None, *, outbound: bool, gateway: bool) -> None:
    """Set the headers of `proxyHeaders`: `server`, the request's id, x-forwarded-port and the case of
    headers. For inbound calls of sidecars (no `gateway`), set x-forwarded-client-cert too.

    By default, `server` is Envoy's own name on outbound connections, and Istio's name on all others.
    """
    if not outbound:
        manager.server_name = _SERVER_NAME
    if not outbound and not gateway:
        _set_client_cert_header(manager, headers)
    if headers is None:
        return
    if headers.server is not None and headers.server.disabled:
        manager.server_name = ""
        manager.server_header_transformation = _Manager.PASS_THROUGH
    elif headers.server is not None and headers.server.value:
        manager.server_name = headers.server.value
    if headers.request_id is not None and headers.request_id.disabled:
        manager.generate_request_id.value = False
    if headers.x_forwarded_port is not None and headers.x_forwarded_port.enabled:
        manager.append_x_forwarded_port = True
    if headers.preserve_http1_header_case:
        preserve_header_case(manager.http_protocol_options)


def preserves_header_case(proxy_config: ProxyConfig) -> bool:
    """Return whether headers of HTTP/1.1 keep the case in which they arrived, in both directions."""
    headers = proxy_config.proxy_headers
    return headers is not None and bool(headers.preserve_http1_header_case)


def preserve_header_case(options: protocol_pb2.Http1ProtocolOptions) -> None:
    """Make `options` keep the case of headers. By default, Envoy writes them in lower case."""
    formatter = options.header_key_format.stateful_formatter
    formatter.name = "preserve_case"
    formatter.typed_config.CopyFrom(pack(preserve_case_pb2.PreserveCaseFormatterConfig()))


def hides_debug_headers(headers: ProxyHeaders | None) -> bool:
    """Return whether the router leaves out its `x-envoy-` headers."""
    return (
        headers is not None
        and headers.envoy_debug_headers is not None
        and bool(headers.envoy_debug_headers.disabled)
    )


def _set_client_cert_header(manager: Any, headers: ProxyHeaders | None) -> None:
    """Set x-forwarded-client-cert. By default, inbound sidecars append to the value that their peers sent."""
    forward = ForwardClientCertDetails.UNDEFINED
    wanted = SetCurrentClientCertDetails()
    if headers is not None:
        forward = headers.forwarded_client_cert
        wanted = headers.set_current_client_cert_details or wanted
    manager.forward_client_cert_details = _forwarding(forward, ForwardClientCertDetails.APPEND_FORWARD)
    details = manager.set_current_client_cert_details
    details.subject.value = wanted.subject is not False
    details.dns = wanted.dns is not False
    details.uri = wanted.uri is not False
    details.cert = bool(wanted.cert)
    details.chain = bool(wanted.chain)


def apply_gateway_topology(manager: Any, proxy_config: ProxyConfig) -> None:
    """Set how far a gateway trusts the proxies before it. By default it trusts no header from outside."""
    topology = proxy_config.gateway_topology
    forward = ForwardClientCertDetails.UNDEFINED
    if topology is not None:
        manager.xff_num_trusted_hops = topology.num_trusted_proxies
        forward = topology.forward_client_cert_details
    manager.forward_client_cert_details = _forwarding(forward, ForwardClientCertDetails.SANITIZE_SET)
    if manager.forward_client_cert_details in (_Manager.APPEND_FORWARD, _Manager.SANITIZE_SET):
        details = manager.set_current_client_cert_details
        details.subject.value = True
        details.cert = True
        details.dns = True
        details.uri = True


def _forwarding(asked: ForwardClientCertDetails, default: ForwardClientCertDetails) -> Any:
    chosen = default if asked is ForwardClientCertDetails.UNDEFINED else asked
    return _Manager.ForwardClientCertDetails.Value(chosen.value)


def connection_settings(proxy_config: ProxyConfig, *, gateway: bool) -> ConnectionSettings | None:
    """Return the limits of downstream connections. On gateways, the profile EDGE sets absent ones."""
    settings = proxy_config.connection_settings
    if settings is None or not gateway or settings.profile is not ConnectionProfile.EDGE:
        return settings
    absent = {name: value for name, value in _EDGE.items() if name not in settings.model_fields_set}
    return settings.model_copy(update=absent)


def apply_connection_settings(manager: Any, settings: ConnectionSettings | None) -> None:
    """Set the limits of `settings`, which override those of MeshConfig and of the node's metadata."""
    if settings is None:
        return
    common = manager.common_http_protocol_options
    for field, wanted in (
        (common.idle_timeout, settings.http_idle_timeout),
        (common.max_connection_duration, settings.http_max_connection_duration),
        (common.max_stream_duration, settings.http_max_stream_duration),
        (manager.stream_idle_timeout, settings.http_stream_idle_timeout),
        (manager.request_timeout, settings.http_request_timeout),
        (manager.request_headers_timeout, settings.http_request_headers_timeout),
        (manager.drain_timeout, settings.http_drain_timeout),
    ):
        if wanted is not None:
            field.CopyFrom(duration(wanted))
    http2 = manager.http2_protocol_options
    for limit, number in (
        (http2.max_concurrent_streams, settings.http_max_concurrent_streams),
        (http2.initial_stream_window_size, settings.http2_initial_stream_window_size),
        (http2.initial_connection_window_size, settings.http2_initial_connection_window_size),
    ):
        if number is not None and number >= 0:
            limit.value = number
    if settings.http_headers_with_underscores_action is not HeadersWithUnderscoresAction.UNSPECIFIED:
        action = settings.http_headers_with_underscores_action.value
        common.headers_with_underscores_action = (
            protocol_pb2.HttpProtocolOptions.HeadersWithUnderscoresAction.Value(
                action.removeprefix("HEADERS_WITH_UNDERSCORES_")
            )
        )
    if settings.http_merge_slashes is not None:
        manager.merge_slashes = settings.http_merge_slashes
    if settings.http_path_with_escaped_slashes_action is not PathWithEscapedSlashesAction.UNSPECIFIED:
        manager.path_with_escaped_slashes_action = _Manager.PathWithEscapedSlashesAction.Value(
            settings.http_path_with_escaped_slashes_action.value
        )


def apply_buffer_limit(listener: listener_pb2.Listener, settings: ConnectionSettings | None) -> None:
    """Set the most bytes that a gateway's listener buffers for one connection."""
    limit = settings.listener_per_connection_buffer_limit_bytes if settings is not None else None
    if limit is not None and limit >= 0:
        listener.per_connection_buffer_limit_bytes.value = limit
