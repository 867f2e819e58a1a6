"""ProxyConfig, as in MeshConfig.defaultConfig and in the node metadata PROXY_CONFIG.

Only the fields that change what a proxy is sent are typed
(https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig). The other fields configure
the agent or the bootstrap; Istio's injection reads them, the control plane does not. They are ignored here at
every depth, because an agent sends its whole configuration; in MeshConfig each gets a warning
(mesh_config.py).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from mizzen.config.models.base import IstioModel
from mizzen.config.models.types import Bool, Duration, Int32, IstioEnum, UInt32
from mizzen.config.validation.header_forms import header_text_problem

_SMALLEST_WINDOW: Final = 65_535
"""The minimum of HTTP/2 (RFC 9113, 6.5.2) and of Envoy."""


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise PydanticCustomError("range", "is negative; write 0s or more")
    return value


def _window(value: int) -> int:
    if 0 <= value < _SMALLEST_WINDOW:
        raise PydanticCustomError(
            "range", "is too small; write at least {least}", {"least": _SMALLEST_WINDOW}
        )
    return value


def _not_zero(value: int) -> int:
    if value == 0:
        raise PydanticCustomError("range", "0 allows no request; write at least 1")
    return value


def _header_text(value: str) -> str:
    problem = header_text_problem(value)
    if problem is not None:
        raise PydanticCustomError("header", "{problem}", {"problem": problem})
    return value


HeaderText = Annotated[str, AfterValidator(_header_text)]
Timeout = Annotated[Duration, AfterValidator(_not_negative)]
WindowSize = Annotated[Int32, AfterValidator(_window)]
"""A size in bytes; a negative value counts as absent, as in Istio."""
StreamLimit = Annotated[Int32, AfterValidator(_not_zero)]
"""A number of streams; a negative value counts as absent, as in Istio."""


class ProxyConfigModel(IstioModel):
    """A message of ProxyConfig; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")


class ForwardClientCertDetails(IstioEnum):
    """What a proxy does with the header x-forwarded-client-cert."""

    UNDEFINED = "UNDEFINED"
    SANITIZE = "SANITIZE"
    FORWARD_ONLY = "FORWARD_ONLY"
    APPEND_FORWARD = "APPEND_FORWARD"
    SANITIZE_SET = "SANITIZE_SET"
    ALWAYS_FORWARD_ONLY = "ALWAYS_FORWARD_ONLY"


class ProxyProtocolConfiguration(ProxyConfigModel):
    """Connections begin with the PROXY protocol. The message has no fields."""


class GatewayTopology(ProxyConfigModel):
    """What is in front of a gateway."""

    num_trusted_proxies: UInt32 = 0
    forward_client_cert_details: ForwardClientCertDetails = ForwardClientCertDetails.UNDEFINED
    proxy_protocol: ProxyProtocolConfiguration | None = None


class DisabledHeader(ProxyConfigModel):
    """A header that can be turned off."""

    disabled: Bool | None = None


class EnabledHeader(ProxyConfigModel):
    """A header that can be turned on."""

    enabled: Bool | None = None


class ServerHeader(ProxyConfigModel):
    """The header `server` of responses."""

    disabled: Bool | None = None
    value: HeaderText = ""


class SetCurrentClientCertDetails(ProxyConfigModel):
    """Which parts of the client's certificate go into x-forwarded-client-cert; None means Istio's default."""

    subject: Bool | None = None
    cert: Bool | None = None
    chain: Bool | None = None
    dns: Bool | None = None
    uri: Bool | None = None


class ProxyHeaders(ProxyConfigModel):
    """Headers that a proxy adds to requests and responses."""

    forwarded_client_cert: ForwardClientCertDetails = ForwardClientCertDetails.UNDEFINED
    set_current_client_cert_details: SetCurrentClientCertDetails | None = None
    request_id: DisabledHeader | None = None
    server: ServerHeader | None = None
    attempt_count: DisabledHeader | None = None
    envoy_debug_headers: DisabledHeader | None = None
    preserve_http1_header_case: Bool | None = None
    x_forwarded_host: EnabledHeader | None = None
    x_forwarded_port: EnabledHeader | None = None


