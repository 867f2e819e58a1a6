"""Services that nothing stands behind: every call to them is answered by 503.

Under Kubernetes the cluster itself makes endpoints of a Deployment's pods. Here somebody has to write down
where a service runs, and manifests that were made for Kubernetes do not.
"""

from __future__ import annotations

from mizzen.config.document import FieldPath
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.findings import Findings
from mizzen.mesh.service import Endpoint, Protocol, Resolution, Service


def check_endpoints(mesh: AnalysedMesh, findings: Findings) -> None:
    """Find services without an endpoint, and ports that none of the endpoints serves (MZ0212)."""
    written = {config.origin: config for kind in ("Service", "ServiceEntry") for config in mesh.configs(kind)}
    for service in mesh.registry.services.values():
        if service.resolution is not Resolution.STATIC or not service.origins:
            continue
        config = written.get(service.origins[0])
        if config is None:
            continue
        endpoints = mesh.endpoints(service).endpoints
        ports = [port.name for port in service.ports if port.protocol is not Protocol.UDP]
        if not ports:
            continue
        if not endpoints:
            selector = "selector" if service.from_kubernetes else "workloadSelector"
            path: FieldPath = ("spec", selector) if service.selector else ("spec",)
            message = f"has no endpoint, so calls to it fail (503); {_what_to_write(service)}"
            findings.warning("MZ0212", config, path, f"{service.hostname} {message}")
            continue
        for name in ports:
            if not any(endpoint.port_named(name) is not None for endpoint in endpoints):
                message = _portless(service, name, endpoints[0])
                message = f"{service.hostname} {message}"
                findings.warning("MZ0212", config, ("spec", "ports"), message, endpoints[0].origin)


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
