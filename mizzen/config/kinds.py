"""The kinds of documents that a mesh reads, and the kinds of Istio that it names but does not serve yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel

from mizzen.config import kubernetes
from mizzen.config.diagnostics import Diagnostic
from mizzen.config.document import Config
from mizzen.config.mesh_config_text import validate_config_map
from mizzen.config.models import SPECS
from mizzen.config.validation import VALIDATORS

Validate = Callable[[Config[Any]], list[Diagnostic]]

NETWORKING: Final = "networking.istio.io"
NETWORKING_VERSIONS: Final = ("v1alpha3", "v1beta1", "v1")
SECURITY: Final = "security.istio.io"
SECURITY_VERSIONS: Final = ("v1beta1", "v1")

_INSTEAD: Final = "write a Gateway and a VirtualService of networking.istio.io instead"
_INGRESS: Final = f"Kubernetes' Ingress is not served; {_INSTEAD}"
_GATEWAY_API: Final = f"the Kubernetes Gateway API is not served yet; {_INSTEAD}"

UNSERVED: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("networking.istio.io", "EnvoyFilter"): "Envoy's configuration is not patched yet",
        ("networking.istio.io", "ProxyConfig"): "settings of proxies are not read from it yet",
        ("telemetry.istio.io", "Telemetry"): "logs, metrics and traces are not configured by it yet",
        ("extensions.istio.io", "WasmPlugin"): "extensions are not loaded yet",
        ("extensions.istio.io", "TrafficExtension"): "extensions are not loaded yet",
        ("networking.k8s.io", "Ingress"): _INGRESS,
        **{
            ("gateway.networking.k8s.io", kind): _GATEWAY_API
            for kind in (
                "Gateway",
                "GatewayClass",
                "HTTPRoute",
                "GRPCRoute",
                "TLSRoute",
                "TCPRoute",
                "UDPRoute",
                "ReferenceGrant",
                "BackendTLSPolicy",
            )
        },
    }
)
"""Group and kind of what istiod acts on and Mizzen does not, with the effect that is missing."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document: its group and versions in Kubernetes, the model of its
    content, and its validator."""

    name: str
    group: str
    versions: tuple[str, ...]
    model: type[BaseModel]
    plural: str
    kebab: str
    validate: Validate
    cluster_scoped: bool = False
    has_spec: bool = True
    """Whether the model describes `spec` (Istio's kinds) or the whole document (Kubernetes' kinds)."""

    api_versions: tuple[str, ...] = field(init=False)
    """The values of `apiVersion` under which this kind is served."""

    def __post_init__(self) -> None:
        served = tuple(f"{self.group}/{version}" if self.group else version for version in self.versions)
        object.__setattr__(self, "api_versions", served)

    def config_path(self, version: str, namespace: str, name: str) -> str:
        """Return the path by which Istio names a configuration in Envoy metadata (`config`).

        For example `/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews`.
        """
        return f"/apis/{self.group}/{version}/namespaces/{namespace}/{self.kebab}/{name}"


def _no_rules(_: Config[Any]) -> list[Diagnostic]:
    """Accept all that the model accepts: Kubernetes checks these kinds."""
    return []


def _istio(
    name: str,
    plural: str,
    kebab: str,
    group: str = NETWORKING,
    versions: tuple[str, ...] = NETWORKING_VERSIONS,
) -> Kind:
    return Kind(name, group, versions, SPECS[name], plural, kebab, VALIDATORS.get(name, _no_rules))


def _security(name: str, plural: str, kebab: str) -> Kind:
    return _istio(name, plural, kebab, SECURITY, SECURITY_VERSIONS)


def _kubernetes(
    model: type[BaseModel],
    plural: str,
    kebab: str,
    *,
    group: str = "",
    validate: Validate = _no_rules,
    cluster_scoped: bool = False,
) -> Kind:
    return Kind(
        model.__name__, group, ("v1",), model, plural, kebab, validate, cluster_scoped, has_spec=False
    )


_ALL: Final = (
    _istio("VirtualService", "virtualservices", "virtual-service"),
    _istio("DestinationRule", "destinationrules", "destination-rule"),
    _istio("Gateway", "gateways", "gateway"),
    _istio("ServiceEntry", "serviceentries", "service-entry"),
    _istio("WorkloadEntry", "workloadentries", "workload-entry"),
    _istio("WorkloadGroup", "workloadgroups", "workload-group"),
    _istio("Sidecar", "sidecars", "sidecar"),
    _security("AuthorizationPolicy", "authorizationpolicies", "authorization-policy"),
    _security("PeerAuthentication", "peerauthentications", "peer-authentication"),
    _security("RequestAuthentication", "requestauthentications", "request-authentication"),
    _kubernetes(kubernetes.Service, "services", "service"),
    _kubernetes(kubernetes.Endpoints, "endpoints", "endpoints"),
    _kubernetes(kubernetes.EndpointSlice, "endpointslices", "endpoint-slice", group="discovery.k8s.io"),
    _kubernetes(kubernetes.Pod, "pods", "pod"),
    _kubernetes(kubernetes.Secret, "secrets", "secret"),
    _kubernetes(kubernetes.Namespace, "namespaces", "namespace", cluster_scoped=True),
    _kubernetes(kubernetes.Node, "nodes", "node", cluster_scoped=True),
    _kubernetes(kubernetes.ConfigMap, "configmaps", "config-map", validate=validate_config_map),
)

KINDS: Final[Mapping[str, Kind]] = MappingProxyType({kind.name: kind for kind in _ALL})
"""Every kind that is read, by name. No two groups share a name."""
