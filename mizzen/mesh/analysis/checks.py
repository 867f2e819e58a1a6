"""The list of all checks: what each one examines, and the function that examines it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from mizzen.config import kubernetes, models
from mizzen.config.document import Config, GroupKind
from mizzen.config.group_kinds import (
    AUTHORIZATION_POLICY,
    DESTINATION_RULE,
    GATEWAY,
    PEER_AUTHENTICATION,
    REQUEST_AUTHENTICATION,
    SERVICE,
    SIDECAR,
    VIRTUAL_SERVICE,
)
from mizzen.incremental import Collection
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics, Found
from mizzen.mesh.analysis.config_maps import check_credentials_of_gateway, check_credentials_of_rule
from mizzen.mesh.analysis.conflicts import (
    check_host_of_virtual_services,
    check_protocols,
    check_sidecars,
    check_tcp_port,
    services_by_tcp_port,
)
from mizzen.mesh.analysis.destination_rules import check_host_of_rule
from mizzen.mesh.analysis.endpoints import check_endpoints
from mizzen.mesh.analysis.external_authorizers import check_external_authorizer
from mizzen.mesh.analysis.gateways import (
    check_gateways,
    check_hosts_at_gateways,
    check_selector,
    check_service_ports,
)
from mizzen.mesh.analysis.ingress_ports import check_ingress_ports
from mizzen.mesh.analysis.mutual_tls import (
    check_mutual_tls_of_gateway,
    check_mutual_tls_of_rule,
    check_peer_authentication,
)
from mizzen.mesh.analysis.networks import check_labelled_gateway, check_networks
from mizzen.mesh.analysis.references import check_references
from mizzen.mesh.analysis.refused_tls import check_refused_tls, check_unlabelled_workload
from mizzen.mesh.analysis.selectors import check_policy_selector, check_sidecar_selector
from mizzen.mesh.analysis.unused import (
    check_called_hosts,
    check_delegate,
    check_external_name,
    check_port_names,
    check_workload_entry,
)
from mizzen.mesh.rules.gateways import GatewayConfig
from mizzen.mesh.rules.tls_fields import client_settings
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.sidecars import SidecarConfig
from mizzen.mesh.service import Service


@dataclass(frozen=True, slots=True)
class Check:
    """`look(mesh, key, member, diagnostics)` is called for each member of the collection `subjects(mesh)`. It
    is called again for a member that changed, or if something that it read for a member changed. `name` and
    the key say what fails if it raises."""

    name: str
    subjects: Callable[[AnalysedMesh], Collection[Any, Any]]
    look: Callable[[AnalysedMesh, Any, Any, Diagnostics], None]

    def found(self, mesh: AnalysedMesh, key: Any, member: Any) -> Found:
        """Return the diagnostics about one member, with current lines."""
        diagnostics = Diagnostics()
        self.look(mesh, key, member, diagnostics)
        return diagnostics.at(mesh.current_origin) if diagnostics.diagnostics else ()


def _virtual_service(
    mesh: AnalysedMesh, _: object, rule: VirtualServiceRule, diagnostics: Diagnostics
) -> None:
    check_references(mesh, rule, diagnostics)
    check_called_hosts(mesh, rule, diagnostics)
    check_hosts_at_gateways(mesh, rule, diagnostics)


def _destination_rule(
    mesh: AnalysedMesh, _: object, rule: Config[models.DestinationRule], diagnostics: Diagnostics
) -> None:
    check_host_of_rule(mesh, rule, diagnostics)
    settings = list(client_settings(rule.spec))
    check_mutual_tls_of_rule(mesh, rule, settings, diagnostics)
    check_credentials_of_rule(rule, settings, diagnostics)


def _gateway(mesh: AnalysedMesh, _: object, gateway: GatewayConfig, diagnostics: Diagnostics) -> None:
    check_selector(mesh, gateway, diagnostics)
    check_service_ports(mesh, gateway, diagnostics)
    check_mutual_tls_of_gateway(mesh, gateway, diagnostics)
    check_credentials_of_gateway(gateway, diagnostics)


def _service(mesh: AnalysedMesh, _: object, service: Service, diagnostics: Diagnostics) -> None:
    check_endpoints(mesh, service, diagnostics)
    check_networks(mesh, service, diagnostics)


def _service_document(
    mesh: AnalysedMesh, _: object, config: Config[kubernetes.Service], diagnostics: Diagnostics
) -> None:
    check_labelled_gateway(mesh, config, diagnostics)
    check_external_name(mesh, config, diagnostics)
    check_port_names(config, diagnostics)


def _sidecar(mesh: AnalysedMesh, _: object, sidecar: SidecarConfig, diagnostics: Diagnostics) -> None:
    check_sidecar_selector(mesh, sidecar, diagnostics)
    check_ingress_ports(mesh, sidecar, diagnostics)


def _peer_authentication(
    mesh: AnalysedMesh, _: object, policy: Config[models.PeerAuthentication], diagnostics: Diagnostics
) -> None:
    check_policy_selector(mesh, policy, diagnostics)
    check_peer_authentication(mesh, policy, diagnostics)


def _authorization_policy(
    mesh: AnalysedMesh, _: object, policy: Config[models.AuthorizationPolicy], diagnostics: Diagnostics
) -> None:
    check_policy_selector(mesh, policy, diagnostics)
    check_external_authorizer(mesh, policy, diagnostics)


def _each(look: Callable[[AnalysedMesh, Any, Diagnostics], None]) -> Callable[..., None]:
    """Return a check that ignores the key."""
    return lambda mesh, _, member, diagnostics: look(mesh, member, diagnostics)


def _documents(
    name: str, kind: GroupKind, look: Callable[[AnalysedMesh, Any, Any, Diagnostics], None]
) -> Check:
    return Check(name, lambda mesh: mesh.documents(kind), look)


def _known(_: AnalysedMesh, __: object, known: Any, diagnostics: Diagnostics) -> None:
    """Report what was found when the mesh was made."""
    diagnostics.diagnostics.extend(known)


REFUSED_TLS: Final = (
    Check("clients of service", lambda mesh: mesh.registry.services, _each(check_refused_tls)),
    Check(
        "clients of workload", lambda mesh: mesh.registry.workloads_by_key, _each(check_unlabelled_workload)
    ),
)
"""The checks for clients that speak what workloads refuse."""

CHECKS: Final = (
    *REFUSED_TLS,
    Check("references of", lambda mesh: mesh.rules, _virtual_service),
    Check("endpoints of service", lambda mesh: mesh.registry.services, _service),
    Check("services of workload", lambda mesh: mesh.registry.workloads_by_key, _each(check_workload_entry)),
    Check("protocols of host", lambda mesh: mesh.registry.hosts.exact, check_protocols),
    Check("protocols of host", lambda mesh: mesh.registry.hosts.wildcards, check_protocols),
    Check("services at TCP port", services_by_tcp_port, check_tcp_port),
    Check(
        "VirtualServices of host",
        lambda mesh: mesh.mesh_hosts.exact,
        lambda _, host, rules, diagnostics: check_host_of_virtual_services(host, rules, diagnostics),
    ),
    Check("Sidecars of namespace", lambda mesh: mesh.sidecars, check_sidecars),
    Check(
        "conflicts of Gateways",
        lambda mesh: mesh.whole,
        lambda mesh, _, __, diagnostics: check_gateways(mesh, diagnostics),
    ),
    _documents("delegation to", VIRTUAL_SERVICE, _each(check_delegate)),
    _documents("host and TLS of", DESTINATION_RULE, _destination_rule),
    _documents("selector, ports and TLS of", GATEWAY, _gateway),
    _documents("ports and names of", SERVICE, _service_document),
    _documents("selector and ports of", SIDECAR, _sidecar),
    _documents("selector and mode of", PEER_AUTHENTICATION, _peer_authentication),
    _documents("selector of", REQUEST_AUTHENTICATION, _each(check_policy_selector)),
    _documents("selector and authorizer of", AUTHORIZATION_POLICY, _authorization_policy),
    Check("merging of service", lambda mesh: mesh.registry.diagnostics, _known),
    Check("merging of", lambda mesh: mesh.virtual_service_diagnostics, _known),
    Check("merging of", lambda mesh: mesh.destination_rule_diagnostics, _known),
)
