"""The endpoints of a Kubernetes Service that EndpointSlice and Endpoints documents list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from mizzen.config import kubernetes
from mizzen.config.document import Config
from mizzen.config.group_kinds import ENDPOINT_SLICE
from mizzen.mesh.service import Endpoint, HealthStatus, Locality, ServicePort
from mizzen.mesh.services.workloads import Workload, endpoint_of
from mizzen.mesh.topology import NETWORK_LABEL, REGION_LABEL, SUBZONE_LABEL, ZONE_LABEL

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"

PodByAddress = Callable[[str], Workload | None]
"""Finds the pod that has an address."""

LocalityOfNode = Callable[[str], Locality | None]
"""Finds the locality of the Kubernetes Node of that name; None if no such Node is known."""

NetworkOf = Callable[[str], str]
"""Finds the network of an address; empty if it is unknown."""


def service_name_of(config: Config[Any]) -> str:
    """Return the name of the Service, in the same namespace, whose endpoints the document lists."""
    if config.group_kind == ENDPOINT_SLICE:
        return config.labels.get(SERVICE_NAME_LABEL, "")
    return config.name


def addresses_of(config: Config[Any]) -> Iterable[str]:
    """Return the addresses that the document lists."""
    if config.group_kind == ENDPOINT_SLICE:
        return [endpoint.addresses[0] for endpoint in config.spec.endpoints if endpoint.addresses]
    return [
        address.ip
        for subset in config.spec.subsets
        for address in (*subset.addresses, *subset.not_ready_addresses)
    ]


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
    pod_of: PodByAddress,
    network_of: NetworkOf,
    locality_of_node: LocalityOfNode,
) -> list[Endpoint]:
    """Return the endpoints of a service with `ports`; if there are EndpointSlices, Endpoints are ignored.

    A listed port belongs to the service port of the same name. Labels and identity come from the pod at the
    address, if it is known; otherwise only the network and, if the node is known, the locality are.
    """
    documents = sorted(configs, key=lambda config: config.key)
    slices = [config for config in documents if config.group_kind == ENDPOINT_SLICE]
    found: list[Endpoint] = []
    for config in slices or documents:
        listed = _of_slice if config.group_kind == ENDPOINT_SLICE else _of_endpoints
        found.extend(listed(config, ports, pod_of))
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


def _of_slice(
    config: Config[Any], ports: tuple[ServicePort, ...], pod_of: PodByAddress
) -> Iterable[Endpoint]:
    spec: kubernetes.EndpointSlice = config.spec
    numbers = {port.name: port.port for port in spec.ports if port.port is not None}
    for endpoint in spec.endpoints:
        if endpoint.addresses:
            health = _health(endpoint.conditions)
            yield _endpoint(
                config,
                endpoint.addresses[0],
                numbers,
                ports,
                pod_of,
                health,
                endpoint.zone,
                endpoint.node_name,
            )


def _of_endpoints(
    config: Config[Any], ports: tuple[ServicePort, ...], pod_of: PodByAddress
) -> Iterable[Endpoint]:
    spec: kubernetes.Endpoints = config.spec
    for subset in spec.subsets:
        numbers = {port.name: port.port for port in subset.ports}
        for addresses, health in (
            (subset.addresses, HealthStatus.HEALTHY),
            (subset.not_ready_addresses, HealthStatus.UNHEALTHY),
        ):
            for address in addresses:
                yield _endpoint(config, address.ip, numbers, ports, pod_of, health, "", address.node_name)


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
    pod_of: PodByAddress,
    health: HealthStatus,
    zone: str,
    node_name: str,
) -> Endpoint:
    served = tuple((port.name, numbers[port.name]) for port in ports if port.name in numbers)
    pod = pod_of(address)
    known = endpoint_of(pod, (), config.namespace) if pod is not None else None
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
    return replace(known, ports=served, health=health, locality=locality, address=address)
