"""Workloads: WorkloadEntry, Pod and inline endpoint in one form, and the endpoints made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mizzen.config import kubernetes, models
from mizzen.config.diagnostics import Origin
from mizzen.config.document import Config, ConfigKey
from mizzen.config.group_kinds import POD
from mizzen.config.validation.addresses import is_ip_address
from mizzen.mesh.service import Endpoint, HealthStatus, Locality, ServicePort
from mizzen.mesh.settings import MeshSettings
from mizzen.mesh.topology import (
    HOSTNAME_LABEL,
    NETWORK_LABEL,
    REGION_LABEL,
    SUBZONE_LABEL,
    ZONE_LABEL,
    labelled_locality,
    topology_locality,
)

TLS_MODE_LABEL: Final = "security.istio.io/tlsMode"

UNIX_PREFIX: Final = "unix://"


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """One instance that can serve services. `labels` are its own, `endpoint_labels` include its topology.

    `ports` maps service port names to numbers (WorkloadEntry.ports), `container_ports` the names of a pod's
    own ports. `address` is empty for a pod that has none yet (then it makes no endpoint), and for a
    WorkloadEntry that gives only its network. It is a host name or a unix socket if not `has_ip_address`.
    """

    key: ConfigKey
    address: str
    addresses: tuple[str, ...]
    labels: Mapping[str, str]
    endpoint_labels: tuple[tuple[str, str], ...]
    locality: Locality
    weight: int
    network: str
    identity: str
    tls_mode: str
    origin: Origin
    ports: Mapping[str, int] = field(default_factory=dict)
    container_ports: Mapping[str, int] = field(default_factory=dict)
    node_name: str = ""
    health: HealthStatus = HealthStatus.HEALTHY
    has_ip_address: bool = True

    @property
    def is_pod(self) -> bool:
        """True if a Pod document describes it."""
        return self.key.group_kind == POD

    def order(self) -> ConfigKey:
        """Return the sort key of endpoints made from workloads: kind, namespace, name."""
        return self.key


def workload_from_entry(config: Config[Any], settings: MeshSettings) -> Workload:
    """Return the workload of a WorkloadEntry; labels of its metadata override those of its spec."""
    entry: models.WorkloadEntry = config.spec
    labels = {**entry.labels, **config.labels}
    return _workload(entry, labels, config.key, config.namespace, config.origin, settings)


def workload_from_inline(
    entry: models.WorkloadEntry, config: Config[Any], index: int, settings: MeshSettings
) -> Workload:
    """Return the workload of `endpoints[index]` of a ServiceEntry."""
    origin = config.origin_of("spec", "endpoints", index)
    return _workload(entry, entry.labels, config.key, config.namespace, origin, settings)


def _workload(
    entry: models.WorkloadEntry,
    labels: Mapping[str, str],
    key: ConfigKey,
    namespace: str,
    origin: Origin,
    settings: MeshSettings,
) -> Workload:
    locality = Locality.parse(entry.locality) if entry.locality else labelled_locality(labels)
    network = entry.network or labels.get(NETWORK_LABEL) or settings.network_of(entry.address)
    account = entry.service_account
    return Workload(
        key=key,
        address=entry.address,
        addresses=(entry.address,),
        labels=labels,
        endpoint_labels=_augmented(labels, locality, network, ""),
        locality=locality,
        weight=entry.weight or 1,
        network=network,
        identity=settings.spiffe_identity(namespace, account) if account else "",
        tls_mode=labels.get(TLS_MODE_LABEL) or ("istio" if account else "disabled"),
        origin=origin,
        ports=entry.ports,
        has_ip_address=not entry.address or is_ip_address(entry.address),
    )


def workload_from_pod(config: Config[Any], settings: MeshSettings, node: Locality | None = None) -> Workload:
    """Return the workload of a Pod: without `status.podIP` it has no address.

    Its locality is that of its locality label, else that of its `node`, else that of its own labels of region
    and zone (decisions/0056).
    """
    pod: kubernetes.Pod = config.spec
    addresses = pod.status.addresses
    labels = config.labels
    locality = labelled_locality(labels)
    if locality == Locality():
        locality = topology_locality(labels) if node is None else node
    network = labels.get(NETWORK_LABEL) or (settings.network_of(addresses[0]) if addresses else "")
    return Workload(
        key=config.key,
        address=addresses[0] if addresses else "",
        addresses=addresses,
        labels=labels,
        endpoint_labels=_augmented(labels, locality, network, pod.spec.node_name),
        locality=locality,
        weight=1,
        network=network,
        identity=settings.spiffe_identity(config.namespace, pod.spec.service_account_name or "default"),
        tls_mode=labels.get(TLS_MODE_LABEL) or "disabled",
        origin=config.origin,
        container_ports={
            port.name: port.container_port
            for container in pod.spec.containers
            for port in container.ports
            if port.name
        },
        node_name=pod.spec.node_name,
        health=HealthStatus.HEALTHY if pod.status.ready else HealthStatus.UNHEALTHY,
    )


def _augmented(
    labels: Mapping[str, str], locality: Locality, network: str, node_name: str
) -> tuple[tuple[str, str], ...]:
    """Return the labels and those of the topology, which failoverPriority can name."""
    topology = {
        REGION_LABEL: locality.region,
        ZONE_LABEL: locality.zone,
        SUBZONE_LABEL: locality.subzone,
        HOSTNAME_LABEL: node_name,
        NETWORK_LABEL: labels.get(NETWORK_LABEL) or network,
    }
    return tuple(sorted({**labels, **{key: value for key, value in topology.items() if value}}.items()))


def port_of(workload: Workload, port: ServicePort) -> int | None:
    """Return the number at which `workload` serves `port`, or None if it does not.

    The first of these: 0 for a unix socket; the workload's own port map, by the service port's name; the
    service port's target; its number. A target given by name is looked up in the workload's ports.
    """
    if workload.address.startswith(UNIX_PREFIX):
        return 0
    mapped = workload.ports.get(port.name)
    if mapped:
        return mapped
    target = port.target_port
    if isinstance(target, str):
        return workload.container_ports.get(target) or workload.ports.get(target)
    return target or port.number


def endpoint_of(workload: Workload, ports: tuple[ServicePort, ...], namespace: str) -> Endpoint | None:
    """Return the endpoint of a service with `ports` made from `workload`; None if it
    has neither address nor network."""
    if not workload.address and (workload.is_pod or not workload.network):
        return None
    numbers = ((port.name, port_of(workload, port)) for port in ports)
    return Endpoint(
        address=workload.address,
        addresses=workload.addresses if len(workload.addresses) > 1 else (),
        ports=tuple((name, number) for name, number in numbers if number is not None),
        labels=workload.endpoint_labels,
        locality=workload.locality,
        weight=workload.weight,
        network=workload.network,
        identity=workload.identity,
        tls_mode=workload.tls_mode,
        workload_name=workload.key.name,
        namespace=namespace,
        node_name=workload.node_name,
        health=workload.health,
        origin=workload.origin,
    )
