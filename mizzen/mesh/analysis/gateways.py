"""Gateways that conflict, or lack what they name: hosts, ports, certificates."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from mizzen.config import models
from mizzen.config.document import ConfigKey, FieldPath
from mizzen.mesh.analysis.analysed_gateways import HostsServed
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.credentials import authority_of, credential_problem, needs_client_ca, secret_name
from mizzen.mesh.analysis.findings import Findings
from mizzen.mesh.rules.gateways import GatewayConfig, merge_gateways, server_hosts
from mizzen.mesh.rules.virtual_services import MESH, VirtualServiceRule
from mizzen.mesh.service import Protocol, Service

Selector = tuple[tuple[str, str], ...]


def check_gateways(mesh: AnalysedMesh, findings: Findings) -> None:
    """Find what is wrong between the Gateways of the mesh, and with their Secrets."""
    gateways = sorted(mesh.configs("Gateway"), key=lambda one: one.key)
    _conflicting_hosts(gateways, findings)
    _rejected_servers(mesh, gateways, findings)
    _credentials(mesh, gateways, findings)


def _servers(config: GatewayConfig) -> Iterator[tuple[FieldPath, models.Server]]:
    for index, server in enumerate(config.spec.servers):
        yield ("spec", "servers", index), server


def _selector(config: GatewayConfig) -> Selector:
    return tuple(sorted(config.spec.selector.items()))


def _conflicting_hosts(gateways: list[GatewayConfig], findings: Findings) -> None:
    """IST0145: the same host on the same port of the same gateways, in two Gateways."""
    owners: dict[tuple[Selector, int, str, tuple[str, str]], GatewayConfig] = {}
    for config in gateways:
        for path, server in _servers(config):
            if server.port is None:
                continue
            for index, host in enumerate(server_hosts(server, config.namespace)):
                key = (_selector(config), server.port.number, server.bind, host)
                owner = owners.setdefault(key, config)
                if owner is not config:
                    findings.error(
                        "IST0145",
                        config,
                        (*path, "hosts", index),
                        f"host {host[1]} on port {server.port.number} is claimed by the Gateway at "
                        f"{owner.origin} for the same proxies too; keep it in one of them",
                        owner.origin,
                    )


def _rejected_servers(mesh: AnalysedMesh, gateways: list[GatewayConfig], findings: Findings) -> None:
    """MZ0206: servers that cannot stand beside others of the same proxies."""
    for selector in dict.fromkeys(_selector(config) for config in gateways):
        merged = merge_gateways(mesh.gateways_selecting(dict(selector)), ())
        findings.diagnostics.extend(merged.rejected)


_FEW: Final = 3
_AUTHORITY: Final = ("tls", "caCertCredentialName")


def credential_names(tls: models.ServerTLSSettings | None) -> Iterator[tuple[FieldPath, str]]:
    """Yield the names of Secrets in a server's TLS settings, each with the field that it stands in."""
    if tls is None:
        return
    if tls.credential_name:
        yield ("tls", "credentialName"), tls.credential_name
    for index, name in enumerate(tls.credential_names):
        yield ("tls", "credentialNames", index), name
    if tls.ca_cert_credential_name:
        yield _AUTHORITY, tls.ca_cert_credential_name


def _credentials(mesh: AnalysedMesh, gateways: list[GatewayConfig], findings: Findings) -> None:
    """IST0101: no such Secret; IST0161: nothing usable in it; IST0138: one certificate in two Gateways."""
    users: dict[tuple[Selector, str, str], GatewayConfig] = {}
    for config in gateways:
        selected = {workload.namespace for workload in mesh.gateways.workloads_selected(config)}
        for path, server in _servers(config):
            for field, written in credential_names(server.tls):
                # Without a workload of the gateway nobody knows in which namespace its proxies will be.
                of_name = mesh.namespaces_with_secret(written.rpartition("/")[2])
                namespace = _first(selected or {config.namespace, *of_name}, of_name, config.namespace)
                name = secret_name(written, namespace)
                if name is None:
                    continue
                place = (*path, *field)
                where = namespace if selected else ""
                if field == _AUTHORITY:
                    _check_authority(mesh, config, place, (namespace, name), where, findings)
                    continue
                _check_credential(mesh, config, place, server, (namespace, name), where, findings)
                user = users.setdefault((_selector(config), namespace, name), config)
                if user is not config:
                    findings.warning(
                        "IST0138",
                        config,
                        place,
                        f"the Gateway at {user.origin} has the same certificate on the same proxies: "
                        "browsers reuse one HTTP/2 connection for hosts of both, and get 404; put the hosts "
                        "into one Gateway, or use a certificate of its own",
                        user.origin,
                    )


