"""The service registry: all services of the mesh and their endpoints, indexed by
everything they are looked up by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.document import Config, ConfigKey
from mizzen.config.group_kinds import (
    ENDPOINT_SLICE,
    ENDPOINTS,
    NODE,
    POD,
    SERVICE,
    SERVICE_ENTRY,
    WORKLOAD_ENTRY,
)
from mizzen.mesh.hosts import HostIndex
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.service import Endpoint, EndpointPool, Locality, Protocol, Service, ServicePort
from mizzen.mesh.services.address_allocation import AddressAllocation
from mizzen.mesh.services.aliases import Aliases
from mizzen.mesh.services.declarations import ServiceDeclaration
from mizzen.mesh.services.kubernetes_endpoints import PodReference
from mizzen.mesh.services.workloads import Workload
from mizzen.mesh.settings import MeshSettings
from mizzen.persistent import LayeredDict, Multimap

ServiceKey = tuple[str, str]
"""A namespace and a hostname."""

LabelKey = tuple[str, str, str]
"""A namespace, and the key and value of one label."""

REGISTRY_KINDS: Final = frozenset(
    {SERVICE_ENTRY, WORKLOAD_ENTRY, SERVICE, ENDPOINTS, ENDPOINT_SLICE, POD, NODE}
)

EMPTY_POOL: Final = EndpointPool()


@dataclass(frozen=True, slots=True)
class ServiceInstance:
    """One port of one service that a proxy's workload serves, at `target_port`."""

    service: Service
    port: ServicePort
    target_port: int
    endpoint: Endpoint


@dataclass(frozen=True, slots=True, eq=False)
class Registry:
    """Services, endpoint pools, and indexes of the documents that they are made from; immutable.

    `selectors` finds services by one label of their selector, and `workloads` finds workloads by each of
    their labels: so a changed workload finds its services, and a changed service its workloads, without a
    look at all. `listings` are Endpoints and EndpointSlices by the Service's namespace and name; `listed`
    finds the listings of a pod, by its name or address. `node_aware` are the services that ask for endpoints
    on the client's node, `distributing` those with a trafficDistribution. `nodes` has the locality of each
    Kubernetes Node; `pods_on_node` and `listed_on_node` find what runs there.
    """

    settings: MeshSettings
    declarations: Multimap[ServiceKey, ConfigKey, ServiceDeclaration] = field(default_factory=Multimap)
    selectors: Multimap[LabelKey, ServiceKey, None] = field(default_factory=Multimap)
    workloads: Multimap[LabelKey, ConfigKey, Workload] = field(default_factory=Multimap)
    workloads_by_key: LayeredDict[ConfigKey, Workload] = field(default_factory=LayeredDict)
    pods: Multimap[str, ConfigKey, Workload] = field(default_factory=Multimap)
    listings: Multimap[tuple[str, str], ConfigKey, Config[Any]] = field(default_factory=Multimap)
    listed: Multimap[PodReference, ConfigKey, tuple[str, str]] = field(default_factory=Multimap)
    nodes: LayeredDict[str, Locality] = field(default_factory=LayeredDict)
    pods_on_node: Multimap[str, ConfigKey, Config[Any]] = field(default_factory=Multimap)
    listed_on_node: Multimap[str, ConfigKey, tuple[str, str]] = field(default_factory=Multimap)
    services: LayeredDict[ServiceKey, Service] = field(default_factory=LayeredDict)
    pools: LayeredDict[ServiceKey, EndpointPool] = field(default_factory=LayeredDict)
    hosts: HostIndex[tuple[Service, ...]] = field(default_factory=HostIndex)
    by_namespace: dict[str, HostIndex[Service]] = field(default_factory=dict)
    by_address: Multimap[str, ServiceKey, tuple[Endpoint, ...]] = field(default_factory=Multimap)
    allocation: AddressAllocation = field(default_factory=AddressAllocation)
    aliases: Aliases = field(default_factory=Aliases)
    node_aware: LayeredDict[ServiceKey, None] = field(default_factory=LayeredDict)
    distributing: LayeredDict[ServiceKey, None] = field(default_factory=LayeredDict)
    diagnostics: LayeredDict[ServiceKey, tuple[Diagnostic, ...]] = field(default_factory=LayeredDict)

    def pool(self, service: Service) -> EndpointPool:
        """Return the endpoints for the service's namespace and hostname; empty if there are none."""
        return self.pools.get(service.key, EMPTY_POOL)


def instances_of(
    proxy: Proxy,
    endpoints_at: Callable[[str], Mapping[ServiceKey, tuple[Endpoint, ...]]],
    service_of: Callable[[ServiceKey], Service],
) -> tuple[ServiceInstance, ...]:
    """Return the services that the workload of `proxy` serves: the oldest service first, then by hostname.

    An endpoint belongs to the proxy if it has one of the proxy's addresses and its service is in the proxy's
    namespace.
    """
    found: list[ServiceInstance] = []
    for address in proxy.ip_addresses:
        for key, endpoints in endpoints_at(address).items():
            if proxy.namespace and key[0] != proxy.namespace:
                continue
            found.extend(_instances(service_of(key), endpoints))
    found.sort(key=lambda instance: (instance.service.creation[0], *reversed(instance.service.key)))
    return tuple(found)


def _instances(service: Service, endpoints: tuple[Endpoint, ...]) -> Iterable[ServiceInstance]:
    ports = service.ports if service.shared is None else _ports_of_all(service)
    for endpoint in endpoints:
        for port in ports:
            target = endpoint.port_named(port.name)
            if target is not None and port.protocol is not Protocol.UDP:
                yield ServiceInstance(service, port, target, endpoint)


def _ports_of_all(service: Service) -> tuple[ServicePort, ...]:
    """Return the ports that any document of a host declares: a workload serves those of its own document."""
    every = (*service.ports, *(port for one in service.declared for port in one.ports))
    return tuple({(port.name, port.number): port for port in reversed(every)}.values())[::-1]
