"""What the workloads behind a port accept, what clients speak to it, and whether the two agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from mizzen.config.models import ClientTLSMode, MutualTLSMode
from mizzen.explain.describe.description import Oddity
from mizzen.explain.mesh_graph import destination_rule_of, protection
from mizzen.mesh.rules.destination_rules import effective_traffic_policy
from mizzen.mesh.rules.peer_authentication import peer_modes
from mizzen.mesh.service import Endpoint, Service, ServicePort
from mizzen.mesh.snapshot import Mesh

_TAKES: Final = {
    MutualTLSMode.STRICT: "mutual TLS alone",
    MutualTLSMode.PERMISSIVE: "mutual TLS and plain text",
    MutualTLSMode.DISABLE: "plain text alone",
}
_NO_PROXY: Final = "plain text, as nothing says that it has a proxy (label security.istio.io/tlsMode)"


def takes(mesh: Mesh, endpoint: Endpoint, number: int) -> str:
    """Return what an endpoint accepts on its own port `number`."""
    if endpoint.tls_mode != "istio":
        return _NO_PROXY
    return _TAKES[_mode(mesh, endpoint, number)]


def all_take(mesh: Mesh, service: Service, port: ServicePort) -> str:
    """Return what the endpoints of a port accept; with the number of endpoints for each, if they differ."""
    found = Counter(takes(mesh, each, number) for each, number in _serving(mesh, service, port))
    if len(found) == 1:
        return next(iter(found))
    return ", ".join(f"{words} ({count})" for words, count in sorted(found.items())) or "-"


def called_by(mesh: Mesh, service: Service, port: ServicePort) -> str:
    """Return what clients speak to a port, by the rules for clients in the service's own namespace."""
    return str(protection(mesh, service, destination_rule_of(mesh, service), port))


def tls_oddities(mesh: Mesh, service: Service) -> Iterator[Oddity]:
    """Yield where a DestinationRule lets clients speak mutual TLS to endpoints that may have no proxy. Where
    endpoints certainly refuse calls, the analysis has a diagnostic (IST0113, MZ0223)."""
    rule = destination_rule_of(mesh, service)
    if service.mesh_external or rule is None:
        return
    for port in service.ports:
        tls = effective_traffic_policy(rule, port.number, "", mesh.mesh_config).tls
        if tls is None or tls.mode is not ClientTLSMode.ISTIO_MUTUAL:
            continue
        endpoints = list(_serving(mesh, service, port))
        doubtful = [
            each
            for each, number in endpoints
            if each.tls_mode != "istio" and _mode(mesh, each, number) is not MutualTLSMode.DISABLE
        ]
        if doubtful:
            named = ", ".join(sorted({each.workload_name or each.address for each in doubtful})[:3])
            yield Oddity(
                f"port {port.number}: clients speak mutual TLS, as the DestinationRule says {tls.mode}, and "
                f"nothing says that {len(doubtful)} of {len(endpoints)} endpoints have a proxy ({named}): "
                "without one calls to them fail",
                tuple(str(mesh.current_origin(config.origin)) for config in rule.configs),
            )


def _serving(mesh: Mesh, service: Service, port: ServicePort) -> Iterator[tuple[Endpoint, int]]:
    for endpoint in mesh.endpoints(service).endpoints:
        number = endpoint.port_named(port.name)
        if number is not None:
            yield endpoint, number


def _mode(mesh: Mesh, endpoint: Endpoint, number: int) -> MutualTLSMode:
    policies = mesh.policies_of(endpoint.namespace, dict(endpoint.labels)).peer_authentications
    modes = peer_modes(policies, mesh.settings.root_namespace)
    return (modes if mesh.settings.mutual_tls else modes.without_certificates()).of_port(number)
