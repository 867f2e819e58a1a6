"""The kinds of documents that a mesh reads, and the kinds of Istio that it names but does not serve yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel

from mizzen.config import group_kinds, kubernetes
from mizzen.config.document import Config, GroupKind
from mizzen.config.mesh_config_text import validate_config_map
from mizzen.config.models import SPECS
from mizzen.config.validation import VALIDATORS, Validator
from mizzen.config.validation.place import Place

NETWORKING_VERSIONS: Final = ("v1alpha3", "v1beta1", "v1")
SECURITY_VERSIONS: Final = ("v1beta1", "v1")

_INSTEAD: Final = "write a Gateway and a VirtualService of networking.istio.io instead"
_INGRESS: Final = f"Kubernetes' Ingress is not served; {_INSTEAD}"
_GATEWAY_API: Final = f"the Kubernetes Gateway API is not served yet; {_INSTEAD}"

UNSERVED: Final[Mapping[GroupKind, str]] = MappingProxyType(
    {
        GroupKind("EnvoyFilter", "networking.istio.io"): "Envoy's configuration is not patched yet",
        GroupKind("ProxyConfig", "networking.istio.io"): "settings of proxies are not read from it yet",
        GroupKind("Telemetry", "telemetry.istio.io"): "logs, metrics and traces are not configured by it yet",
        GroupKind("WasmPlugin", "extensions.istio.io"): "extensions are not loaded yet",
        GroupKind("TrafficExtension", "extensions.istio.io"): "extensions are not loaded yet",
        GroupKind("Ingress", "networking.k8s.io"): _INGRESS,
        **{
            GroupKind(kind, "gateway.networking.k8s.io"): _GATEWAY_API
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
"""The kinds that istiod acts on and Mizzen does not, with the effect that is missing."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document: its group and versions in Kubernetes, the model of its
    content, and its validator."""

    of: GroupKind
    versions: tuple[str, ...]
    model: type[BaseModel]
    validate: Validator
    cluster_scoped: bool = False
    has_spec: bool = True
    """Whether the model describes `spec` (Istio's kinds) or the whole document (Kubernetes' kinds)."""

    api_versions: tuple[str, ...] = field(init=False)
    """The values of `apiVersion` under which this kind is served."""

    def __post_init__(self) -> None:
        group = self.of.group
        served = tuple(f"{group}/{version}" if group else version for version in self.versions)
        object.__setattr__(self, "api_versions", served)

    @property
    def name(self) -> str:
        """The name of the kind, without its group."""
        return self.of.kind

    @property
    def group(self) -> str:
        """The API group of the kind."""
        return self.of.group


def _no_rules(_: Config[Any], place: Place) -> None:
    """Accept all that the model accepts: Kubernetes checks these kinds."""


def _istio(of: GroupKind, versions: tuple[str, ...] = NETWORKING_VERSIONS) -> Kind:
    return Kind(of, versions, SPECS[of], VALIDATORS.get(of, _no_rules))


def _security(of: GroupKind) -> Kind:
    return _istio(of, SECURITY_VERSIONS)


def _kubernetes(
    of: GroupKind, model: type[BaseModel], validate: Validator = _no_rules, *, cluster_scoped: bool = False
) -> Kind:
    return Kind(of, ("v1",), model, validate, cluster_scoped, has_spec=False)


_ALL: Final = (
    _istio(group_kinds.VIRTUAL_SERVICE),
    _istio(group_kinds.DESTINATION_RULE),
    _istio(group_kinds.GATEWAY),
    _istio(group_kinds.SERVICE_ENTRY),
    _istio(group_kinds.WORKLOAD_ENTRY),
    _istio(group_kinds.WORKLOAD_GROUP),
    _istio(group_kinds.SIDECAR),
    _security(group_kinds.AUTHORIZATION_POLICY),
    _security(group_kinds.PEER_AUTHENTICATION),
    _security(group_kinds.REQUEST_AUTHENTICATION),
    _kubernetes(group_kinds.SERVICE, kubernetes.Service),
    _kubernetes(group_kinds.ENDPOINTS, kubernetes.Endpoints),
    _kubernetes(group_kinds.ENDPOINT_SLICE, kubernetes.EndpointSlice),
    _kubernetes(group_kinds.POD, kubernetes.Pod),
    _kubernetes(group_kinds.SECRET, kubernetes.Secret),
    _kubernetes(group_kinds.NAMESPACE, kubernetes.Namespace, cluster_scoped=True),
    _kubernetes(group_kinds.NODE, kubernetes.Node, cluster_scoped=True),
    _kubernetes(group_kinds.CONFIG_MAP, kubernetes.ConfigMap, validate_config_map),
)

KINDS: Final[Mapping[GroupKind, Kind]] = MappingProxyType({kind.of: kind for kind in _ALL})
"""Every kind that is read."""

KINDS_BY_NAME: Final[Mapping[str, tuple[Kind, ...]]] = MappingProxyType(
    {each.name: tuple(kind for kind in _ALL if kind.name == each.name) for each in _ALL}
)
"""The kinds that are read, by name alone, for messages to users: several if more than one group has it."""
