"""Checks for DestinationRules that apply to nothing."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.config import models
from mizzen.config.document import Config
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.hosts import is_wildcard, resolve_short_name
from mizzen.mesh.rules.destination_rules import exported_to
from mizzen.mesh.service import Resolution, Service
from mizzen.mesh.services.shared_hosts import seen_from


def check_host_of_rule(
    mesh: AnalysedMesh, config: Config[models.DestinationRule], diagnostics: Diagnostics
) -> None:
    """Find rules for an unknown service (IST0174), and subsets without an endpoint (IST0173)."""
    host = resolve_short_name(config.spec.host, config.namespace, mesh.settings.domain)
    service = next((each for each in _seen(mesh, host, config.namespace) if not each.is_alias), None)
    if service is not None:
        if config.spec.subsets and not is_wildcard(host):
            services = [each for each in _seen(mesh, host, config.namespace) if not each.is_alias]
            _check_subsets(mesh, config, services, diagnostics)
        return
    alias = min(_seen(mesh, host, config.namespace), key=lambda one: one.key, default=None)
    if alias is not None:
        diagnostics.warning(
            "IST0174",
            config,
            ("spec", "host"),
            f"host {host} stands for {alias.alias_of}, whose own rules hold, so the rule applies "
            f"to nothing; write {alias.alias_of}",
        )
    elif not mesh.registry.hosts.covering(host):
        meant = mesh.registry.near_host(host)
        diagnostics.warning(
            "IST0174",
            config,
            ("spec", "host"),
            f"host {host} is not a known service, so the rule applies to nothing; "
            f"{f'did you mean {meant}?' if meant else 'declare the service, or correct the name'}",
            missing=host,
        )


def _seen(mesh: AnalysedMesh, host: str, namespace: str) -> Iterator[Service]:
    """Yield the services that a host covers and a namespace sees."""
    for _, found in mesh.registry.hosts.under(host):
        for one in found:
            service = seen_from(one, namespace)
            if service is not None:
                yield service


def _check_subsets(
    mesh: AnalysedMesh,
    config: Config[models.DestinationRule],
    services: list[Service],
    diagnostics: Diagnostics,
) -> None:
    seen_by = exported_to(config, mesh.settings)
    endpoints = [
        endpoint
        for service in services
        if service.resolution is not Resolution.NONE and seen_by
        for endpoint in mesh.endpoints(service)
    ]
    # If the service has no endpoint at all, the subset is not the mistake.
    if not endpoints:
        return
    for index, subset in enumerate(config.spec.subsets):
        if not any(endpoint.has_labels(subset.labels) for endpoint in endpoints):
            wanted = ", ".join(f"{key}={value}" for key, value in subset.labels.items())
            diagnostics.error(
                "IST0173",
                config,
                ("spec", "subsets", index, "labels"),
                f"no endpoint of {services[0].hostname} has {wanted}, so subset {subset.name} is empty "
                "(503); correct the labels, or add an endpoint with them",
            )
