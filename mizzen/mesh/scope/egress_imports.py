"""The services and VirtualServices that one egress listener of a Sidecar imports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final

from mizzen.config import models
from mizzen.mesh.hosts import HostIndex, is_subset_of
from mizzen.mesh.rules.virtual_service_index import Rules, VirtualServiceIndex, precedence
from mizzen.mesh.rules.virtual_services import MESH, VirtualServiceRule
from mizzen.mesh.scope.visible_services import pick_service
from mizzen.mesh.service import Protocol, Service
from mizzen.mesh.services.registry import Registry
from mizzen.mesh.services.shared_hosts import difference, join, seen_from
from mizzen.mesh.visibility import is_visible
from mizzen.persistent import ChunkedSequence

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class EgressHosts:
    """The `hosts` of an egress listener: pairs (namespace or `*`, host) to import, and pairs to leave out."""

    imported: tuple[tuple[str, str], ...]
    excluded: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, hosts: Iterable[str], namespace: str) -> EgressHosts:
        """Read `namespace/host` entries; `.` is `namespace`, `~` before the namespace (or alone) excludes."""
        imported: list[tuple[str, str]] = []
        excluded: list[tuple[str, str]] = []
        for entry in hosts:
            place, slash, host = entry.partition("/")
            if not slash:
                continue
            into = excluded if place.startswith("~") else imported
            place = place.removeprefix("~") or ANY
            into.append((namespace if place == "." else place, host))
        return cls(tuple(imported), tuple(excluded))

    @property
    def is_everything(self) -> bool:
        """True if the listener imports everything that is visible."""
        return (ANY, ANY) in self.imported and not self.excluded

    def aliases(self, service: Service) -> tuple[str, ...]:
        """Return the imported aliases of a service. The entries of its namespace decide if they import the
        service itself, else the entries for all namespaces."""
        if not service.aliases or self.is_everything:
            return service.aliases
        own = [wide for place, wide in self.imported if place == service.namespace]
        if not any(is_subset_of(service.hostname, wide) for wide in own):
            own = [wide for place, wide in self.imported if place == ANY]
        return tuple(alias for alias in service.aliases if any(is_subset_of(alias, wide) for wide in own))

    def excludes(self, namespace: str, host: str) -> bool:
        """Return True if `host` in `namespace` is left out."""
        return any(place in (ANY, namespace) and is_subset_of(host, wide) for place, wide in self.excluded)


def port_to_match(listener: models.IstioEgressListener) -> int:
    """Return the port that services must have to be imported; 0 for any port, as for an HTTP proxy's port."""
    port = listener.port
    if port is None or Protocol.parse(port.protocol) is Protocol.HTTP_PROXY:
        return 0
    return port.number


class Trimmer:
    """Makes services with fewer or more ports. It returns the same object for the same parts.

    The next scope gets the services made for the last one, so that unchanged services stay the same objects.
    """

    def __init__(self, known: dict[tuple[object, ...], Service] | None = None) -> None:
        self._known = known or {}
        self.made: dict[tuple[object, ...], Service] = {}

    def only(self, service: Service, numbers: Iterable[int]) -> Service | None:
        """Return the service with only these of its ports, or None if it has none of them."""
        wanted = frozenset(numbers)
        return self._changed(service, lambda one: self._only(one, wanted))

    def _only(self, service: Service, wanted: frozenset[int]) -> Service | None:
        ports = tuple(port for port in service.ports if port.number in wanted)
        if len(ports) == len(service.ports):
            return service
        if not ports:
            return None
        return self._remembered((service, ports), lambda: replace(service, ports=ports))

    def known_as(self, service: Service, aliases: tuple[str, ...]) -> Service:
        """Return the service with only these of its aliases."""
        if service.aliases == aliases:
            return service

        def renamed(one: Service) -> Service:
            return self._remembered((one, "known as", aliases), lambda: replace(one, aliases=aliases))

        return self._changed(service, renamed) or service

    def _changed(self, service: Service, change: Callable[[Service], Service | None]) -> Service | None:
        """Return the service merged from the declared services after `change` was applied to each; None if
        nothing is left."""
        if service.shared is None:
            return change(service)
        left = tuple(one for each in service.declared if (one := change(each)) is not None)
        if left == service.declared or not left:
            return service if left else None
        return self._remembered((service, left), lambda: join(left))

    def merged(self, service: Service, other: Service) -> Service:
        """Return `service` with the ports of `other` that it lacks, if the two are equal otherwise."""
        numbers = {port.number for port in service.ports}
        new = tuple(port for port in other.ports if port.number not in numbers)
        if not new or difference(service, other):
            return service
        return self._remembered((service, new, other), lambda: replace(service, ports=service.ports + new))

    def _remembered(self, key: tuple[object, ...], make: Callable[[], Service]) -> Service:
        found = self.made.get(key)
        if found is None:
            found = self._known.get(key) or make()
            self.made[key] = found
        return found


