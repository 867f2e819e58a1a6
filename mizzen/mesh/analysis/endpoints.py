"""Checks for services without endpoints: every call to them gets a 503.

In Kubernetes the cluster itself makes endpoints from a Deployment's pods. Here the user must write where a
service runs, and manifests for Kubernetes do not say it.
"""

from __future__ import annotations

from typing import Any

from mizzen.config.document import Config, FieldPath
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.service import Endpoint, Protocol, Resolution, Service


def check_endpoints(mesh: AnalysedMesh, service: Service, diagnostics: Diagnostics) -> None:
    """Find a service without endpoints, or a port that none of its endpoints serves (MZ0212)."""
    if service.resolution is not Resolution.STATIC:
        return
    endpoints = mesh.endpoints(service).endpoints
    ports = [port.name for port in service.ports if port.protocol is not Protocol.UDP]
    if not endpoints and ports:
        selector = "selector" if service.from_kubernetes else "workloadSelector"
        path: FieldPath = ("spec", selector) if service.selector else ("spec",)
        message = f"has no endpoint, so calls to it fail (503); {_what_to_write(service)}"
        diagnostics.warning("MZ0212", _written(mesh, service), path, f"{service.hostname} {message}")
        return
    for name in ports:
        if not any(endpoint.port_named(name) is not None for endpoint in endpoints):
            message = f"{service.hostname} {_portless(service, name, endpoints[0])}"
            place = ("spec", "ports")
            diagnostics.warning("MZ0212", _written(mesh, service), place, message, endpoints[0].origin)


def _written(mesh: AnalysedMesh, service: Service) -> Config[Any]:
    """Return the document that declares a service, the first if there are several."""
    declarations = mesh.registry.declarations.under(service.key).values()
    return next(one.config for one in declarations if one.config.origin == service.origins[0])


def _what_to_write(service: Service) -> str:
    if service.selector:
        labels = ", ".join(f"{key}: {value}" for key, value in service.selector.items())
        kinds = (
            "a WorkloadEntry" if not service.from_kubernetes else "a WorkloadEntry (or Pod, EndpointSlice)"
        )
        return (
            f"write {kinds} in namespace {service.namespace} with the labels {labels} for each place "
            "where it runs"
        )
    if service.from_kubernetes:
        return "give it a selector that WorkloadEntries fit, or write an EndpointSlice for it"
    return "write its endpoints, or a workloadSelector"


def _portless(service: Service, name: str, endpoint: Endpoint) -> str:
    port = next(port for port in service.ports if port.name == name)
    where = f" ({endpoint.origin})" if endpoint.origin is not None else ""
    return (
        f"has no endpoint that serves its port {port.number}, so calls to it fail (503): {endpoint.address}"
        f"{where} does not say which number its port {port.target_port or name} has; write it there, as in "
        f"ports: {{{name}: 8080}}"
    )
