"""The Kubernetes kinds that describe a mesh, with the fields that a mesh needs.

Fields that a mesh does not read are ignored, as manifests have many of them. Names are Kubernetes' own
(https://kubernetes.io/docs/reference/kubernetes-api/). The `spec` of these kinds is the document without
apiVersion, kind and metadata.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mizzen.config.models.base import IstioModel
from mizzen.config.validation.addresses import ip_address_problem

PortNumber = Annotated[int, Strict(), Field(ge=1, le=65535)]
Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]


class KubernetesModel(IstioModel):
    """A part of a Kubernetes object: immutable; fields that a mesh does not read are ignored."""

    model_config = ConfigDict(extra="ignore")


def _ip_address(value: str) -> str:
    problem = ip_address_problem(value) if value else None
    if problem is not None:
        raise PydanticCustomError("ip_address", "{problem}", {"problem": problem})
    return value


def _cluster_ip(value: str) -> str:
    return value if value == "None" else _ip_address(value)


Address = Annotated[Text, AfterValidator(_ip_address)]
"""An IP address; "" if there is none."""
ClusterAddress = Annotated[Text, AfterValidator(_cluster_ip)]
"""An IP address, "" if there is none yet, or "None" for a headless service."""


def _protocol(value: str) -> str:
    if value in ("TCP", "UDP", "SCTP"):
        return value
    raise PydanticCustomError("protocol", "must be TCP, UDP or SCTP; not {value}", {"value": value})


Protocol = Annotated[Text, AfterValidator(_protocol)]


def _target_port(value: Any) -> int | str:
    if (type(value) is int and 1 <= value <= 65535) or (isinstance(value, str) and value):
        return value
    raise PydanticCustomError("target_port", "must be the number or the name of a port of the pods")


TargetPort = Annotated[int | str, PlainValidator(_target_port)]


class ServicePort(KubernetesModel):
    """A port of a Service. `target_port` is the number or the name of the pods'
    port; None means the same as `port`."""

    name: Text = ""
    port: PortNumber
    target_port: TargetPort | None = None
    protocol: Protocol = "TCP"
    app_protocol: Text = ""
    node_port: Annotated[int, Strict()] = 0


class ServiceSpec(KubernetesModel):
    """The ports of a Service, and the selector of the pods behind them."""

    ports: tuple[ServicePort, ...] = ()
    selector: Mapping[Text, Text] = {}
    type: Text = "ClusterIP"
    cluster_ip: ClusterAddress = Field(default="", alias="clusterIP")
    cluster_ips: tuple[ClusterAddress, ...] = Field(default=(), alias="clusterIPs")
    external_name: Text = ""
    external_ips: tuple[Address, ...] = Field(default=(), alias="externalIPs")
    session_affinity: Text = "None"
    internal_traffic_policy: Text = "Cluster"
    traffic_distribution: Text = ""
    publish_not_ready_addresses: Flag = False
    ip_families: tuple[Text, ...] = ()

    @property
    def headless(self) -> bool:
        """True if the service has no address of its own, so that its name resolves to its pods."""
        return self.cluster_ip == "None"

    @model_validator(mode="after")
    def _ports_are_told_apart(self) -> Self:
        names = [port.name for port in self.ports]
        if len(names) > 1 and "" in names:
            raise PydanticCustomError("ports", "has several ports, so each needs a name; name them all")
        for name in names:
            if names.count(name) > 1:
                raise PydanticCustomError("ports", "has two ports named {name}; rename one", {"name": name})
        return self


class LoadBalancerIngress(KubernetesModel):
    """An address of a service of type LoadBalancer."""

    ip: Address = ""
    hostname: Text = ""


class LoadBalancerStatus(KubernetesModel):
    """The addresses of a service of type LoadBalancer."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(KubernetesModel):
    """What Kubernetes reports about a Service."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(KubernetesModel):
    """A Kubernetes Service (core v1)."""

    spec: ServiceSpec
    status: ServiceStatus = ServiceStatus()


class ObjectReference(KubernetesModel):
    """A reference from an address to its object, such as a pod."""

    kind: Text = ""
    namespace: Text = ""
    name: Text = ""


class EndpointAddress(KubernetesModel):
    """An address of an Endpoints subset."""

    ip: Address
    hostname: Text = ""
    node_name: Text = ""
    target_ref: ObjectReference | None = None


class EndpointPort(KubernetesModel):
    """A port of endpoints; `name` is the name of the Service's port."""

    name: Text = ""
    port: PortNumber
    protocol: Protocol = "TCP"
    app_protocol: Text = ""


class EndpointSubset(KubernetesModel):
    """Addresses that all have the same ports."""

    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Endpoints(KubernetesModel):
    """Kubernetes Endpoints (core v1): the addresses of the Service of the same name."""

    subsets: tuple[EndpointSubset, ...] = ()


