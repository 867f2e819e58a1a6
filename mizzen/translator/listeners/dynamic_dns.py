"""The policy ALLOW_ANY_DYNAMIC_DNS: a sidecar sends HTTP for unknown addresses to the host that each request
names, and ignores the address.

Source: Istio's MeshConfig.OutboundTrafficPolicy, and buildAllowAnyDynamicDNSHTTPFilterChain of
pilot/pkg/networking/core/listener_builder.go.
"""

from __future__ import annotations

from typing import Any

from envoy.config.route.v3 import route_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.translator.base.cluster_names import ALLOW_ANY_DYNAMIC_DNS_CLUSTER
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.routes.action import apply_timeout
from mizzen.translator.routes.encoding import MAX_DIRECT_RESPONSE_BODY_BYTES

_NAME = "allow_any_dynamic_dns"


def dynamic_dns_route_configuration(mesh_config: MeshConfig) -> Any:
    """Return the RouteConfiguration for these requests, for use inline in a connection manager."""
    settings = RouteSettings.of(mesh_config)
    configuration = route_pb2.RouteConfiguration(name=_NAME, ignore_port_in_host_matching=True)
    configuration.validate_clusters.value = False
    configuration.max_direct_response_body_size_bytes.value = MAX_DIRECT_RESPONSE_BODY_BYTES
    host = configuration.virtual_hosts.add(
        name=_NAME, domains=("*",), include_request_attempt_count=settings.include_request_attempt_count
    )
    route = host.routes.add(name=_NAME)
    route.match.prefix = "/"
    route.route.cluster = ALLOW_ANY_DYNAMIC_DNS_CLUSTER
    apply_timeout(route.route, None)
    return configuration
