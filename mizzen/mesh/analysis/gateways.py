"""Checks for Gateways that conflict, or that name hosts, ports or workloads that do not exist."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mizzen.config import models
from mizzen.config.document import FieldPath
from mizzen.config.group_kinds import GATEWAY
from mizzen.mesh.analysis.analysed_gateways import HostsServed, Selector, sorted_selector
from mizzen.mesh.analysis.analysed_labels import EVERYWHERE
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.analysis.gateway_secrets import check_secrets
from mizzen.mesh.rules.gateways import GatewayConfig, merge_gateways, server_hosts
from mizzen.mesh.rules.virtual_services import MESH, VirtualServiceRule
from mizzen.mesh.service import Protocol, Service

_FEW: Final = 3


def check_gateways(mesh: AnalysedMesh, diagnostics: Diagnostics) -> None:
    """Find conflicts between the Gateways of the mesh, and mistakes in their Secrets."""
    gateways = sorted(mesh.configs(GATEWAY), key=lambda one: one.key)
    _conflicting_hosts(gateways, diagnostics)
    _rejected_servers(mesh, gateways, diagnostics)
    check_secrets(mesh, gateways, diagnostics)


def _servers(config: GatewayConfig) -> Iterator[tuple[FieldPath, models.Server]]:
    for index, server in enumerate(config.spec.servers):
        yield ("spec", "servers", index), server


def _conflicting_hosts(gateways: list[GatewayConfig], diagnostics: Diagnostics) -> None:
    """IST0145: two Gateways have the same host on the same port of the same proxies."""
    owners: dict[tuple[Selector, int, str, tuple[str, str]], GatewayConfig] = {}
    for config in gateways:
        for path, server in _servers(config):
            if server.port is None:
                continue
            for index, host in enumerate(server_hosts(server, config.namespace)):
                key = (sorted_selector(config), server.port.number, server.bind, host)
                owner = owners.setdefault(key, config)
                if owner is not config:
                    diagnostics.error(
                        "IST0145",
                        config,
                        (*path, "hosts", index),
                        f"host {host[1]} on port {server.port.number} is claimed by the Gateway at "
                        f"{owner.origin} for the same proxies too; keep it in one of them",
                        owner.origin,
                    )


def _rejected_servers(mesh: AnalysedMesh, gateways: list[GatewayConfig], diagnostics: Diagnostics) -> None:
    """MZ0206: servers that cannot share a port with earlier servers of the same proxies."""
    for selector in dict.fromkeys(sorted_selector(config) for config in gateways):
        merged = merge_gateways(mesh.gateways_selecting(dict(selector)), ())
        diagnostics.diagnostics.extend(merged.rejected)


def check_selector(mesh: AnalysedMesh, config: GatewayConfig, diagnostics: Diagnostics) -> None:
    """IST0101: a selector with known labels, but with values that nothing has.

    Proxies need no documents, so a selector that matches nothing in the files may be right. But if workloads
    or the selectors of Services have the same labels with different values, or almost these labels, one of
    the two is misspelt.
    """
    wanted = config.spec.selector
    known = mesh.gateways.labels_like(config) if wanted else ()
    if any(one.items() >= wanted.items() for one in known):
        return
    if not known:
        for name, value, meant in mesh.labels.misspelt(EVERYWHERE, wanted, of_gateway=True):
            if meant:
                diagnostics.warning(
                    "IST0101",
                    config,
                    ("spec", "selector", name),
                    f"no workload and no Service has {name}={value}; did you mean {meant}?",
                )
        return
    values = sorted({", ".join(f"{key}={one[key]}" for key in sorted(wanted)) for one in known})
    diagnostics.warning(
        "IST0101",
        config,
        ("spec", "selector"),
        f"no workload and no Service has these labels; write what they have: {' or '.join(values[:_FEW])}"
        f"{' or others' if len(values) > _FEW else ''}",
    )


def check_service_ports(mesh: AnalysedMesh, config: GatewayConfig, diagnostics: Diagnostics) -> None:
    """IST0162: a port of a Gateway that the Service in front of it does not have."""
    services = _services_before(mesh, config)
    if not services:
        return
    numbers = {port.number for one in services for port in one.ports if port.protocol is not Protocol.UDP}
    numbers |= {
        port.target_port for one in services for port in one.ports if isinstance(port.target_port, int)
    }
    listed = ", ".join(str(number) for number in sorted(numbers))
    for path, server in _servers(config):
        if server.port is not None and server.port.number not in numbers:
            diagnostics.warning(
                "IST0162",
                config,
                (*path, "port", "number"),
                f"port {server.port.number} is not among those of the gateway's service "
                f"({services[0].origins[0]}): {listed}; add it there, or use one of them",
                services[0].origins[0],
            )


def _services_before(mesh: AnalysedMesh, config: GatewayConfig) -> list[Service]:
    """Return the Kubernetes Services whose endpoints are workloads that the Gateway selects."""
    registry = mesh.registry
    found: dict[Service, None] = {}
    for workload in mesh.gateways.workloads_selected(config):
        for key in registry.by_address.under(registry.workloads_by_key[workload].address):
            service = registry.services[key]
            if service.from_kubernetes:
                found[service] = None
    return sorted(found, key=lambda one: one.key)


def check_hosts_at_gateways(mesh: AnalysedMesh, rule: VirtualServiceRule, diagnostics: Diagnostics) -> None:
    """IST0132: a VirtualService bound to a Gateway that serves none of its hosts."""
    for index, name in enumerate(rule.gateways):
        if name == MESH:
            continue
        key = GATEWAY.key(*name.split("/", 1))
        config = mesh.config(key)
        if config is None:
            continue
        served = mesh.gateways.hosts_served(key)
        if not any(_is_served(served, host, rule.config.namespace) for host in rule.hosts):
            diagnostics.warning(
                "IST0132",
                rule.config,
                ("spec", "gateways", index),
                f"Gateway {name} ({config.origin}) serves none of the hosts {', '.join(rule.hosts)}; add "
                "one to its servers, or correct the hosts",
                config.origin,
            )


def _is_served(served: HostsServed, host: str, namespace: str) -> bool:
    return any(place in ("", namespace) for _, places in served.matching(host) for place in places)
