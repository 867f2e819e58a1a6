"""WorkloadEntry and WorkloadGroup: workloads that are not pods.

https://istio.io/latest/docs/reference/config/networking/workload-entry/ and .../workload-group/
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mizzen.config.models.base import IstioModel, OneofModel
from mizzen.config.models.types import Int32, UInt32


class WorkloadEntry(IstioModel):
    """One workload: an endpoint of a ServiceEntry. `ports` maps service port names to numbers."""

    address: str = ""
    ports: dict[str, UInt32] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    network: str = ""
    locality: str = ""
    weight: UInt32 = 0
    service_account: str = ""


class ObjectMeta(IstioModel):
    """Metadata that a WorkloadGroup gives to the entries made from it."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class HTTPHeader(IstioModel):
    """A header of a health probe's request."""

    name: str = ""
    value: str = ""


class HTTPHealthCheckConfig(IstioModel):
    """A health probe by an HTTP request."""

    path: str = ""
    port: UInt32 = 0
    host: str = ""
    scheme: str = ""
    http_headers: tuple[HTTPHeader, ...] = ()


class TCPHealthCheckConfig(IstioModel):
    """A health probe by opening a connection."""

    host: str = ""
    port: UInt32 = 0


class ExecHealthCheckConfig(IstioModel):
    """A health probe by running a command."""

    command: tuple[str, ...] = ()


class GrpcHealthCheckConfig(IstioModel):
    """A health probe by gRPC's health service."""

    port: UInt32 = 0
    service: str = ""


class ReadinessProbe(OneofModel):
    """How the health of a workload is probed."""

    oneofs: ClassVar = (frozenset({"http_get", "tcp_socket", "exec", "grpc"}),)

    initial_delay_seconds: Int32 = 0
    timeout_seconds: Int32 = 0
    period_seconds: Int32 = 0
    success_threshold: Int32 = 0
    failure_threshold: Int32 = 0
    http_get: HTTPHealthCheckConfig | None = None
    tcp_socket: TCPHealthCheckConfig | None = None
    exec: ExecHealthCheckConfig | None = None
    grpc: GrpcHealthCheckConfig | None = None


class WorkloadGroup(IstioModel):
    """What the workloads of one group have in common; `template` makes their entries when they register."""

    metadata: ObjectMeta | None = None
    template: WorkloadEntry | None = None
    probe: ReadinessProbe | None = None
