"""Checks for endpoints in networks that clients of other networks cannot reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mizzen.config import kubernetes, models
from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config
from mizzen.config.mesh_networks import NetworkGateway
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.service import Endpoint, Service
from mizzen.mesh.topology import NETWORK_LABEL

_CODE = "MZ0214"


def check_networks(mesh: AnalysedMesh, service: Service, diagnostics: Diagnostics) -> None:
    """Find endpoints of a service that are left out for clients of other networks (MZ0214). Gateways of
    networks forward only mutual TLS, and an endpoint that has a network but no address needs such a
    gateway."""
    by_reason: dict[str, list[Endpoint]] = {}
    for endpoint in mesh.endpoints(service).endpoints:
        if endpoint.network or not endpoint.address:
            reason = _problem(endpoint, service, mesh)
            if reason:
                by_reason.setdefault(reason, []).append(endpoint)
    for reason, endpoints in by_reason.items():
        _add(diagnostics, service.hostname, reason, endpoints)


def check_labelled_gateway(
    mesh: AnalysedMesh, service: Config[kubernetes.Service], diagnostics: Diagnostics
) -> None:
    """Find a Service that Istio would use, by its label, as the gateway of a network, with its addresses
    outside of the cluster (MZ0214; https://istio.io/latest/docs/reference/config/labels/#topology-network)."""
    network = service.labels.get(NETWORK_LABEL)
    if network and network not in _gateways(mesh):
        diagnostics.warning(
            _CODE,
            service,
            ("metadata", "labels", NETWORK_LABEL),
            "makes the Service no gateway of its network here, as nothing tells the addresses that it "
            f"has outside its cluster; write meshNetworks.networks.{network}.gateways with its IP",
        )


def _gateways(mesh: AnalysedMesh) -> Mapping[str, tuple[NetworkGateway, ...]]:
    return mesh.mesh_config.mesh_networks.table.gateways()


def _problem(endpoint: Endpoint, service: Service, mesh: AnalysedMesh) -> str:
    """Return why clients of other networks do not call the endpoint, or an empty text if they do."""
    network = endpoint.network
    if network not in _gateways(mesh):
        if endpoint.address:
            return ""
        return (
            f"have no address, and no gateway leads to their network {network}, so nothing calls them; write "
            f"their addresses, or meshNetworks.networks.{network}.gateways with the IP of one"
        )
    if endpoint.tls_mode != "istio":
        return (
            f"are behind the gateways of network {network}, which pass on mutual TLS alone, and do not say "
            "that they speak it, so clients of other networks leave them out; give them a serviceAccount, or "
            "the label security.istio.io/tlsMode: istio, if they do"
        )
    automatic = mesh.mesh_config.enable_auto_mtls and not service.mesh_external
    if not automatic and not _asks_for_mutual_tls(mesh, service.hostname):
        return (
            f"are behind the gateways of network {network}, which pass on mutual TLS alone, and are called "
            "in plain text, so clients of other networks leave them out; write a DestinationRule with "
            "the tls mode ISTIO_MUTUAL"
        )
    return ""


def _add(diagnostics: Diagnostics, hostname: str, reason: str, endpoints: Sequence[Endpoint]) -> None:
    first = endpoints[0]
    if first.origin is None:
        return
    number = f"{len(endpoints)} endpoint(s) of {hostname}"
    diagnostics.diagnostics.append(Diagnostic(Severity.WARNING, _CODE, f"{number} {reason}", first.origin))


def _asks_for_mutual_tls(mesh: AnalysedMesh, host: str) -> bool:
    """Return True if some DestinationRule asks for the mesh's mutual TLS in some calls to a host."""
    return any(
        mode is models.ClientTLSMode.ISTIO_MUTUAL
        for _, rules in mesh.rule_hosts.covering(host)
        for rule in rules.values()
        for mode in _modes(rule.spec)
    )


def _modes(rule: models.DestinationRule) -> Iterator[models.ClientTLSMode]:
    for policy in (rule.traffic_policy, *(subset.traffic_policy for subset in rule.subsets)):
        if policy is not None:
            for settings in (policy.tls, *(port.tls for port in policy.port_level_settings)):
                if settings is not None:
                    yield settings.mode
