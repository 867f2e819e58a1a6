"""ServiceEntry: a service that is not in the registry otherwise.

https://istio.io/latest/docs/reference/config/networking/service-entry/
"""

from __future__ import annotations

from mizzen.config.models.base import IstioModel
from mizzen.config.models.host import HostName
from mizzen.config.models.selector import WorkloadSelector
from mizzen.config.models.types import IstioEnum, UInt32
from mizzen.config.models.workload import WorkloadEntry


class Location(IstioEnum):
    """Whether the service belongs to the mesh."""

    MESH_EXTERNAL = "MESH_EXTERNAL"
    MESH_INTERNAL = "MESH_INTERNAL"


class Resolution(IstioEnum):
    """How the addresses of the service's endpoints are found."""

    NONE = "NONE"
    STATIC = "STATIC"
    DNS = "DNS"
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"
    DYNAMIC_DNS = "DYNAMIC_DNS"


class ServicePort(IstioModel):
    """A port of a service. If `protocol` is empty it is detected from the traffic;
    `target_port` 0 means `number`."""

    number: UInt32 = 0
    protocol: str = ""
    name: str = ""
    target_port: UInt32 = 0


class ServiceEntry(IstioModel):
    """One or more services, by host, and their endpoints."""

    hosts: tuple[HostName, ...] = ()
    addresses: tuple[str, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    location: Location = Location.MESH_EXTERNAL
    resolution: Resolution = Resolution.NONE
    endpoints: tuple[WorkloadEntry, ...] = ()
    workload_selector: WorkloadSelector | None = None
    export_to: tuple[str, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
