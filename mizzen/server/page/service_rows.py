"""The services of the mesh as a page lists them, and all about one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mizzen.config.diagnostics import Origin
from mizzen.explain.mesh_graph import destination_rule_of, protection
from mizzen.mesh.service import Endpoint, Service
from mizzen.mesh.snapshot import Mesh


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A line of the list of services."""

    hostname: str
    namespace: str
    ports: tuple[str, ...]
    endpoints: int
    protection: str
    external: bool
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A document that says something of a service."""

    kind: str
    name: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class ServicePage:
    """All about one service."""

    row: ServiceRow
    addresses: tuple[str, ...]
    aliases: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    rules: tuple[RuleRow, ...]


def service_rows(mesh: Mesh, words: str) -> list[ServiceRow]:
    """Return the services with `words` in their host or namespace, sorted by host."""
    words = words.strip().lower()
    services = sorted(mesh.registry.services.values(), key=lambda each: (each.hostname, each.namespace))
    return [
        _row(mesh, service)
        for service in services
        if words in f"{service.hostname} {service.namespace}".lower() and not service.is_alias
    ]


def service_page(mesh: Mesh, namespace: str, hostname: str) -> ServicePage | None:
    """Return all about a service, None if there is none of that host in that namespace."""
    service = mesh.registry.services.get((namespace, hostname))
    if service is None:
        return None
    return ServicePage(
        _row(mesh, service),
        (*service.addresses, *service.auto_allocated_addresses),
        service.aliases,
        mesh.endpoints(service).endpoints,
        tuple(_rules(mesh, service)),
    )


def _row(mesh: Mesh, service: Service) -> ServiceRow:
    return ServiceRow(
        service.hostname,
        service.namespace,
        tuple(f"{port.number} {port.protocol}" for port in service.ports),
        len(mesh.endpoints(service)),
        protection(mesh, service, destination_rule_of(mesh, service)),
        service.mesh_external,
        tuple(mesh.current_origin(origin) for origin in service.origins),
    )


def _rules(mesh: Mesh, service: Service) -> Iterable[RuleRow]:
    merged = destination_rule_of(mesh, service)
    for config in merged.configs if merged is not None else ():
        yield RuleRow("DestinationRule", f"{config.namespace}/{config.name}", config.origin)
    hosts = {service.hostname, *service.aliases}
    covering = {
        rule for host in hosts for _, rules in mesh.virtual_service_index.covering(host) for rule in rules
    }
    for rule in sorted(mesh.virtual_service_index.rules.values(), key=lambda each: each.order):
        if rule in covering or not hosts.isdisjoint(rule.destination_hosts):
            named = f"{rule.config.namespace}/{rule.config.name}"
            yield RuleRow("VirtualService", named, rule.config.origin)
