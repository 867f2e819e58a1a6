"""The parts of a connection manager that its HTTP filters depend on."""

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
