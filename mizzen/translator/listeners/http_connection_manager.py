"""The HTTP connection manager of sidecars (outbound, inbound) and gateways.

Source of the settings: Istio's pilot/pkg/networking/core (listener_builder, gateway); of the fields: Envoy's
envoy.extensions.filters.network.http_connection_manager.v3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from envoy.config.core.v3 import protocol_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.request_id.uuid.v3 import uuid_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.proxy.profile import IPFamily
from mizzen.mesh.rules.security_policies import NO_POLICIES, WorkloadPolicies
from mizzen.mesh.service import Protocol
from mizzen.translator.base.config_sources import aggregated_config_source, duration
from mizzen.translator.base.proxy_settings import (
    apply_connection_settings,
    apply_gateway_topology,
    apply_proxy_headers,
    connection_settings,
    hides_debug_headers,
)
from mizzen.translator.base.typed_config import pack, typed
from mizzen.translator.filters.http import http_filters
from mizzen.translator.filters.http_filter import HttpFilterContext
from mizzen.translator.filters.role import Role as Role
from mizzen.translator.listeners.access_logs import access_logs

NAME = "envoy.filters.network.http_connection_manager"
_NO_TIMEOUT = timedelta(0)
_TRACE_SAMPLING_PERCENT = 1.0
_Manager = hcm.HttpConnectionManager


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The settings in which connection managers differ. Give exactly one of `route_config_name` (fetched by
    RDS) and `route_config` (inline). `dns_caches`, `ip_family` and `policies` are for the filters
    (`HttpFilterContext`)."""

    role: Role
    stat_prefix: str
    route_config_name: str = ""
    route_config: route_pb2.RouteConfiguration | None = None
    protocol: Protocol = Protocol.HTTP
    http10: bool = False
    allow_absolute_url: bool = False
    idle_timeout: timedelta | None = None
    dns_caches: tuple[str, ...] = ()
    ip_family: IPFamily = "V4_ONLY"
    policies: WorkloadPolicies = NO_POLICIES

    def filter_context(self, mesh_config: MeshConfig) -> HttpFilterContext:
        """Return the context that the HTTP filters depend on."""
        return HttpFilterContext(
            self.role,
            self.protocol,
            mesh_config,
            self.ip_family,
            self.dns_caches,
            hides_debug_headers(mesh_config.default_config.proxy_headers),
            self.policies,
        )


def http_connection_manager(settings: HttpSettings, mesh_config: MeshConfig) -> Any:
    """Return the network filter with the connection manager for `settings`."""
    proxy_config = mesh_config.default_config
    headers = proxy_config.proxy_headers
    gateway = settings.role is Role.GATEWAY
    manager = _Manager(
        codec_type=_Manager.AUTO,
        stat_prefix=settings.stat_prefix,
        http_filters=http_filters(settings.filter_context(mesh_config)),
        access_log=access_logs(mesh_config),
        stream_idle_timeout=duration(_NO_TIMEOUT),
        proxy_100_continue=True,
        use_remote_address=wrappers_pb2.BoolValue(value=gateway),
        upgrade_configs=[_Manager.UpgradeConfig(upgrade_type="websocket")],
    )
    if settings.route_config is not None:
        manager.route_config.CopyFrom(settings.route_config)
    else:
        manager.rds.config_source.CopyFrom(aggregated_config_source())
        manager.rds.route_config_name = settings.route_config_name
    manager.request_id_extension.typed_config.CopyFrom(
        pack(
            uuid_pb2.UuidRequestIdConfig(
                use_request_id_for_trace_sampling=wrappers_pb2.BoolValue(value=True),
            )
        )
    )
    if settings.idle_timeout is not None:
        manager.common_http_protocol_options.idle_timeout.CopyFrom(duration(settings.idle_timeout))
    _set_path_normalization(manager, mesh_config)
    _set_tracing(manager, mesh_config)
    _set_codec_options(manager, settings)
    apply_proxy_headers(manager, headers, outbound=settings.role is Role.SIDECAR_OUTBOUND, gateway=gateway)
    if gateway:
        apply_gateway_topology(manager, proxy_config)
    apply_connection_settings(manager, connection_settings(proxy_config, gateway=gateway))
    return typed(listener_components_pb2.Filter, NAME, manager)


def _set_path_normalization(manager: Any, mesh_config: MeshConfig) -> None:
    normalization = str(mesh_config.path_normalization.normalization)
    manager.path_with_escaped_slashes_action = _Manager.KEEP_UNCHANGED
    manager.normalize_path.value = normalization != "NONE"
    if normalization in ("MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"):
        manager.merge_slashes = True
    if normalization == "DECODE_AND_MERGE_SLASHES":
        manager.path_with_escaped_slashes_action = _Manager.UNESCAPE_AND_FORWARD


def _set_tracing(manager: Any, mesh_config: MeshConfig) -> None:
    if not mesh_config.enable_tracing:
        return
    manager.tracing.client_sampling.CopyFrom(percent_pb2.Percent(value=100))
    manager.tracing.random_sampling.CopyFrom(percent_pb2.Percent(value=_TRACE_SAMPLING_PERCENT))
    manager.tracing.overall_sampling.CopyFrom(percent_pb2.Percent(value=100))


def _set_codec_options(manager: Any, settings: HttpSettings) -> None:
    if settings.http10:
        manager.http_protocol_options.accept_http_10 = True
    if settings.allow_absolute_url:
        manager.http_protocol_options.allow_absolute_url.value = True
    if settings.role is Role.SIDECAR_INBOUND and settings.protocol.is_http2:
        manager.http2_protocol_options.CopyFrom(protocol_pb2.Http2ProtocolOptions())


def plaintext_http_protocols(http10: bool) -> Sequence[str]:
    """Return the protocols that the HTTP inspector reports for plaintext HTTP."""
    return ("http/1.0", "http/1.1", "h2c") if http10 else ("http/1.1", "h2c")
