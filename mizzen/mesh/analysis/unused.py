"""Documents that take no effect, as nothing leads to them or nothing calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.findings import Findings
from mizzen.mesh.rules.virtual_services import MESH, VirtualServiceRule
from mizzen.mesh.scope.egress_imports import best_service
from mizzen.mesh.scope.sidecars import selector_of
from mizzen.mesh.service import Service
from mizzen.mesh.services.protocols import kubernetes_protocol

_EVERYWHERE = ""
"""Stands for all namespaces."""

_HTTP_PORT = 80
"""Istio puts the rules for hosts that no service has on this port of sidecars."""


def has_http_port(mesh: AnalysedMesh) -> bool:
    """Return whether sidecars have a port for the rules of hosts that no service has."""
    return any(
        port.number == _HTTP_PORT and (port.protocol.is_http or port.protocol.is_auto)
        for service in mesh.registry.services.values()
        for port in service.ports
    )


def check_delegates(mesh: AnalysedMesh, findings: Findings) -> None:
    """Find delegates that nobody names (MZ0215)."""
    named = {key for rule in mesh.rules.values() for key in rule.delegates}
    for config in mesh.configs("VirtualService"):
        if not config.spec.hosts and (config.namespace, config.name) not in named:
            findings.warning(
                "MZ0215",
                config,
                ("spec",),
                "has no hosts, and no VirtualService delegates to it, so it takes no effect; write its "
                "hosts, or name it under `delegate` of another",
            )


def check_called_hosts(
    mesh: AnalysedMesh, rule: VirtualServiceRule, findings: Findings, *, has_http_port: Callable[[], bool]
) -> None:
    """Find hosts of a VirtualService that no sidecar can call (MZ0216) or calls by TCP alone (MZ0217)."""
    if rule.gateways != (MESH,):
        return
    for index, host in enumerate(rule.hosts):
        if index >= len(rule.config.spec.hosts):
            break
        place = ("spec", "hosts", index)
        services = _services(mesh, rule, host)
        if not services:
            if "*" not in host and not (rule.http and has_http_port()):
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


def _services(mesh: AnalysedMesh, rule: VirtualServiceRule, host: str) -> list[Service]:
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


def check_workload_entries(mesh: AnalysedMesh, findings: Findings) -> None:
    """Find WorkloadEntries that nothing selects (MZ0218)."""
    selectors = _Selectors()
    for service in mesh.registry.services.values():
        for one in service.declared:
            if one.selector:
                selectors.add(one.namespace, one.selector)
    for namespace, sidecars in mesh.sidecars.items():
        for sidecar in sidecars:
            selectors.add(namespace, selector_of(sidecar) or {})
    for gateway in mesh.configs("Gateway"):
        selectors.add(_EVERYWHERE, gateway.spec.selector)
    for entry in mesh.configs("WorkloadEntry"):
        labels = {**entry.labels, **entry.spec.labels}
        if not (selectors.select(entry.namespace, labels) or selectors.select(_EVERYWHERE, labels)):
            findings.warning(
                "MZ0218",
                entry,
                ("spec",),
                "no Service or ServiceEntry of its namespace selects it, so nobody calls it; give it the "
                "labels of a selector",
            )


class _Selectors:
    """Selectors by namespace, each found by one of its labels."""

    def __init__(self) -> None:
        self._of_all: set[str] = set()
        self._by_label: dict[tuple[str, str, str], list[Mapping[str, str]]] = {}

    def add(self, namespace: str, selector: Mapping[str, str]) -> None:
        """Note a selector; an empty one selects whatever is in the namespace."""
        for name, value in selector.items():
            self._by_label.setdefault((namespace, name, value), []).append(selector)
            return
        self._of_all.add(namespace)

    def select(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Return whether a selector of the namespace selects a workload with these labels."""
        return namespace in self._of_all or any(
            labels.items() >= selector.items()
            for name, value in labels.items()
            for selector in self._by_label.get((namespace, name, value), ())
        )


def check_external_names(mesh: AnalysedMesh, findings: Findings) -> None:
    """Find aliases of hosts that nothing declares (MZ0219)."""
    for config in mesh.configs("Service"):
        host = config.spec.spec.external_name
        if config.spec.spec.type != "ExternalName" or not host:
            continue
        target = mesh.registry.aliases.targets.get(host, host)
        if not mesh.registry.hosts.get(target) and not mesh.registry.hosts.covering(target):
            findings.warning(
                "MZ0219",
                config,
                ("spec", "externalName"),
                f"nothing declares {host}, so calls to {config.name} go where calls to unknown hosts go, and "
                "rules for them take no effect; declare the host and its ports with a ServiceEntry",
            )


def check_port_names(mesh: AnalysedMesh, findings: Findings) -> None:
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
