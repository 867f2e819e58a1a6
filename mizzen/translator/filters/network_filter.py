"""The declaration of a network filter of TCP chains: position in Istio's order, and what it depends on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto
from typing import TYPE_CHECKING

from mizzen.mesh.rules.security_policies import NO_POLICIES, WorkloadPolicies
from mizzen.translator.filters.declared import Filter
from mizzen.translator.filters.role import Role

if TYPE_CHECKING:
    from mizzen.config.mesh_config import MeshConfig
    from mizzen.mesh.proxy.profile import IPFamily
    from mizzen.mesh.service import Protocol


class NetworkStep(IntEnum):
    """Istio's order of the network filters before the TCP proxy (pilot/pkg/networking/core).

    It is Istio's whole order, with the steps for which Mizzen has no filter. The steps that start with PHASE_
    are for the phases of a WasmPlugin or TrafficExtension.
    """

    METADATA_EXCHANGE = auto()
    CUSTOM_AUTHORIZATION = auto()
    PHASE_AUTHN = auto()
    PHASE_AUTHZ = auto()
    AUTHORIZATION = auto()
    PHASE_STATS = auto()
    PHASE_UNSPECIFIED = auto()
    STATS = auto()
    SNI_DYNAMIC_FORWARD_PROXY = auto()
    MONGO_PROXY = auto()
    MYSQL_PROXY = auto()


@dataclass(frozen=True, slots=True)
class NetworkFilterContext:
    """The parts of a TCP chain that the filters before the TCP proxy depend on.

    `dns_cache` is (cache, port, IP family) for a cluster that connects to the name in the SNI. `policies` are
    those of the workload; outbound, a sidecar has none.
    """

    role: Role
    protocol: Protocol
    stat_prefix: str
    mesh_config: MeshConfig
    dns_cache: tuple[str, int, IPFamily] | None = None
    policies: WorkloadPolicies = NO_POLICIES


@dataclass(frozen=True, slots=True)
class NetworkFilter(Filter[NetworkFilterContext]):
    """A network filter."""
