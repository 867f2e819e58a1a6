"""The declaration of an HTTP filter: position in Istio's order, and what it depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import TYPE_CHECKING, Any

from mizzen.mesh.rules.security_policies import NO_POLICIES, WorkloadPolicies
from mizzen.translator.filters.declared import Filter
from mizzen.translator.filters.role import Role

if TYPE_CHECKING:
    from mizzen.config.mesh_config import MeshConfig
    from mizzen.config.models.virtual_service import HTTPRoute
    from mizzen.mesh.proxy.profile import IPFamily
    from mizzen.mesh.service import Protocol


class HttpStep(IntEnum):
    """Istio's order of the HTTP filters (buildHTTPFilters in pilot/pkg/networking/core).

    It is Istio's whole order, with the steps for which Mizzen has no filter. The steps that start with PHASE_
    are for the phases of a WasmPlugin or TrafficExtension.
    """

    METADATA_EXCHANGE = auto()
    CUSTOM_AUTHORIZATION = auto()
    PHASE_AUTHN = auto()
    AUTHENTICATION = auto()
    PHASE_AUTHZ = auto()
    AUTHORIZATION = auto()
    PHASE_STATS = auto()
    PHASE_UNSPECIFIED = auto()
    GRPC_WEB = auto()
    GRPC_STATS = auto()
    ALPN = auto()
    FAULT = auto()
    CORS = auto()
    STATS = auto()
    STATEFUL_SESSION = auto()
    DYNAMIC_FORWARD_PROXY = auto()
    ROUTER = auto()


@dataclass(frozen=True, slots=True)
class HttpFilterContext:
    """The parts of a connection manager that its HTTP filters depend on. `dns_caches` names the caches of the
    dynamic forward proxies that the routes may choose. `policies` are those of the workload; outbound, a
    sidecar has none."""

    role: Role
    protocol: Protocol
    mesh_config: MeshConfig
    ip_family: IPFamily = "V4_ONLY"
    dns_caches: tuple[str, ...] = ()
    hide_debug_headers: bool = False
    policies: WorkloadPolicies = NO_POLICIES


@dataclass(frozen=True, slots=True)
class HttpFilter(Filter[HttpFilterContext]):
    """An HTTP filter. `configure_route` returns the filter's message for one route of a VirtualService, or
    None if the route has no settings for it."""

    configure_route: Callable[[HTTPRoute], Any | None] | None = None
