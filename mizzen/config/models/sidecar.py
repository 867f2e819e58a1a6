"""Sidecar: what one proxy serves, and which part of the mesh it sees.

https://istio.io/latest/docs/reference/config/networking/sidecar/
"""

from __future__ import annotations

from typing import Annotated

from mizzen.config.models.base import IstioModel
from mizzen.config.models.destination_rule import ConnectionPoolSettings
from mizzen.config.models.gateway import ServerTLSSettings
from mizzen.config.models.host import NamespacedHost
from mizzen.config.models.selector import WorkloadSelector
from mizzen.config.models.types import Deprecated, IstioEnum, UInt32
from mizzen.config.models.virtual_service import Destination


class CaptureMode(IstioEnum):
    """How traffic reaches a listener."""

    DEFAULT = "DEFAULT"
    IPTABLES = "IPTABLES"
    NONE = "NONE"


class SidecarPort(IstioModel):
    """A port of a sidecar's listener."""

    number: UInt32 = 0
    protocol: str = ""
    name: str = ""
    target_port: Annotated[UInt32, Deprecated("leave it out")] = 0


class IstioIngressListener(IstioModel):
    """A port on which the workload is served."""

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: CaptureMode = CaptureMode.DEFAULT
    default_endpoint: str = ""
    tls: ServerTLSSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None


class IstioEgressListener(IstioModel):
    """What the workload may call: `hosts` as `namespace/dnsName`, on one port or on all."""

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: CaptureMode = CaptureMode.DEFAULT
    hosts: tuple[NamespacedHost, ...] = ()


class OutboundTrafficPolicyMode(IstioEnum):
    """What happens to calls to hosts that the registry does not know."""

    REGISTRY_ONLY = "REGISTRY_ONLY"
    ALLOW_ANY = "ALLOW_ANY"


class OutboundTrafficPolicy(IstioModel):
    """What happens to calls to hosts that the registry does not know, and the proxy that they go through."""

    mode: OutboundTrafficPolicyMode = OutboundTrafficPolicyMode.REGISTRY_ONLY
    egress_proxy: Destination | None = None


class Sidecar(IstioModel):
    """The listeners of the workloads that `workload_selector` picks; without it, of all in the namespace."""

    workload_selector: WorkloadSelector | None = None
    ingress: tuple[IstioIngressListener, ...] = ()
    egress: tuple[IstioEgressListener, ...] = ()
    inbound_connection_pool: ConnectionPoolSettings | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
