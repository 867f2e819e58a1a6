"""The parts of a TCP chain that its network filters depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mizzen.mesh.rules.security_policies import NO_POLICIES, WorkloadPolicies
from mizzen.translator.listeners.roles import Role

if TYPE_CHECKING:
    from mizzen.config.mesh_config import MeshConfig
    from mizzen.mesh.proxy.profile import IPFamily
    from mizzen.mesh.service import Protocol


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
