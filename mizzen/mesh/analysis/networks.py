"""Endpoints on networks that nothing leads to: clients on other networks do not call them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mizzen.config import models
from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.mesh_networks import NetworkGateway
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.findings import Findings
from mizzen.mesh.hosts import HostIndex, resolve_short_name
from mizzen.mesh.service import Endpoint, Service
from mizzen.mesh.topology import NETWORK_LABEL

_CODE = "MZ0214"

_Gateways = Mapping[str, tuple[NetworkGateway, ...]]


def check_networks(mesh: AnalysedMesh, findings: Findings) -> None:
    """Find endpoints that are left out for clients of other networks (MZ0214): gateways pass on mutual TLS
    and nothing else, and an endpoint of which only the network is known needs a gateway that leads there."""
    gateways = mesh.mesh_config.mesh_networks.table.gateways()
    _check_labelled_gateways(mesh, gateways, findings)
    mutual: HostIndex[bool] = _hosts_of_mutual_tls(mesh) if gateways else HostIndex()
    for key, pool in mesh.registry.pools.items():
        by_reason: dict[str, list[Endpoint]] = {}
        for endpoint in pool.endpoints:
            if endpoint.network or not endpoint.address:
                reason = _problem(endpoint, mesh.registry.services[key], mesh, gateways, mutual)
                if reason:
                    by_reason.setdefault(reason, []).append(endpoint)
        for reason, endpoints in by_reason.items():
            _add(findings, key[1], reason, endpoints)


def _check_labelled_gateways(mesh: AnalysedMesh, gateways: _Gateways, findings: Findings) -> None:
    """Under Istio this label on a Service makes its addresses outside the cluster the gateways of a network
    (https://istio.io/latest/docs/reference/config/labels/#topology-network)."""
    for service in mesh.configs("Service"):
        network = service.labels.get(NETWORK_LABEL)
        if network and network not in gateways:
            findings.warning(
                _CODE,
                service,
                ("metadata", "labels", NETWORK_LABEL),
                "makes the Service no gateway of its network here, as nothing tells the addresses that it "
                f"has outside its cluster; write meshNetworks.networks.{network}.gateways with its IP",
            )


def _problem(
    endpoint: Endpoint, service: Service, mesh: AnalysedMesh, gateways: _Gateways, mutual: HostIndex[bool]
) -> str:
    """Return why clients of other networks do not call the endpoint; empty if they do."""
    network = endpoint.network
    if network not in gateways:
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
    if not automatic and mutual.most_specific(service.hostname) is None:
        return (
            f"are behind the gateways of network {network}, which pass on mutual TLS alone, and are called "
            "in plain text, so clients of other networks leave them out; write a DestinationRule with "
            "the tls mode ISTIO_MUTUAL"
        )
    return ""


def _add(findings: Findings, hostname: str, reason: str, endpoints: Sequence[Endpoint]) -> None:
    first = endpoints[0]
    if first.origin is None:
        return
    number = f"{len(endpoints)} endpoint(s) of {hostname}"
    findings.diagnostics.append(Diagnostic(Severity.WARNING, _CODE, f"{number} {reason}", first.origin))


def _hosts_of_mutual_tls(mesh: AnalysedMesh) -> HostIndex[bool]:
    """Return the hosts for which some DestinationRule asks for the mesh's mutual TLS, for some calls."""
    return HostIndex(
        {
            resolve_short_name(rule.spec.host, rule.namespace, mesh.settings.domain): True
            for rule in mesh.configs("DestinationRule")
            if any(mode is models.ClientTLSMode.ISTIO_MUTUAL for mode in _modes(rule.spec))
        }
    )


def _modes(rule: models.DestinationRule) -> Iterator[models.ClientTLSMode]:
    for policy in (rule.traffic_policy, *(subset.traffic_policy for subset in rule.subsets)):
        if policy is not None:
            for settings in (policy.tls, *(port.tls for port in policy.port_level_settings)):
                if settings is not None:
                    yield settings.mode
