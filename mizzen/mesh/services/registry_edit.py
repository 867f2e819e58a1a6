"""Changing the registry: only what a changed document affects is made again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any, Final

from mizzen.config.document import Config, ConfigKey
from mizzen.config.group_kinds import NODE, POD, SERVICE, SERVICE_ENTRY, WORKLOAD_ENTRY
from mizzen.mesh.hosts import HostIndex, is_wildcard
from mizzen.mesh.service import Endpoint, EndpointPool, Resolution, Service
from mizzen.mesh.services.address_allocation import AddressAllocation, SlotRequest
from mizzen.mesh.services.aliases import Aliases
from mizzen.mesh.services.declarations import (
    ServiceDeclaration,
    declare_services,
    hosts_declared,
    merge_declarations,
)
from mizzen.mesh.services.endpoint_pools import pool_endpoints
from mizzen.mesh.services.kubernetes_endpoints import PodReference, nodes_of, pods_of, service_name_of
from mizzen.mesh.services.registry import LabelKey, Registry, ServiceKey
from mizzen.mesh.services.shared_hosts import join
from mizzen.mesh.services.workloads import Workload, workload_from_entry, workload_from_pod
from mizzen.mesh.topology import node_locality

_values: Final = attrgetter(*(field.name for field in fields(Service) if field.name != "shared"))


def _same(left: Service | None, right: Service | None) -> bool:
    """Return True if two services agree in every field, and so do the declared
    services that they are joined from."""
    if left is None or right is None:
        return left is right
    if _values(left) != _values(right):
        return False
    if left.shared is None and right.shared is None:
        return True
    return len(left.declared) == len(right.declared) and all(map(_same, left.declared, right.declared))


class RegistryEdit:
    """Takes changed documents one by one, and makes the resulting registry.

    After `finish`, `changed_services` and `changed_pools` hold the keys of all new objects.
    """

    def __init__(self, base: Registry) -> None:
        self._base = base
        self._settings = base.settings
        self._declarations = base.declarations.edit()
        self._selectors = base.selectors.edit()
        self._workloads = base.workloads.edit()
        self._workloads_by_key = base.workloads_by_key.edit()
        self._pods = base.pods.edit()
        self._listings = base.listings.edit()
        self._listed = base.listed.edit()
        self._nodes = base.nodes.edit()
        self._pods_on_node = base.pods_on_node.edit()
        self._listed_on_node = base.listed_on_node.edit()
        self._services = base.services.edit()
        self._pools = base.pools.edit()
        self._by_address = base.by_address.edit()
        self._node_aware = base.node_aware.edit()
        self._distributing = base.distributing.edit()
        self._diagnostics = base.diagnostics.edit()
        # Dictionaries serve as sets: their order does not depend on string hashes.
        self._dirty_services: dict[ServiceKey, None] = {}
        self._dirty_pools: dict[ServiceKey, None] = {}
        self.changed_services: dict[ServiceKey, None] = {}
        self.changed_pools: dict[ServiceKey, None] = {}

    def change(self, old: Config[Any] | None, new: Config[Any] | None) -> None:
        """Take over that document `old` became `new`; None: it did not exist, or was removed."""
        config = new if new is not None else old
        assert config is not None
        if config.group_kind in (SERVICE_ENTRY, SERVICE):
            self._change_declarations(old, new)
        elif config.group_kind in (WORKLOAD_ENTRY, POD):
            self._change_workload(config.key, new)
        elif config.group_kind == NODE:
            self._change_node(config.name, new)
        else:
            self._change_listing(old, new)

    def _change_declarations(self, old: Config[Any] | None, new: Config[Any] | None) -> None:
        if old is not None:
            for host in hosts_declared(old, self._settings):
                key = (old.namespace, host)
                declaration = self._declarations.get(key).get(old.key)
                if declaration is not None:
                    self._declarations.discard(key, old.key)
                    self._dirty_services[key] = None
                    self._forget_selector(key, declaration)
        if new is not None:
            for declaration in declare_services(new, self._settings):
                key = declaration.service.key
                self._declarations.put(key, new.key, declaration)
                self._dirty_services[key] = None
                if declaration.selector:
                    self._selectors.put(self._rarest(key[0], declaration.selector), key, None)

    def _rarest(self, namespace: str, selector: Mapping[str, str]) -> LabelKey:
        """Return the label of the selector that has the fewest services."""
        labels = [(namespace, name, value) for name, value in selector.items()]
        return min(labels, key=lambda label: len(self._selectors.get(label)))

    def _forget_selector(self, key: ServiceKey, gone: ServiceDeclaration) -> None:
        if not gone.selector:
            return
        for name, value in gone.selector.items():
            self._selectors.discard((key[0], name, value), key)
        for declaration in self._declarations.get(key).values():
            if declaration.selector:
                self._selectors.put(self._rarest(key[0], declaration.selector), key, None)

    def _change_workload(self, key: ConfigKey, new: Config[Any] | None) -> None:
        gone = self._workloads_by_key.get(key)
        if gone is not None:
            self._workloads_by_key.discard(key)
            for name, value in gone.labels.items():
                self._workloads.discard((key.namespace, name, value), key)
            self._workload_touches(gone)
            if gone.is_pod:
                for address in gone.addresses:
                    self._pods.discard(address, key)
                if gone.node_name:
                    self._pods_on_node.discard(gone.node_name, key)
        if new is None:
            return
        if new.group_kind == POD:
            workload = workload_from_pod(new, self._settings, self._nodes.get(new.spec.spec.node_name))
        else:
            workload = workload_from_entry(new, self._settings)
        self._workloads_by_key.put(key, workload)
        for name, value in workload.labels.items():
            self._workloads.put((key.namespace, name, value), key, workload)
        if workload.is_pod:
            for address in workload.addresses:
                self._pods.put(address, key, workload)
            if workload.node_name:
                self._pods_on_node.put(workload.node_name, key, new)
        self._workload_touches(workload)

    def _change_node(self, name: str, new: Config[Any] | None) -> None:
        before = self._nodes.get(name)
        now = None if new is None else node_locality(new.labels)
        if now == before:
            return
        if now is None:
            self._nodes.discard(name)
        else:
            self._nodes.put(name, now)
        for key, pod in list(self._pods_on_node.get(name).items()):
            self._change_workload(key, pod)
        for service in self._listed_on_node.get(name).values():
            self._dirty_pools[self._kubernetes_key(*service)] = None

    def _workload_touches(self, workload: Workload) -> None:
        namespace = workload.key.namespace
        for name, value in workload.labels.items():
            for key in self._selectors.get((namespace, name, value)):
                self._dirty_pools[key] = None
        if workload.is_pod:
            references: tuple[PodReference, ...] = (workload.key, *workload.addresses)
            for reference in references:
                for service_namespace, service_name in self._listed.get(reference).values():
                    self._dirty_pools[self._kubernetes_key(service_namespace, service_name)] = None

    def _kubernetes_key(self, namespace: str, name: str) -> ServiceKey:
        domain = f".{self._settings.domain}" if self._settings.domain else ""
        return (namespace, f"{name}.{namespace}.svc{domain}")

    def _change_listing(self, old: Config[Any] | None, new: Config[Any] | None) -> None:
        for config, present in ((old, False), (new, True)):
            if config is None:
                continue
            service = (config.namespace, service_name_of(config))
            for pod in pods_of(config):
                if present:
                    self._listed.put(pod, config.key, service)
                else:
                    self._listed.discard(pod, config.key)
            for node in nodes_of(config):
                if present:
                    self._listed_on_node.put(node, config.key, service)
                else:
                    self._listed_on_node.discard(node, config.key)
            if present:
                self._listings.put(service, config.key, config)
            else:
                self._listings.discard(service, config.key)
            self._dirty_pools[self._kubernetes_key(*service)] = None

    def finish(self) -> Registry:
        """Return the registry after the changes; the same object if there were none."""
        merged = {key: self._merge(key) for key in self._dirty_services}
        allocation = self._allocate(merged)
        aliases = self._resolve_aliases(merged)
        for key in merged:
            self._replace_service(key, merged[key], allocation, aliases)
        for host in (
            sorted(aliases.differing(self._base.aliases)) if aliases is not self._base.aliases else ()
        ):
            for service in self._base.hosts.get(host) or ():
                if service.key not in merged:
                    self._replace_service(service.key, self._services.get(service.key), allocation, aliases)
        if allocation is not self._base.allocation:
            for key in allocation.differing(self._base.allocation):
                if key not in merged:
                    self._replace_service(key, self._services.get(key), allocation, aliases)
        for key in self._dirty_services | self._dirty_pools:
            self._replace_pool(key)
        return self._finished(allocation, aliases)

    def _finished(self, allocation: AddressAllocation, aliases: Aliases) -> Registry:
        hosts = self._base.hosts.updated(self._changed_hosts())
        return Registry(
            settings=self._settings,
            declarations=self._declarations.finish(),
            selectors=self._selectors.finish(),
            workloads=self._workloads.finish(),
            workloads_by_key=self._workloads_by_key.finish(),
            pods=self._pods.finish(),
            listings=self._listings.finish(),
            listed=self._listed.finish(),
            nodes=self._nodes.finish(),
            pods_on_node=self._pods_on_node.finish(),
            listed_on_node=self._listed_on_node.finish(),
            services=self._services.finish(),
            pools=self._pools.finish(),
            hosts=hosts,
            by_namespace=self._changed_namespaces(),
            by_address=self._by_address.finish(),
            allocation=allocation,
            aliases=aliases,
            node_aware=self._node_aware.finish(),
            distributing=self._distributing.finish(),
            diagnostics=self._diagnostics.finish(),
        )

    def _changed_namespaces(self) -> dict[str, HostIndex[Service]]:
        changes: dict[str, dict[str, Service | None]] = {}
        for namespace, host in self.changed_services:
            changes.setdefault(namespace, {})[host] = self._services.get((namespace, host))
        return HostIndex.patched(self._base.by_namespace, changes)

    def _changed_hosts(self) -> dict[str, tuple[Service, ...] | None]:
        gone_or_new: dict[str, dict[str, Service]] = {}
        for namespace, host in self.changed_services:
            if host not in gone_or_new:
                known = self._base.hosts.get(host) or ()
                gone_or_new[host] = {service.namespace: service for service in known}
            service = self._services.get((namespace, host))
            if service is None:
                gone_or_new[host].pop(namespace, None)
            else:
                gone_or_new[host][namespace] = service
        return {
            host: tuple(sorted(services.values(), key=attrgetter("creation"))) or None
            for host, services in gone_or_new.items()
        }

    def _sorted_declarations(self, key: ServiceKey) -> list[ServiceDeclaration]:
        return sorted(self._declarations.get(key).values(), key=ServiceDeclaration.order)

    def _merge(self, key: ServiceKey) -> Service | None:
        declarations = self._sorted_declarations(key)
        if not declarations:
            self._diagnostics.discard(key)
            return None
        service, ignored = merge_declarations(declarations)
        if ignored:
            self._diagnostics.put(key, ignored)
        else:
            self._diagnostics.discard(key)
        return service

    def _allocate(self, merged: Mapping[ServiceKey, Service | None]) -> AddressAllocation:
        """Allocate again if a host got or lost a request for an address, or if the age of one changed."""
        gone: list[SlotRequest] = []
        new: list[SlotRequest] = []
        for key, service in merged.items():
            before, now = _slot_requests(self._base.services.get(key)), _slot_requests(service)
            gone.extend(request for request in before if request not in now)
            new.extend(request for request in now if request not in before)
        return self._base.allocation.updated(gone, new) if gone or new else self._base.allocation

    def _resolve_aliases(self, merged: Mapping[ServiceKey, Service | None]) -> Aliases:
        base = self._base.aliases
        if not any(key[1] in base.given or (one is not None and one.is_alias) for key, one in merged.items()):
            return base
        given = dict(base.given)
        for key, service in merged.items():
            if service is not None and service.is_alias:
                given[key[1]] = (key[0], service.alias_of)
            elif given.get(key[1], ("",))[0] == key[0]:
                del given[key[1]]
        return base if given == base.given else Aliases.resolve(given)

    def _replace_service(
        self, key: ServiceKey, service: Service | None, allocation: AddressAllocation, aliases: Aliases
    ) -> None:
        if service is not None:
            service = _completed(service, allocation, aliases)
        before = self._services.get(key)
        if _same(before, service):
            return
        self.changed_services[key] = None
        self._node_aware.discard(key)
        self._distributing.discard(key)
        if service is None:
            self._services.discard(key)
            return
        self._services.put(key, service)
        if service.internal_traffic_policy_local or service.traffic_distribution == "PreferSameNode":
            self._node_aware.put(key, None)
        if service.traffic_distribution:
            self._distributing.put(key, None)

    def _replace_pool(self, key: ServiceKey) -> None:
        before = self._pools.get(key)
        service = self._services.get(key)
        if service is None:
            if before is not None:
                self._pools.discard(key)
                self._readdress(key, before, None)
                self.changed_pools[key] = None
            return
        endpoints = pool_endpoints(
            service,
            self._sorted_declarations(key),
            workloads_of=self._selected,
            listings=tuple(self._listings.get((key[0], service.name)).values())
            if service.from_kubernetes
            else (),
            find_pod=lambda reference: self._pod(key[0], reference),
            network_of=self._settings.network_of,
            locality_of_node=self._nodes.get,
        )
        if before is not None and before.endpoints == endpoints:
            return
        pool = EndpointPool(endpoints)
        self._pools.put(key, pool)
        self._readdress(key, before, pool)
        self.changed_pools[key] = None

    def _selected(self, namespace: str, selector: Mapping[str, str]) -> Iterable[Workload]:
        """Return the workloads of `namespace` with all labels of `selector`; none if
        the selector is empty."""
        buckets = [self._workloads.get((namespace, name, value)) for name, value in selector.items()]
        if not buckets:
            return ()
        smallest = min(buckets, key=len)
        if len(buckets) == 1:
            return smallest.values()
        return [workload for key, workload in smallest.items() if all(key in bucket for bucket in buckets)]

    def _pod(self, namespace: str, reference: PodReference) -> Workload | None:
        if isinstance(reference, ConfigKey):
            return self._workloads_by_key.get(reference)
        for key, pod in sorted(self._pods.get(reference).items()):
            if key.namespace == namespace:
                return pod
        return None

    def _readdress(self, key: ServiceKey, before: EndpointPool | None, after: EndpointPool | None) -> None:
        old = _by_address(before)
        new = _by_address(after)
        for address in old.keys() - new.keys():
            self._by_address.discard(address, key)
        for address, endpoints in new.items():
            if old.get(address) != endpoints:
                self._by_address.put(address, key, endpoints)


def _by_address(pool: EndpointPool | None) -> dict[str, tuple[Endpoint, ...]]:
    found: dict[str, tuple[Endpoint, ...]] = {}
    for endpoint in pool.endpoints if pool is not None else ():
        found[endpoint.address] = (*found.get(endpoint.address, ()), endpoint)
    return found


def _slot_requests(service: Service | None) -> dict[SlotRequest, None]:
    """Return a request, with its age, for each declared service that needs an allocated address."""
    requests: dict[SlotRequest, None] = {}
    for one in service.declared if service is not None else ():
        if _wants_address(one):
            equal = sum(request[:2] == (one.creation, one.key) for request in requests)
            requests[one.creation, one.key, equal] = None
    return requests


def _completed(service: Service, allocation: AddressAllocation, aliases: Aliases) -> Service:
    """Return the service with its allocated addresses and its aliases, which depend on other services."""
    declared = [_completed_one(one, allocation, aliases) for one in service.declared]
    if all(one is before for one, before in zip(declared, service.declared, strict=True)):
        return service
    return join(declared)


def _completed_one(service: Service, allocation: AddressAllocation, aliases: Aliases) -> Service:
    addresses = allocation.addresses(service.key) if _wants_address(service) else ()
    names = () if service.is_alias else aliases.of.get(service.hostname, ())
    alias_of = aliases.targets.get(service.hostname, "") if service.is_alias else ""
    if (addresses, names, alias_of) == (
        service.auto_allocated_addresses,
        service.aliases,
        service.alias_of,
    ):
        return service
    return replace(service, auto_allocated_addresses=addresses, aliases=names, alias_of=alias_of)


def _wants_address(service: Service) -> bool:
    """Return True if an address is allocated to the service: it has a name, is load
    balanced, and has no VIP."""
    return (
        not service.addresses
        and service.resolution not in (Resolution.NONE, Resolution.ALIAS)
        and not is_wildcard(service.hostname)
        and not (service.from_kubernetes and service.mesh_external)
    )
