"""Checks for documents that conflict about a host, a workload or a port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

from mizzen.config.group_kinds import SERVICE_ENTRY
from mizzen.incremental import Grouped
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics, seen_together
from mizzen.mesh.rules.virtual_service_index import HostRules
from mizzen.mesh.scope.sidecars import SidecarConfig, selector_of
from mizzen.mesh.service import Protocol, Resolution, Service
from mizzen.mesh.services.registry import ServiceKey
from mizzen.mesh.services.workloads import Workload

_ELSEWHERE: Final = frozenset({Resolution.NONE, Resolution.ALIAS})
"""Connections to these go to their original address, or through the listeners of a different service."""


def check_host_of_virtual_services(host: str, rules: HostRules, diagnostics: Diagnostics) -> None:
    """IST0109: of two VirtualServices for a host, sidecars apply only one."""
    for rule, earlier in seen_together(rules, lambda one: one.seen_by):
        diagnostics.error(
            "IST0109",
            rule.config,
            ("spec", "hosts"),
            f"host {host} has a VirtualService for sidecars at {earlier.config.origin} already, and only "
            "one takes effect; put their rules into one, or delegate",
            earlier.config.origin,
        )


def check_sidecars(
    mesh: AnalysedMesh, namespace: str, configs: Sequence[SidecarConfig], diagnostics: Diagnostics
) -> None:
    """IST0110: two Sidecars for one workload; IST0111: several for a whole namespace."""
    plain = [config for config in configs if selector_of(config) is None]
    for config in plain[1:]:
        diagnostics.error(
            "IST0111",
            config,
            ("spec",),
            f"namespace {namespace} has a Sidecar without workloadSelector at {plain[0].origin} already, "
            "and only the oldest takes effect; keep one",
            plain[0].origin,
        )
    chosen: dict[Workload, SidecarConfig] = {}
    for config in configs:
        for workload in mesh.registry.workloads_selected(namespace, selector_of(config) or {}):
            earlier = chosen.setdefault(workload, config)
            if earlier is not config:
                diagnostics.error(
                    "IST0110",
                    config,
                    ("spec", "workloadSelector"),
                    f"workload {workload.key.name} ({workload.origin}) is picked by the Sidecar at "
                    f"{earlier.origin} too, and only one takes effect; make the selectors differ",
                    workload.origin,
                    earlier.origin,
                )
                break


def check_protocols(
    mesh: AnalysedMesh, host: str, services: Sequence[Service], diagnostics: Diagnostics
) -> None:
    """IST0177: one port of a host has different protocols."""
    if sum(len(service.declared) for service in services) < 2:
        return
    declarations = [
        declaration
        for service in services
        for declaration in mesh.registry.declarations.under(service.key).values()
        if declaration.config.group_kind == SERVICE_ENTRY
    ]
    declarations.sort(key=lambda one: (one.service.creation[0], one.config.name, one.config.namespace))
    for later, earlier in seen_together(declarations, lambda one: one.service.export_to):
        for index, port in enumerate(later.service.ports):
            other = earlier.service.port(port.number)
            if other is not None and other.protocol is not port.protocol:
                diagnostics.warning(
                    "IST0177",
                    later.config,
                    ("spec", "ports", index, "protocol"),
                    f"port {port.number} of {host} is {port.protocol} here and {other.protocol} at "
                    f"{earlier.config.origin}; give both one protocol",
                    earlier.config.origin,
                )


def services_by_tcp_port(mesh: AnalysedMesh) -> Grouped[ServiceKey, Service, int, tuple[Service, ...]]:
    """Return, by port number, the services that use a TCP port on every address."""
    return Grouped(
        mesh.database, "services by TCP port", mesh.registry.services, lambda _, each: _claims(each)
    )


def _claims(host: Service) -> dict[int, tuple[Service, ...]]:
    claims: dict[int, tuple[Service, ...]] = {}
    for service in host.declared:
        if service.addresses or service.headless or service.resolution in _ELSEWHERE:
            continue
        for port in service.ports:
            # SNI distinguishes TLS services, Host distinguishes HTTP services.
            if port.protocol.is_tcp and not port.protocol.is_tls and port.protocol is not Protocol.UDP:
                claims[port.number] = (*claims.get(port.number, ()), service)
    return claims


def check_tcp_port(
    mesh: AnalysedMesh,
    number: int,
    claims: Mapping[ServiceKey, tuple[Service, ...]],
    diagnostics: Diagnostics,
) -> None:
    """MZ0210: TCP services that cannot be distinguished on the wire."""
    services = sorted(chain.from_iterable(claims.values()), key=lambda one: one.precedence)
    for service, earlier in seen_together(services, lambda one: one.export_to):
        if service.hostname == earlier.hostname:
            continue
        written = mesh.registry.declarations.under(service.key).values()
        diagnostics.warning(
            "MZ0210",
            next(one.config for one in written if one.config.origin in service.origins),
            ("spec", "ports"),
            f"TCP port {number} of {service.hostname} cannot be distinguished from that of "
            f"{earlier.hostname} ({earlier.origins[0]}), which gets all its connections unless clients "
            "capture DNS; give each an address, or another port",
            earlier.origins[0],
        )
