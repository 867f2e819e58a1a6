"""The gRPC methods of xDS, by name ("RPC Services and Methods for Each Variant")."""

from dataclasses import dataclass
from typing import Final

from mizzen.xds import type_urls


@dataclass(frozen=True, slots=True)
class Method:
    """One streaming method; `type_url` is None for the aggregated service."""

    service: str
    name: str
    delta: bool
    type_url: str | None

    @property
    def path(self) -> str:
        """The `:path` of the HTTP/2 request."""
        return f"/{self.service}/{self.name}"


_SERVICES: Final = (
    # package and service, state of the world, incremental, type
    ("discovery.v3.Aggregated", "StreamAggregatedResources", "DeltaAggregatedResources", None),
    ("listener.v3.Listener", "StreamListeners", "DeltaListeners", type_urls.LISTENER),
    ("route.v3.Route", "StreamRoutes", "DeltaRoutes", type_urls.ROUTE),
    ("route.v3.ScopedRoutes", "StreamScopedRoutes", "DeltaScopedRoutes", type_urls.SCOPED_ROUTE),
    ("route.v3.VirtualHost", None, "DeltaVirtualHosts", type_urls.VIRTUAL_HOST),
    ("cluster.v3.Cluster", "StreamClusters", "DeltaClusters", type_urls.CLUSTER),
    ("endpoint.v3.Endpoint", "StreamEndpoints", "DeltaEndpoints", type_urls.ENDPOINT),
    ("secret.v3.Secret", "StreamSecrets", "DeltaSecrets", type_urls.SECRET),
    ("runtime.v3.Runtime", "StreamRuntime", "DeltaRuntime", type_urls.RUNTIME),
    (
        "extension.v3.ExtensionConfig",
        "StreamExtensionConfigs",
        "DeltaExtensionConfigs",
        type_urls.EXTENSION_CONFIG,
    ),
)

METHODS: Final = tuple(
    Method(f"envoy.service.{service}DiscoveryService", name, delta, type_url)
    for service, sotw_name, delta_name, type_url in _SERVICES
    for name, delta in ((sotw_name, False), (delta_name, True))
    if name is not None
)

CLIENT_STATUS_SERVICE: Final = "envoy.service.status.v3.ClientStatusDiscoveryService"
