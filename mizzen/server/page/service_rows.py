"""The services of the mesh, as rows of the page."""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.config.diagnostics import Origin
from mizzen.explain.mesh_graph import destination_rule_of, protection
from mizzen.mesh.service import Service
from mizzen.mesh.snapshot import Mesh


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A row of the list of services."""

    hostname: str
    namespace: str
    ports: tuple[str, ...]
    endpoints: int
    protection: str
    external: bool
    origins: tuple[Origin, ...]


def service_rows(mesh: Mesh, words: str) -> list[ServiceRow]:
    """Return the services with `words` in their host or namespace, sorted by host."""
    words = words.strip().lower()
    services = sorted(mesh.registry.services.values(), key=lambda each: (each.hostname, each.namespace))
    return [
        _row(mesh, service)
        for service in services
        if words in f"{service.hostname} {service.namespace}".lower() and not service.is_alias
    ]


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
