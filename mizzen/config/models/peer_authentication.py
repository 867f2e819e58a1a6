"""PeerAuthentication: whether a workload accepts plain text, mutual TLS, or both.

https://istio.io/latest/docs/reference/config/security/peer_authentication/
"""

from __future__ import annotations

from pydantic import Field

from mizzen.config.models.base import IstioModel
from mizzen.config.models.selector import TypeWorkloadSelector
from mizzen.config.models.types import IstioEnum, UInt32


class MutualTLSMode(IstioEnum):
    """What a server requires of its clients; UNSET inherits from the next wider scope."""

    UNSET = "UNSET"
    DISABLE = "DISABLE"
    PERMISSIVE = "PERMISSIVE"
    STRICT = "STRICT"


class MutualTLS(IstioModel):
    """The mode of a workload or of one of its ports."""

    mode: MutualTLSMode = MutualTLSMode.UNSET


class PeerAuthentication(IstioModel):
    """The modes of the workloads that `selector` picks; without a selector, of the namespace, or of the mesh
    if it is the root namespace. `port_level_mtls` is by the workload's own ports, not by those of its
    services."""

    selector: TypeWorkloadSelector | None = None
    mtls: MutualTLS | None = None
    port_level_mtls: dict[UInt32, MutualTLS] = Field(default_factory=dict)