class ConnectionProfile(IstioEnum):
    """A set of limits: for connections inside the mesh, or for those from the
    internet (Envoy's edge practices)."""

    SIDECAR = "SIDECAR"
    EDGE = "EDGE"


class HeadersWithUnderscoresAction(IstioEnum):
    """What happens to requests that have headers with underscores."""

    UNSPECIFIED = "HEADERS_WITH_UNDERSCORES_UNSPECIFIED"
    ALLOW = "HEADERS_WITH_UNDERSCORES_ALLOW"
    REJECT_REQUEST = "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST"
    DROP_HEADER = "HEADERS_WITH_UNDERSCORES_DROP_HEADER"


class PathWithEscapedSlashesAction(IstioEnum):
    """What happens to paths that have escaped slashes."""

    UNSPECIFIED = "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED"
    KEEP_UNCHANGED = "KEEP_UNCHANGED"
    REJECT_REQUEST = "REJECT_REQUEST"
    UNESCAPE_AND_REDIRECT = "UNESCAPE_AND_REDIRECT"
    UNESCAPE_AND_FORWARD = "UNESCAPE_AND_FORWARD"


class ConnectionSettings(ProxyConfigModel):
    """Limits of a proxy's downstream connections; None means the profile's value."""

    profile: ConnectionProfile = ConnectionProfile.SIDECAR
    listener_per_connection_buffer_limit_bytes: Int32 | None = None
    http_idle_timeout: Timeout | None = None
    http_max_connection_duration: Timeout | None = None
    http_drain_timeout: Timeout | None = None
    http_request_timeout: Timeout | None = None
    http_request_headers_timeout: Timeout | None = None
    http_stream_idle_timeout: Timeout | None = None
    http_max_stream_duration: Timeout | None = None
    http_max_concurrent_streams: StreamLimit | None = None
    http2_initial_stream_window_size: WindowSize | None = None
    http2_initial_connection_window_size: WindowSize | None = None
    http_headers_with_underscores_action: HeadersWithUnderscoresAction = (
        HeadersWithUnderscoresAction.UNSPECIFIED
    )
    http_merge_slashes: Bool | None = None
    http_path_with_escaped_slashes_action: PathWithEscapedSlashesAction = (
        PathWithEscapedSlashesAction.UNSPECIFIED
    )


class ProxyMetadata(ProxyConfigModel):
    """The variables of the Istio agent's environment that change what a proxy is sent. (In Istio, HTTP/3 is
    switched on in the environment of istiod.)"""

    dual_stack: str = Field(default="", alias="ISTIO_DUAL_STACK")
    quic_listeners: str = Field(default="", alias="PILOT_ENABLE_QUIC_LISTENERS")


class ProxyConfig(ProxyConfigModel):
    """The settings of one proxy that change what it is sent."""

    proxy_metadata: ProxyMetadata = ProxyMetadata()
    gateway_topology: GatewayTopology | None = None
    proxy_headers: ProxyHeaders | None = None
    connection_settings: ConnectionSettings | None = None

    @property
    def dual_stack(self) -> bool:
        """True if a proxy with IPv4 and IPv6 addresses uses both (`proxyMetadata.ISTIO_DUAL_STACK`, as in
        https://istio.io/latest/docs/setup/additional-setup/dual-stack/)."""
        return _is_true(self.proxy_metadata.dual_stack)

    @property
    def quic_listeners(self) -> bool:
        """True if a gateway serves HTTP/3 (`proxyMetadata.PILOT_ENABLE_QUIC_LISTENERS`)."""
        return _is_true(self.proxy_metadata.quic_listeners)


def _is_true(text: str) -> bool:
    return text.lower() in ("true", "t", "1")
