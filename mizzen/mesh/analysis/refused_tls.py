"""Checks for clients that speak what workloads refuse: plain text to STRICT, mutual TLS to DISABLE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from mizzen.config import models
from mizzen.config.document import Config, FieldPath
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.rules.destination_rules import (
    MergedDestinationRule,
    effective_traffic_policy,
    rule_for_client,
)
from mizzen.mesh.rules.peer_authentication import Policy, deciding, peer_modes, refuses
from mizzen.mesh.rules.tls_fields import client_settings
from mizzen.mesh.service import Endpoint, Service
from mizzen.mesh.services.workloads import TLS_MODE_LABEL, Workload

_FEW: Final = 3
_SPOKEN: Final = {
    models.ClientTLSMode.DISABLE: "plain text",
    models.ClientTLSMode.SIMPLE: "TLS without a certificate of the mesh",
    models.ClientTLSMode.ISTIO_MUTUAL: "mutual TLS",
}


def check_refused_tls(mesh: AnalysedMesh, service: Service, diagnostics: Diagnostics) -> None:
    """Find DestinationRules that make clients speak TLS which endpoints of a service refuse (IST0113)."""
    if service.mesh_external or service.is_alias or not mesh.settings.mutual_tls:
        return
    told: set[int] = set()
    for rule in _rules(mesh, service):
        for config in rule.configs:
            for path, tls in client_settings(config.spec):
                if tls.mode in _SPOKEN and id(tls) not in told:
                    told.add(id(tls))
                    _check_settings(mesh, service, rule, (config, path, tls), diagnostics)


def _check_settings(
    mesh: AnalysedMesh,
    service: Service,
    rule: MergedDestinationRule,
    written: tuple[Config[models.DestinationRule], FieldPath, models.ClientTLSSettings],
    diagnostics: Diagnostics,
) -> None:
    """Compare TLS settings with the endpoints that are called with them."""
    config, path, tls = written
    called = dict.fromkeys(
        (endpoint, number)
        for subset in ("", *(each.name for each in rule.subsets))
        for port in service.ports
        if effective_traffic_policy(rule, port.number, subset, mesh.mesh_config).tls is tls
        for endpoint in _endpoints(mesh, service, rule, subset)
        if (number := endpoint.port_named(port.name)) is not None
    )
    refusing = [
        (endpoint, policy)
        for endpoint, number in called
        if (policy := _refusing(mesh, endpoint.namespace, dict(endpoint.labels), number, tls.mode))
    ]
    if not refusing:
        return
    policy = refusing[0][1]
    workloads = sorted({each.workload_name or each.address for each, _ in refusing})
    named = ", ".join(workloads[:_FEW]) + (" ..." if len(workloads) > _FEW else "")
    right = "DISABLE" if tls.mode is models.ClientTLSMode.ISTIO_MUTUAL else "ISTIO_MUTUAL"
    diagnostics.error(
        "IST0113",
        config,
        (*path, "mode"),
        f"clients of {service.hostname} speak {_SPOKEN[tls.mode]}, and workloads refuse that ({named}), as "
        f"the PeerAuthentication at {policy.origin} says, so calls to them fail; leave the mode out, write "
        f"{right}, or change the PeerAuthentication",
        policy.origin,
    )


def check_unlabelled_workload(mesh: AnalysedMesh, workload: Workload, diagnostics: Diagnostics) -> None:
    """Find a workload that accepts only mutual TLS, but that clients call in plain text, as nothing says that
    it has a proxy (MZ0223)."""
    if workload.is_pod or workload.tls_mode == "istio" or not mesh.settings.mutual_tls:
        return
    at_address = mesh.registry.by_address.under(workload.address)
    for key in sorted(at_address):  # they stand in the order in which they arrived
        service = mesh.registry.services[key]
        if service.mesh_external or service.is_alias:
            continue
        rules = mesh.rules_for(service.namespace, service.hostname, service.namespace)
        rule = rule_for_client(rules, service.namespace, None)
        for port in service.ports:
            if effective_traffic_policy(rule, port.number, "", mesh.mesh_config).tls is not None:
                continue
            for endpoint in at_address[key]:
                if not _is_of(endpoint, workload):
                    continue
                number = endpoint.port_named(port.name) or 0
                policy = _refusing(mesh, endpoint.namespace, dict(endpoint.labels), number, None)
                if policy is not None:
                    _unlabelled(mesh, workload, policy, diagnostics)
                    return


def _is_of(endpoint: Endpoint, workload: Workload) -> bool:
    """Return False for the endpoint of a different workload at the same address."""
    return (
        endpoint.workload_name == workload.key.name
        and endpoint.namespace == workload.key.namespace
        and endpoint.labels == workload.endpoint_labels
    )


def _unlabelled(mesh: AnalysedMesh, workload: Workload, policy: Policy, diagnostics: Diagnostics) -> None:
    config = mesh.config(workload.key)
    if config is None:
        return
    diagnostics.warning(
        "MZ0223",
        config,
        ("spec",),
        f"nothing says that it has a proxy, so clients call it in plain text, and the PeerAuthentication at "
        f"{policy.origin} refuses that; write its serviceAccount, or the label {TLS_MODE_LABEL}: istio",
        policy.origin,
    )


def _rules(mesh: AnalysedMesh, service: Service) -> Iterator[MergedDestinationRule]:
    """Yield the merged rules that apply to some clients of a service."""
    host = service.hostname
    found: dict[MergedDestinationRule, None] = {}
    for namespace in sorted({service.namespace, *mesh.namespaces_with_rules(host)}):
        rules = mesh.rules_for(namespace, host, service.namespace)
        chosen = rule_for_client(rules, namespace, None)
        found.update((each, None) for each in rules if each is chosen or each.workload_selector is not None)
    return iter(found)


def _endpoints(
    mesh: AnalysedMesh, service: Service, rule: MergedDestinationRule, subset: str
) -> Iterable[Endpoint]:
    endpoints = mesh.endpoints(service).endpoints
    chosen = rule.subset(subset)
    return [each for each in endpoints if each.has_labels(chosen.labels)] if chosen else endpoints


def _refusing(
    mesh: AnalysedMesh,
    namespace: str,
    labels: dict[str, str],
    number: int,
    spoken: models.ClientTLSMode | None,
) -> Policy | None:
    """Return the PeerAuthentication that makes a workload refuse what clients speak to its port, or None. A
    gateway accepts what its Gateways say, whatever a PeerAuthentication says."""
    policies = mesh.peer_authentications_of(namespace, labels)
    root = mesh.settings.root_namespace
    if not refuses(peer_modes(policies, root).of_port(number), spoken):
        return None
    if any(selector and selector.items() <= labels.items() for selector in mesh.gateways.selectors()):
        return None
    return deciding(policies, root, number)
