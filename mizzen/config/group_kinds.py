"""The kinds of documents that a mesh reads, by name and API group."""

from __future__ import annotations

from typing import Final

from mizzen.config.document import GroupKind

_NETWORKING: Final = "networking.istio.io"
_SECURITY: Final = "security.istio.io"

VIRTUAL_SERVICE: Final = GroupKind("VirtualService", _NETWORKING)
DESTINATION_RULE: Final = GroupKind("DestinationRule", _NETWORKING)
GATEWAY: Final = GroupKind("Gateway", _NETWORKING)
SERVICE_ENTRY: Final = GroupKind("ServiceEntry", _NETWORKING)
WORKLOAD_ENTRY: Final = GroupKind("WorkloadEntry", _NETWORKING)
WORKLOAD_GROUP: Final = GroupKind("WorkloadGroup", _NETWORKING)
SIDECAR: Final = GroupKind("Sidecar", _NETWORKING)
AUTHORIZATION_POLICY: Final = GroupKind("AuthorizationPolicy", _SECURITY)
PEER_AUTHENTICATION: Final = GroupKind("PeerAuthentication", _SECURITY)
REQUEST_AUTHENTICATION: Final = GroupKind("RequestAuthentication", _SECURITY)
SERVICE: Final = GroupKind("Service", "")
ENDPOINTS: Final = GroupKind("Endpoints", "")
ENDPOINT_SLICE: Final = GroupKind("EndpointSlice", "discovery.k8s.io")
POD: Final = GroupKind("Pod", "")
SECRET: Final = GroupKind("Secret", "")
NAMESPACE: Final = GroupKind("Namespace", "")
NODE: Final = GroupKind("Node", "")
CONFIG_MAP: Final = GroupKind("ConfigMap", "")
