"""Checks for documents without effect, as nothing refers to them or calls them."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.config import kubernetes, models
from mizzen.config.document import Config
from mizzen.config.refused import anything_selecting
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.rules.virtual_services import MESH, VirtualServiceRule
from mizzen.mesh.scope.egress_imports import best_service
from mizzen.mesh.scope.sidecars import selector_of
from mizzen.mesh.service import Service
from mizzen.mesh.services.protocols import kubernetes_protocol
from mizzen.mesh.services.workloads import Workload


def check_delegate(
    mesh: AnalysedMesh, config: Config[models.VirtualService], diagnostics: Diagnostics
) -> None:
    """Find a VirtualService without hosts that no VirtualService delegates to (MZ0215)."""
    if config.spec.hosts:
        return
    users = mesh.delegate_users.under((config.namespace, config.name))
    if not any(mesh.rules.get(user) is not None for user in users):
        diagnostics.warning(
            "MZ0215",
            config,
            ("spec",),
            "has no hosts, and no VirtualService delegates to it, so it takes no effect; write its "
            "hosts, or name it under `delegate` of another",
        )


def check_called_hosts(mesh: AnalysedMesh, rule: VirtualServiceRule, diagnostics: Diagnostics) -> None:
    """Find hosts of a VirtualService that no sidecar can call (MZ0216), or only by TCP (MZ0217)."""
    if rule.gateways != (MESH,):
        return
    for index, host in enumerate(rule.hosts):
        if index >= len(rule.config.spec.hosts):
            break
        place = ("spec", "hosts", index)
        services = list(_services(mesh, rule, host))
        if not services:
            meant = None if "*" in host else mesh.registry.near_host(host)
            if meant is not None:
                diagnostics.warning(
                    "MZ0216",
                    rule.config,
                    place,
                    f"no service has the host {host}, so no call to a service follows these rules; did you "
                    f"mean {meant}?",
                    missing=host,
                )
            elif "*" not in host and not (rule.http and mesh.registry.has_http_port()):
                diagnostics.warning(
                    "MZ0216",
                    rule.config,
                    place,
                    f"no service has the host {host}, so no sidecar listens for calls to it; declare it with "
                    "a ServiceEntry, or name a Gateway under `gateways`",
                    missing=host,
                )
        elif rule.http and not (rule.tcp or rule.tls) and not any(map(_may_be_http, services)):
            diagnostics.warning(
                "MZ0217",
                rule.config,
                place,
                f"{host} ({services[0].origins[0]}) has no HTTP port, so the http rules take no effect; name "
                "its port's protocol HTTP there, or write tcp or tls rules",
                services[0].origins[0],
            )


def _services(mesh: AnalysedMesh, rule: VirtualServiceRule, host: str) -> Iterator[Service]:
    """Yield the services that a host of a rule covers or that cover it."""
    hosts = mesh.registry.hosts
    namespace = rule.config.namespace
    own = best_service(hosts.get(host) or (), namespace)
    if own is not None:
        yield own
    for _, services in hosts.matching(host):
        best = best_service(services, namespace)
        if best is not None:
            yield best


def _may_be_http(service: Service) -> bool:
    if service.is_alias or not service.ports:
        return True
    return any(port.protocol.is_http or port.protocol.is_auto for port in service.ports)


def check_workload_entry(mesh: AnalysedMesh, workload: Workload, diagnostics: Diagnostics) -> None:
    """Find a WorkloadEntry that nothing selects (MZ0218)."""
    if not workload.is_pod and not _is_selected(mesh, workload):
        config = mesh.config(workload.key)
        assert config is not None
        diagnostics.warning(
            "MZ0218",
            config,
            ("spec",),
            "no Service or ServiceEntry of its namespace selects it, so no client calls it; give it the "
            "labels of a selector",
            missing=anything_selecting(workload.key.namespace),
        )


def _is_selected(mesh: AnalysedMesh, workload: Workload) -> bool:
    """Return True if a Service, ServiceEntry or Sidecar of its namespace, or a Gateway, selects it."""
    namespace, labels = workload.key.namespace, workload.labels.items()
    for name, value in labels:
        for key in mesh.registry.selectors.under((namespace, name, value)):
            declared = mesh.registry.services[key].declared
            if any(one.selector and one.selector.items() <= labels for one in declared):
                return True
    sidecars = mesh.sidecars.get(namespace, ())
    if any((selector_of(sidecar) or {}).items() <= labels for sidecar in sidecars):
        return True
    return any(selector.items() <= labels for selector in mesh.gateways.selectors())


def check_external_name(
    mesh: AnalysedMesh, config: Config[kubernetes.Service], diagnostics: Diagnostics
) -> None:
    """Find an ExternalName Service for a host that no document declares (MZ0219)."""
    host = config.spec.spec.external_name
    if config.spec.spec.type != "ExternalName" or not host:
        return
    target = mesh.registry.target_of(host)
    if not mesh.registry.hosts.covering(target):
        diagnostics.warning(
            "MZ0219",
            config,
            ("spec", "externalName"),
            f"nothing declares {host}, so calls to {config.name} go where calls to unknown hosts go, and "
            "rules for them take no effect; declare the host and its ports with a ServiceEntry",
            missing=target,
        )


def check_port_names(config: Config[kubernetes.Service], diagnostics: Diagnostics) -> None:
    """Find, for information, ports of a Service whose name gives no protocol (IST0118): proxies detect it."""
    for index, port in enumerate(config.spec.spec.ports):
        transport = str(port.protocol or "TCP")
        if kubernetes_protocol(port.port, port.name, transport, port.app_protocol).is_auto:
            diagnostics.notice(
                "IST0118",
                config,
                ("spec", "ports", index),
                f"the port's name {port.name or '(none)'} gives no protocol, so proxies detect it; name "
                "it such as http-web or tcp-web, or set appProtocol",
            )
