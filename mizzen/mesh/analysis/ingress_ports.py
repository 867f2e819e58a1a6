"""Checks whether clients call the ports of a Sidecar's ingress."""

from __future__ import annotations

from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.scope.sidecars import SidecarConfig, selector_of
from mizzen.mesh.service import Protocol, Service, ServicePort


def check_ingress_ports(mesh: AnalysedMesh, sidecar: SidecarConfig, diagnostics: Diagnostics) -> None:
    """Find a listener at a port that clients do not call, where they call a port without a listener
    (MZ0224).

    Clients call a workload at the target port of a service. A listener elsewhere may be right, such as one
    for metrics. It is a likely mistake if its number is that of the service's own port, or if no listener of
    the Sidecar is called.
    """
    numbers = {
        index: listener.port.number
        for index, listener in enumerate(sidecar.spec.ingress)
        if listener.port is not None
    }
    called = _called_ports(mesh, sidecar) if numbers else {}
    unheard = {number: found for number, found in called.items() if number not in numbers.values()}
    targets = {port.number: number for number, (_, port) in unheard.items()}
    uncalled = {index: number for index, number in numbers.items() if number not in called}
    mistaken = {index: number for index, number in uncalled.items() if number in targets}
    if not mistaken and len(unheard) == len(called) > 0:
        mistaken = uncalled
    for index, number in mistaken.items():
        target = targets.get(number, min(unheard))
        service, port = unheard[target]
        diagnostics.warning(
            "MZ0224",
            sidecar,
            ("spec", "ingress", index, "port", "number"),
            f"clients do not call port {number} of these workloads: {service.hostname}:{port.number} "
            f"({service.origins[0]}) leads to port {target}, where there is no listener; write {target}",
            service.origins[0],
        )


def _called_ports(mesh: AnalysedMesh, sidecar: SidecarConfig) -> dict[int, tuple[Service, ServicePort]]:
    """Return the ports at which clients call the workloads that a Sidecar selects, with a service of each.
    Empty for a Sidecar without a selector, as its namespace may have workloads of many kinds."""
    registry = mesh.registry
    found: dict[int, tuple[Service, ServicePort]] = {}
    for workload in registry.workloads_selected(sidecar.namespace, selector_of(sidecar) or {}):
        for address in workload.addresses or (workload.address,):
            for key, endpoints in sorted(registry.by_address.under(address).items()):
                service = registry.services[key]
                for port in service.ports if not service.is_alias else ():
                    for number in filter(None, (endpoint.port_named(port.name) for endpoint in endpoints)):
                        if port.protocol is not Protocol.UDP:
                            found.setdefault(number, (service, port))
    return found
