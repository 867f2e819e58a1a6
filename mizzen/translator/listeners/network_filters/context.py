"""What a network filter may know of the TCP chain that it stands in."""

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
    """All that network filters before the TCP proxy depend on. `dns_cache` is the cache, port and addresses
    of a cluster that dials whatever name the SNI says; `policies` are those of the workload, none where a
    sidecar calls others."""

    role: Role
    protocol: Protocol
    stat_prefix: str
    mesh_config: MeshConfig
    dns_cache: tuple[str, int, IPFamily] | None = None
    policies: WorkloadPolicies = NO_POLICIES
