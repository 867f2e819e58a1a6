"""The settings of MeshConfig that hold for every route."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mizzen.config.models.virtual_service import HTTPRetry

if TYPE_CHECKING:
    from mizzen.config.mesh_config import MeshConfig


class RouteSettings(NamedTuple):
    """The parts of MeshConfig that routes depend on, compared by value.

    Changes in all other parts of MeshConfig leave routes unchanged. Sources: defaultHttpRetryPolicy, and
    attemptCount and xForwardedHost in defaultConfig.proxyHeaders (Istio's ProxyConfig.ProxyHeaders).
    """

    default_retries: HTTPRetry | None = None
    include_request_attempt_count: bool = True
    append_x_forwarded_host: bool = False

    @classmethod
    def of(cls, mesh_config: MeshConfig) -> RouteSettings:
        """Return the settings in `mesh_config`."""
        headers = mesh_config.default_config.proxy_headers
        attempt_count = headers.attempt_count if headers is not None else None
        forwarded_host = headers.x_forwarded_host if headers is not None else None
        return cls(
            default_retries=mesh_config.default_http_retry_policy,
            include_request_attempt_count=not (attempt_count is not None and attempt_count.disabled),
            append_x_forwarded_host=forwarded_host is not None and bool(forwarded_host.enabled),
        )