def _first(possible: Collection[str], have: Collection[str], preferred: str) -> str:
    """Return the namespace to look in: if possible one that has such a Secret, best the preferred one."""
    fitting = [namespace for namespace in possible if namespace in have] or list(possible)
    return preferred if preferred in fitting else min(fitting)


def _check_credential(
    mesh: AnalysedMesh,
    config: GatewayConfig,
    place: FieldPath,
    server: models.Server,
    key: tuple[str, str],
    namespace_of_proxies: str,
    findings: Findings,
) -> None:
    namespace, name = key
    secret = mesh.secret(namespace, name)
    if secret is None:
        _no_secret(config, place, name, namespace_of_proxies, findings)
        return
    authority = mesh.secret(namespace, f"{name}-cacert") if needs_client_ca(server) else None
    problem = credential_problem(secret, server, authority)
    if problem:
        findings.error("IST0161", config, place, f"Secret {name} ({secret.origin}) {problem}", secret.origin)


def _check_authority(
    mesh: AnalysedMesh,
    config: GatewayConfig,
    place: FieldPath,
    key: tuple[str, str],
    namespace_of_proxies: str,
    findings: Findings,
) -> None:
    namespace, name = key
    secret = mesh.secret(namespace, name) or mesh.secret(namespace, name.removesuffix("-cacert"))
    if secret is None:
        _no_secret(config, place, name, namespace_of_proxies, findings)
    elif not authority_of(secret):
        problem = "has no CA for clients' certificates; give it ca.crt (or cacert)"
        findings.error(
            "IST0161", config, place, f"Secret {secret.name} ({secret.origin}) {problem}", secret.origin
        )


def _no_secret(
    config: GatewayConfig, place: FieldPath, name: str, namespace_of_proxies: str, findings: Findings
) -> None:
    where = f"in namespace {namespace_of_proxies}, that" if namespace_of_proxies else "in the namespace"
    message = f"there is no Secret {name}; create it {where} of the proxies that the Gateway selects"
    findings.error("IST0101", config, place, message)


def check_selector(mesh: AnalysedMesh, config: GatewayConfig, findings: Findings) -> None:
    """IST0101: a selector with values that nothing has, though its labels are known.

    Proxies need no documents, so a selector that fits nothing in the files proves nothing. But where
    workloads or the selectors of Services have the very labels with other values, one of the two is misspelt.
    """
    wanted = config.spec.selector
    known = mesh.gateways.labels_like(config) if wanted else ()
    if not known or any(one.items() >= wanted.items() for one in known):
        return
    values = sorted({", ".join(f"{key}={one[key]}" for key in sorted(wanted)) for one in known})
    findings.warning(
        "IST0101",
        config,
        ("spec", "selector"),
        f"no workload and no Service has these labels; write what they have: {' or '.join(values[:_FEW])}"
        f"{' or others' if len(values) > _FEW else ''}",
    )


def check_service_ports(mesh: AnalysedMesh, config: GatewayConfig, findings: Findings) -> None:
    """IST0162: a port that the Service in front of the gateway does not have."""
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
            findings.warning(
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
    return list(found)


def check_hosts_at_gateways(mesh: AnalysedMesh, rule: VirtualServiceRule, findings: Findings) -> None:
    """IST0132: a VirtualService bound to a Gateway that serves none of its hosts."""
    for index, name in enumerate(rule.gateways):
        if name == MESH:
            continue
        key = ConfigKey("Gateway", *name.split("/", 1))
        config = mesh.config(key)
        if config is None:
            continue
        served = mesh.gateways.hosts_served(key)
        if not any(_is_served(served, host, rule.config.namespace) for host in rule.hosts):
            findings.warning(
                "IST0132",
                rule.config,
                ("spec", "gateways", index),
                f"Gateway {name} ({config.origin}) serves none of the hosts {', '.join(rule.hosts)}; add "
                "one to its servers, or correct the hosts",
                config.origin,
            )


def _is_served(served: HostsServed, host: str, namespace: str) -> bool:
    return any(place in ("", namespace) for _, places in served.matching(host) for place in places)
