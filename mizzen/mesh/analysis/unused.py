"""Documents that take no effect, as nothing leads to them or nothing calls them."""

from __future__ import annotations

from collections.abc import Mapping

from mizzen.mesh.analysis.findings import Findings
from mizzen.mesh.rules.virtual_services import MESH, VirtualServiceRule
from mizzen.mesh.scope.egress_imports import best_service
from mizzen.mesh.scope.sidecars import selector_of
from mizzen.mesh.service import Service
from mizzen.mesh.services.protocols import kubernetes_protocol
from mizzen.mesh.snapshot import Mesh

_HTTP_PORT = 80
"""Istio puts the rules for hosts that no service has on this port of sidecars."""


def check_unused(mesh: Mesh, findings: Findings) -> None:
    """Find delegates that nobody names (MZ0215), rules for hosts that no sidecar can call (MZ0216) or calls
    by TCP alone (MZ0217), WorkloadEntries that nothing selects (MZ0218), and aliases of hosts that nothing
    declares (MZ0219)."""
    _delegates(mesh, findings)
    has_http_port = any(
        port.number == _HTTP_PORT and (port.protocol.is_http or port.protocol.is_auto)
        for service in mesh.registry.services.values()
        for port in service.ports
    )
    for rule in mesh.virtual_service_index.rules.values():
        if rule.gateways == (MESH,):
            _called_hosts(mesh, rule, findings, has_http_port=has_http_port)
    _workload_entries(mesh, findings)
    _external_names(mesh, findings)


def _delegates(mesh: Mesh, findings: Findings) -> None:
    named = {key for rule in mesh.virtual_service_index.rules.values() for key in rule.delegates}
    for config in mesh.configs("VirtualService"):
        if not config.spec.hosts and (config.namespace, config.name) not in named:
            findings.warning(
                "MZ0215",
                config,
                ("spec",),
                "has no hosts, and no VirtualService delegates to it, so it takes no effect; write its "
                "hosts, or name it under `delegate` of another",
            )


def _called_hosts(mesh: Mesh, rule: VirtualServiceRule, findings: Findings, *, has_http_port: bool) -> None:
    for index, host in enumerate(rule.hosts):
        if index >= len(rule.config.spec.hosts):
            break
        place = ("spec", "hosts", index)
        services = _services(mesh, rule, host)
        if not services:
            if "*" not in host and not (rule.http and has_http_port):
                findings.warning(
                    "MZ0216",
                    rule.config,
                    place,
                    f"no service has the host {host}, so no sidecar listens for calls to it; declare it with "
                    "a ServiceEntry, or name a Gateway under `gateways`",
                )
        elif rule.http and not (rule.tcp or rule.tls) and not any(_may_be_http(one) for one in services):
            findings.warning(
                "MZ0217",
                rule.config,
                place,
                f"{host} ({services[0].origins[0]}) has no HTTP port, so the http rules take no effect; name "
                "its port's protocol HTTP there, or write tcp or tls rules",
                services[0].origins[0],
            )


def _services(mesh: Mesh, rule: VirtualServiceRule, host: str) -> list[Service]:
    """Return the services that a host of a rule covers or that cover it."""
    hosts = mesh.registry.hosts
    found = [hosts.get(host) or (), *(services for _, services in hosts.covering(host))]
    if "*" in host:
        found.extend(services for _, services in hosts.matching(host))
    best = (best_service(services, rule.config.namespace) for services in found)
    return [service for service in best if service is not None]


def _may_be_http(service: Service) -> bool:
    if service.is_alias or not service.ports:
        return True
    return any(port.protocol.is_http or port.protocol.is_auto for port in service.ports)


def _workload_entries(mesh: Mesh, findings: Findings) -> None:
    selectors: dict[str, list[Mapping[str, str]]] = {}
    for service in mesh.registry.services.values():
        for one in service.declared:
            if one.selector:
                selectors.setdefault(one.namespace, []).append(one.selector)
    for namespace, sidecars in mesh.sidecar_index.by_namespace.items():
        for sidecar in sidecars:
            selectors.setdefault(namespace, []).append(selector_of(sidecar) or {})
    everywhere = [gateway.spec.selector for gateway in mesh.configs("Gateway")]
    for entry in mesh.configs("WorkloadEntry"):
        labels = {**entry.labels, **entry.spec.labels}.items()
        possible = [*selectors.get(entry.namespace, ()), *everywhere]
        if not any(labels >= selector.items() for selector in possible):
            findings.warning(
                "MZ0218",
                entry,
                ("spec",),
                "no Service or ServiceEntry of its namespace selects it, so nobody calls it; give it the "
                "labels of a selector",
            )


def _external_names(mesh: Mesh, findings: Findings) -> None:
    for config in mesh.configs("Service"):
        host = config.spec.spec.external_name
        if config.spec.spec.type != "ExternalName" or not host:
            continue
        target = mesh.registry.aliases.targets.get(host, host)
        if not mesh.registry.hosts.get(target) and not list(mesh.registry.hosts.covering(target)):
            findings.warning(
                "MZ0219",
                config,
                ("spec", "externalName"),
                f"nothing declares {host}, so calls to {config.name} go where calls to unknown hosts go, and "
                "rules for them take no effect; declare the host and its ports with a ServiceEntry",
            )


def check_port_names(mesh: Mesh, findings: Findings) -> None:
    """Notice ports of Services whose name tells no protocol (IST0118): it is detected call by call."""
    for config in mesh.configs("Service"):
        for index, port in enumerate(config.spec.spec.ports):
            transport = str(port.protocol or "TCP")
            if kubernetes_protocol(port.port, port.name, transport, port.app_protocol).is_auto:
                findings.notice(
                    "IST0118",
                    config,
                    ("spec", "ports", index),
                    f"the port's name {port.name or '(none)'} tells no protocol, so proxies detect it; name "
                    "it such as http-web or tcp-web, or set appProtocol",
                )