def import_services(
    hosts: EgressHosts,
    registry: Registry,
    namespace: str,
    port: int,
    trimmer: Trimmer,
) -> list[Service]:
    """Return the services that the listener imports, by `Service.precedence`.

    Each hostname has the service of one namespace, trimmed to `port` unless that is 0, and with its imported
    aliases (Istio's IstioEgressListenerWrapper.selectServices).
    """
    found: dict[str, dict[Service, Service]] = {}
    for place, wide in hosts.imported:
        for host, service in _services_under(place, wide, registry):
            seen = seen_from(service, namespace)
            if seen is None or hosts.excludes(service.namespace, host):
                continue
            trimmed = trimmer.only(seen, (port,)) if port else seen
            if trimmed is not None:
                found.setdefault(host, {})[service] = trimmer.known_as(trimmed, hosts.aliases(trimmed))
    in_order = attrgetter("precedence")
    chosen = [
        pick_service(sorted(candidates.values(), key=in_order), namespace) for candidates in found.values()
    ]
    return sorted((service for service in chosen if service is not None), key=in_order)


def _services_under(place: str, wide: str, registry: Registry) -> Iterator[tuple[str, Service]]:
    if place != ANY:
        index = registry.by_namespace.get(place)
        yield from index.under(wide) if index is not None else ()
        return
    for host, services in registry.hosts.under(wide):
        for service in services:
            yield host, service


def import_virtual_services(hosts: EgressHosts, index: VirtualServiceIndex, namespace: str) -> Rules:
    """Return the rules for sidecars that the listener imports, in the order in which `namespace` sees them.

    A rule is imported if one of its hosts matches an entry for its namespace, in either direction, and that
    host is not excluded (Istio's SelectVirtualServices).
    """
    if hosts.is_everything:
        return index.for_gateway(MESH, namespace)
    found: dict[VirtualServiceRule, None] = {}
    for place, wide in hosts.imported:
        known = index.mesh_hosts if place == ANY else index.mesh_hosts_of.get(place)
        for host, rules in known.matching(wide) if known is not None else ():
            for rule in rules:
                if is_visible(rule.seen_by, namespace) and not hosts.excludes(rule.config.namespace, host):
                    found[rule] = None
    return ChunkedSequence(sorted(found, key=lambda rule: precedence(rule, namespace)))


def destination_services(
    rules: Iterable[VirtualServiceRule], registry: HostIndex[tuple[Service, ...]], namespace: str
) -> Iterator[tuple[Service, set[int]]]:
    """Yield the services to which imported rules route, with the ports (0: any). An alias gives its service.

    Of services in several namespaces, the one in the own namespace comes first, then a Kubernetes Service,
    then the oldest (Istio's SidecarScope.collectImportedServices).
    """
    for rule in rules:
        for host, ports in rule.destinations(namespace).items():
            service = best_service(registry.get(host) or (), namespace)
            if service is not None and service.is_alias:
                service = best_service(registry.get(service.alias_of) or (), namespace)
            if service is not None:
                yield service, ports


def best_service(candidates: Iterable[Service], namespace: str) -> Service | None:
    """Return the service that a destination's host means for `namespace`: its own, else the best it sees."""
    seen: list[Service] = []
    for service in candidates:
        part = seen_from(service, namespace)
        if part is not None or service.namespace == namespace:
            seen.append(part or service)
    return pick_service(seen, namespace)
