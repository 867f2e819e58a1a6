"""The endpoints of a service, from all documents that name some."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mizzen.config.document import Config
from mizzen.mesh.service import Endpoint, HealthStatus, Resolution, Service
from mizzen.mesh.services.declarations import DNS_RESOLUTIONS, ServiceDeclaration
from mizzen.mesh.services.kubernetes_endpoints import (
    FindPod,
    LocalityOfNode,
    NetworkOf,
    listed_endpoints,
)
from mizzen.mesh.services.workloads import Workload

WorkloadsOf = Callable[[str, Mapping[str, str]], Iterable[Workload]]
"""Finds the workloads of a namespace that have all labels of a selector."""


def pool_endpoints(
    service: Service,
    declarations: Sequence[ServiceDeclaration],
    *,
    workloads_of: WorkloadsOf,
    listings: Sequence[Config[Any]],
    find_pod: FindPod,
    network_of: NetworkOf,
    locality_of_node: LocalityOfNode,
) -> tuple[Endpoint, ...]:
    """Return the endpoints of `service`, which was merged from `declarations` (in their order).

    Each declaration contributes the endpoints that it lists, then the workloads that it selects, sorted by
    kind, namespace and name. A Kubernetes Service with EndpointSlices or Endpoints selects no pods. The ports
    of a DNS service are matched with the merged service's ports by number, those of other services by name.
    """
    found: dict[str, list[Endpoint]] = {}
    in_order: list[Endpoint] = []
    for declaration in declarations:
        own = list(declaration.endpoints)
        if declaration.service.from_kubernetes and listings:
            own += listed_endpoints(
                listings, declaration.served_ports, find_pod, network_of, locality_of_node
            )
        if declaration.selector:
            own += _selected(declaration, workloads_of, without_pods=bool(listings))
        if service.resolution in DNS_RESOLUTIONS:
            own = _joined_by_number(own, declaration.service, service)
        for endpoint in own:
            # Endpoints are compared only with those at the same address: hashing whole endpoints costs more.
            same_address = found.setdefault(endpoint.address, [])
            if endpoint not in same_address:
                same_address.append(endpoint)
                in_order.append(endpoint)
    if service.resolution is Resolution.DNS_ROUND_ROBIN:
        return _first_of_each_port(in_order)
    return tuple(in_order)


def _selected(
    declaration: ServiceDeclaration, workloads_of: WorkloadsOf, *, without_pods: bool
) -> list[Endpoint]:
    assert declaration.selector is not None
    config = declaration.config
    even_unready = declaration.service.from_kubernetes and config.spec.spec.publish_not_ready_addresses
    hides_pods = without_pods and declaration.service.from_kubernetes
    endpoints: list[Endpoint] = []
    workloads = sorted(workloads_of(config.namespace, declaration.selector), key=Workload.order)
    for workload in workloads:
        if (workload.is_pod and hides_pods) or not declaration.takes(workload):
            continue
        endpoint = declaration.endpoint_of(workload)
        if endpoint is None:
            continue
        endpoints.append(replace(endpoint, health=HealthStatus.HEALTHY) if even_unready else endpoint)
    if len(declaration.selected) > 2 * len(workloads) + 8:
        kept = {
            workload: declaration.selected[workload]
            for workload in workloads
            if workload in declaration.selected
        }
        declaration.selected.clear()
        declaration.selected.update(kept)
    return endpoints


def _joined_by_number(endpoints: list[Endpoint], declared: Service, merged: Service) -> list[Endpoint]:
    """Rename the ports of the endpoints to the names that the merged service gives to the same numbers."""
    names: dict[str, str] = {}
    for port in declared.ports:
        same = merged.port(port.number)
        if same is not None:
            names[port.name] = same.name
    if all(name == new for name, new in names.items()):
        return endpoints
    return [
        replace(
            endpoint,
            ports=tuple((names[name], number) for name, number in endpoint.ports if name in names),
        )
        for endpoint in endpoints
    ]


def _first_of_each_port(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Keep only the first endpoint for each port: a logical DNS cluster has one."""
    served: set[str] = set()
    kept: list[Endpoint] = []
    for endpoint in endpoints:
        ports = tuple((name, number) for name, number in endpoint.ports if name not in served)
        if ports:
            served.update(name for name, _ in ports)
            kept.append(endpoint if ports == endpoint.ports else replace(endpoint, ports=ports))
    return tuple(kept)