class EndpointConditions(KubernetesModel):
    """The state of an endpoint of an EndpointSlice. None means unknown, and counts as ready."""

    ready: Flag | None = None
    serving: Flag | None = None
    terminating: Flag | None = None


class Endpoint(KubernetesModel):
    """One endpoint of an EndpointSlice: the addresses of one pod."""

    addresses: tuple[Text, ...]
    conditions: EndpointConditions = EndpointConditions()
    hostname: Text = ""
    node_name: Text = ""
    zone: Text = ""
    target_ref: ObjectReference | None = None


class EndpointSlicePort(KubernetesModel):
    """A port of an EndpointSlice. Without a number it means all ports."""

    name: Text = ""
    port: PortNumber | None = None
    protocol: Protocol = "TCP"
    app_protocol: Text = ""


class EndpointSlice(KubernetesModel):
    """An EndpointSlice (discovery.k8s.io/v1) of the Service in label `kubernetes.io/service-name`."""

    address_type: Text
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointSlicePort, ...] = ()

    @model_validator(mode="after")
    def _addresses_are_of_the_type(self) -> Self:
        if self.address_type != "FQDN":
            for endpoint in self.endpoints:
                for address in endpoint.addresses:
                    _ip_address(address)
        return self


class ContainerPort(KubernetesModel):
    """A port that a container declares; a Service may name it."""

    name: Text = ""
    container_port: PortNumber
    protocol: Protocol = "TCP"


class Container(KubernetesModel):
    """A container of a pod, for its named ports."""

    name: Text = ""
    ports: tuple[ContainerPort, ...] = ()


class PodSpec(KubernetesModel):
    """The desired state of a pod."""

    service_account_name: Text = "default"
    node_name: Text = ""
    hostname: Text = ""
    subdomain: Text = ""
    host_network: Flag = False
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()


class PodIP(KubernetesModel):
    """One address of a pod."""

    ip: Address


class PodCondition(KubernetesModel):
    """A condition of a pod, such as Ready; `status` is True, False or Unknown."""

    type: Text
    status: Text


class PodStatus(KubernetesModel):
    """The observed state of a pod."""

    phase: Text = ""
    pod_ip: Address = Field(default="", alias="podIP")
    pod_ips: tuple[PodIP, ...] = Field(default=(), alias="podIPs")
    host_ip: Address = Field(default="", alias="hostIP")
    conditions: tuple[PodCondition, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses of the pod, the primary one first."""
        return tuple(pod_ip.ip for pod_ip in self.pod_ips) or ((self.pod_ip,) if self.pod_ip else ())

    @property
    def ready(self) -> bool:
        """True if condition Ready holds. A pod without conditions, such as a
        hand-written one, counts as ready."""
        if self.phase in ("Succeeded", "Failed"):
            return False
        states = [condition.status for condition in self.conditions if condition.type == "Ready"]
        return not states or states[0] == "True"


class Pod(KubernetesModel):
    """A Pod (core v1); its labels are the configuration's labels."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


def _decoded(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError):
            pass
    # Without the value: it may be the secret itself, written under the wrong name.
    raise PydanticCustomError("base64", "is not in base64; encode it, or write it under stringData")


Base64 = Annotated[bytes, PlainValidator(_decoded)]


class Secret(KubernetesModel):
    """A Secret (core v1). The repr leaves out its values. Read them from `data`."""

    type: Text = "Opaque"
    encoded: Mapping[Text, Base64] = Field(default={}, alias="data", repr=False)
    string_data: Mapping[Text, Text] = Field(default={}, repr=False)

    @cached_property
    def data(self) -> Mapping[str, bytes]:
        """The decoded values: those of `data`, overridden by those of `stringData`."""
        return {**self.encoded, **{key: value.encode() for key, value in self.string_data.items()}}


class NamespaceSpec(KubernetesModel):
    """Empty: a Namespace is read only for its labels."""


class Namespace(KubernetesModel):
    """A Namespace (core v1); its labels are the configuration's labels."""

    spec: NamespaceSpec = NamespaceSpec()


class NodeSpec(KubernetesModel):
    """Empty: a Node is read only for its labels."""


class Node(KubernetesModel):
    """A Node (core v1). Its labels, which are the configuration's, give the locality of its pods."""

    spec: NodeSpec = NodeSpec()


class ConfigMap(KubernetesModel):
    """A ConfigMap (core v1). Only settings of Istio's mesh are read (`data.mesh` and `data.meshNetworks`)."""

    data: Mapping[Text, Text] = {}

    @field_validator("data", mode="before")
    @classmethod
    def _only_mesh(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: data[key] for key in ("mesh", "meshNetworks") if key in data}
