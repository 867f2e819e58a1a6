"""DestinationRules that apply to nothing."""

from __future__ import annotations

from mizzen.config import models
from mizzen.config.document import Config
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.findings import Findings
from mizzen.mesh.hosts import is_wildcard, resolve_short_name
from mizzen.mesh.rules.destination_rules import exported_to
from mizzen.mesh.service import Resolution, Service
from mizzen.mesh.services.shared_hosts import seen_from


def check_destination_rule(
    mesh: AnalysedMesh, config: Config[models.DestinationRule], findings: Findings
) -> None:
    """Find out whether a rule is for no known service (IST0174), or has subsets without an endpoint
    (IST0173)."""
    host = resolve_short_name(config.spec.host, config.namespace, mesh.settings.domain)
    seen = [
        service
        for _, found in mesh.registry.hosts.under(host)
        for one in found
        if (service := seen_from(one, config.namespace)) is not None
    ]
    services = [service for service in seen if not service.is_alias]
    if seen and not services:
        findings.warning(
            "IST0174",
            config,
            ("spec", "host"),
            f"host {host} stands for {seen[0].alias_of}, whose own rules hold, so the rule applies "
            f"to nothing; write {seen[0].alias_of}",
        )
    elif not services:
        if not mesh.registry.hosts.covering(host):
            findings.warning(
                "IST0174",
                config,
                ("spec", "host"),
                f"host {host} is no known service, so the rule applies to nothing; declare the "
                "service, or correct the name",
            )
    elif not is_wildcard(host):
        _check_subsets(mesh, config, services, findings)


def _check_subsets(
    mesh: AnalysedMesh, config: Config[models.DestinationRule], services: list[Service], findings: Findings
) -> None:
    seen_by = exported_to(config, mesh.settings)
    endpoints = [
        endpoint
        for service in services
        if service.resolution is not Resolution.NONE and seen_by
        for endpoint in mesh.endpoints(service)
    ]
    # Without any endpoint it is not the subset that is wrong.
    if not endpoints:
        return
    for index, subset in enumerate(config.spec.subsets):
        if not any(endpoint.has_labels(subset.labels) for endpoint in endpoints):
            wanted = ", ".join(f"{key}={value}" for key, value in subset.labels.items())
            findings.error(
                "IST0173",
                config,
                ("spec", "subsets", index, "labels"),
                f"no endpoint of {services[0].hostname} has {wanted}, so subset {subset.name} is empty "
                "(503); correct the labels, or add an endpoint with them",
            )
