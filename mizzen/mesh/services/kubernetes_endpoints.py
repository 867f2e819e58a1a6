"""The endpoints of a Kubernetes Service that EndpointSlice and Endpoints documents list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from mizzen.config import kubernetes
from mizzen.config.document import Config, ConfigKey
from mizzen.config.group_kinds import ENDPOINT_SLICE, POD
from mizzen.mesh.service import Endpoint, HealthStatus, Locality, ServicePort
from mizzen.mesh.services.workloads import Workload, endpoint_of
from mizzen.mesh.topology import NETWORK_LABEL, REGION_LABEL, SUBZONE_LABEL, ZONE_LABEL

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"

PodReference = ConfigKey | str
"""What a listed address has its pod by: the key that its `targetRef` names, else the address itself."""

FindPod = Callable[[PodReference], Workload | None]
"""Finds the pod of a reference; None if it is not known."""

LocalityOfNode = Callable[[str], Locality | None]
"""Finds the locality of the Kubernetes Node of that name; None if no such Node is known."""

NetworkOf = Callable[[str], str]
"""Finds the network of an address; empty if it is unknown."""


def service_name_of(config: Config[Any]) -> str:
    """Return the name of the Service, in the same namespace, whose endpoints the document lists."""
    if config.group_kind == ENDPOINT_SLICE:
        return config.labels.get(SERVICE_NAME_LABEL, "")
    return config.name


def pods_of(config: Config[Any]) -> Iterable[PodReference]:
    """Return the references to the pods of all addresses that the document lists."""
    if config.group_kind == ENDPOINT_SLICE:
        listed = [(each.addresses[0], each.target_ref) for each in config.spec.endpoints if each.addresses]
    else:
        listed = [
            (address.ip, address.target_ref)
            for subset in config.spec.subsets
            for address in (*subset.addresses, *subset.not_ready_addresses)
        ]
    return [_pod_reference(config, *each) for each in listed]


def _pod_reference(
    config: Config[Any], address: str, target: kubernetes.ObjectReference | None
) -> PodReference:
    """Return what the pod of a listed address is found by.

    Pods in the network of their node share an address, so a pod that is named is taken by its name alone, as
    istiod does (`getPod` in `endpointslice.go`).
    """
    if target is not None and target.kind == POD.kind:
        return POD.key(target.namespace or config.namespace, target.name)
    return address


def nodes_of(config: Config[Any]) -> Iterable[str]:
    """Return the names of the nodes on which the document's endpoints run."""
    if config.group_kind == ENDPOINT_SLICE:
        named = {endpoint.node_name for endpoint in config.spec.endpoints}
    else:
        named = {
            address.node_name
            for subset in config.spec.subsets
            for address in (*subset.addresses, *subset.not_ready_addresses)
        }
    return sorted(named - {""})


def listed_endpoints(
    configs: Iterable[Config[Any]],
    ports: tuple[ServicePort, ...],
    find_pod: FindPod,
    network_of: NetworkOf,
    locality_of_node: LocalityOfNode,
) -> list[Endpoint]:
    """Return the endpoints of a service with `ports`; if there are EndpointSlices, Endpoints are ignored.

    A listed port belongs to the service port of the same name. Labels and identity come from the pod that
    `targetRef` names, else from the pod at the address. If it is not known, the endpoint has its network and,
    if the node is known, its locality.
    """
    documents = sorted(configs, key=lambda config: config.key)
    slices = [config for config in documents if config.group_kind == ENDPOINT_SLICE]
    found: list[Endpoint] = []
    for config in slices or documents:
        listed = _of_slice if config.group_kind == ENDPOINT_SLICE else _of_endpoints
        found.extend(listed(config, ports, find_pod))
    placed = (_on_node(endpoint, locality_of_node) for endpoint in found)
    return [_on_network(endpoint, network_of) for endpoint in placed]


def _on_node(endpoint: Endpoint, locality_of_node: LocalityOfNode) -> Endpoint:
    """Return the endpoint with its node's locality, unless its pod or the listing gives a region."""
    node = locality_of_node(endpoint.node_name) if endpoint.node_name else None
    if endpoint.locality.region or node is None:
        return endpoint
    topology = {REGION_LABEL: node.region, ZONE_LABEL: node.zone, SUBZONE_LABEL: node.subzone}
    labels = {**dict(endpoint.labels), **{key: value for key, value in topology.items() if value}}
    return replace(endpoint, locality=node, labels=tuple(sorted(labels.items())))


def _on_network(endpoint: Endpoint, network_of: NetworkOf) -> Endpoint:
    network = "" if endpoint.network else network_of(endpoint.address)
    if not network:
        return endpoint
    labels = tuple(sorted({**dict(endpoint.labels), NETWORK_LABEL: network}.items()))
    return replace(endpoint, network=network, labels=labels)


def _of_slice(config: Config[Any], ports: tuple[ServicePort, ...], find_pod: FindPod) -> Iterable[Endpoint]:
    spec: kubernetes.EndpointSlice = config.spec
    numbers = {port.name: port.port for port in spec.ports if port.port is not None}
    for endpoint in spec.endpoints:
        if endpoint.addresses:
            address = endpoint.addresses[0]
            yield _endpoint(
                config,
                address,
                numbers,
                ports,
                find_pod(_pod_reference(config, address, endpoint.target_ref)),
                _health(endpoint.conditions),
                endpoint.zone,
                endpoint.node_name,
            )


def _of_endpoints(
    config: Config[Any], ports: tuple[ServicePort, ...], find_pod: FindPod
) -> Iterable[Endpoint]:
    spec: kubernetes.Endpoints = config.spec
    for subset in spec.subsets:
        numbers = {port.name: port.port for port in subset.ports}
        for addresses, health in (
            (subset.addresses, HealthStatus.HEALTHY),
            (subset.not_ready_addresses, HealthStatus.UNHEALTHY),
        ):
            for address in addresses:
                pod = find_pod(_pod_reference(config, address.ip, address.target_ref))
                yield _endpoint(config, address.ip, numbers, ports, pod, health, "", address.node_name)


def _health(conditions: kubernetes.EndpointConditions) -> HealthStatus:
    """https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions."""
    if conditions.ready is not False:
        return HealthStatus.HEALTHY
    if conditions.terminating:
        return HealthStatus.DRAINING if conditions.serving else HealthStatus.TERMINATING
    return HealthStatus.UNHEALTHY


def _endpoint(
    config: Config[Any],
    address: str,
    numbers: dict[str, int],
    ports: tuple[ServicePort, ...],
    pod: Workload | None,
    health: HealthStatus,
    zone: str,
    node_name: str,
) -> Endpoint:
    served = tuple((port.name, numbers[port.name]) for port in ports if port.name in numbers)
    known = endpoint_of(replace(pod, address=address), (), config.namespace) if pod is not None else None
    if known is None:
        return Endpoint(
            address=address,
            ports=served,
            labels=((ZONE_LABEL, zone),) if zone else (),
            locality=Locality(zone=zone),
            namespace=config.namespace,
            node_name=node_name,
            health=health,
            origin=config.origin,
        )
    locality = known.locality if known.locality.zone or not zone else replace(known.locality, zone=zone)
    return replace(known, ports=served, health=health, locality=locality)
