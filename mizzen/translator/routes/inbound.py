"""The route configuration of a sidecar's inbound HTTP listener: one route to the workload itself, inline.

Source: Istio's buildSidecarInboundHTTPRouteConfig.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from envoy.config.route.v3 import route_components_pb2, route_pb2

from mizzen.mesh.service import Protocol, Service, ServicePort
from mizzen.translator.base.config_sources import duration
from mizzen.translator.routes.match import route_match
from mizzen.translator.routes.retries import inbound_retry_policy
from mizzen.translator.routes.virtual_service import DEFAULT_ROUTE_NAME

if TYPE_CHECKING:
    from mizzen.config.mesh_config import MeshConfig


def inbound_route_configuration(
    service: Service | None,
    port: ServicePort | None,
    cluster_name: str,
    mesh_config: MeshConfig,
) -> Any:
    """Return the RouteConfiguration for one port of the workload (None: for any), for use inline in a
    listener.

    The client decides about timeouts: none is set here, and its `grpc-timeout` header counts unchanged.
    """
    route = route_components_pb2.Route(name=DEFAULT_ROUTE_NAME, match=route_match(None))
    number = port.number if port is not None else 0
    route.decorator.operation = f"{service.hostname if service is not None else ''}:{number}/*"
    never = duration(timedelta(0))
    action = route.route
    action.cluster = cluster_name
    action.timeout.CopyFrom(never)
    action.max_stream_duration.max_stream_duration.CopyFrom(never)
    action.max_stream_duration.grpc_timeout_header_max.CopyFrom(never)
    policy = inbound_retry_policy(
        mesh_config.default_inbound_http_retry_policy,
        grpc=port is not None and port.protocol in (Protocol.GRPC, Protocol.GRPC_WEB),
    )
    if policy is not None:
        action.retry_policy.CopyFrom(policy)
    host = route_components_pb2.VirtualHost(name=f"inbound|http|{number}", domains=("*",), routes=(route,))
    out = route_pb2.RouteConfiguration(name=cluster_name, virtual_hosts=(host,))
    out.validate_clusters.value = False
    return out
