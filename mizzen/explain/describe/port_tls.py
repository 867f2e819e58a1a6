"""What the workloads behind a port accept, what clients speak to it, and whether that fits together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from mizzen.config.models import MutualTLSMode
from mizzen.explain.describe.description import Oddity
from mizzen.explain.mesh_graph import Protection, destination_rule_of, protection
from mizzen.mesh.rules.destination_rules import effective_traffic_policy
from mizzen.mesh.rules.peer_authentication import peer_modes
from mizzen.mesh.service import Endpoint, Service, ServicePort
from mizzen.mesh.snapshot import Mesh

_TAKES: Final = {
    MutualTLSMode.STRICT: "mutual TLS alone",
    MutualTLSMode.PERMISSIVE: "mutual TLS and plain text",
    MutualTLSMode.DISABLE: "plain text alone",
}
_NO_PROXY: Final = "plain text, as nothing says that it has a proxy (label security.istio.io/tlsMode)"


def takes(mesh: Mesh, endpoint: Endpoint, number: int) -> str:
    """Return what an endpoint accepts on its own port `number`."""
    if endpoint.tls_mode != "istio":
        return _NO_PROXY
    return _TAKES[_mode(mesh, endpoint, number)]


def all_take(mesh: Mesh, service: Service, port: ServicePort) -> str:
    """Return what the endpoints of a port accept; each kind with its number if they differ."""
    found = Counter(takes(mesh, each, number) for each, number in _serving(mesh, service, port))
    if len(found) == 1:
        return next(iter(found))
    return ", ".join(f"{words} ({count})" for words, count in sorted(found.items())) or "-"


def called_by(mesh: Mesh, service: Service, port: ServicePort) -> str:
    """Return what clients speak to a port, by the rules for clients of the service's own namespace."""
    return str(protection(mesh, service, destination_rule_of(mesh, service), port))


def tls_oddities(mesh: Mesh, service: Service) -> Iterator[Oddity]:
    """Yield where clients speak what endpoints do not take: by a DestinationRule, or as they cannot know."""
    if service.mesh_external:
        return
    rule = destination_rule_of(mesh, service)
    for port in service.ports:
        tls = effective_traffic_policy(rule, port.number, "", mesh.mesh_config).tls
        spoken = protection(mesh, service, rule, port)
        endpoints = list(_serving(mesh, service, port))
        if tls is not None and rule is not None:
            places = tuple(str(mesh.current_origin(config.origin)) for config in rule.configs)
            why = f"clients speak {spoken}, as the DestinationRule says {tls.mode}"
            refusing = [each for each, number in endpoints if _refuses(mesh, each, number, spoken)]
        else:
            places = ()
            why = "clients speak plain text to endpoints without the label security.istio.io/tlsMode: istio"
            refusing = [each for each, number in endpoints if _is_strict_unknown(mesh, each, number)]
        if refusing:
            named = ", ".join(sorted({each.workload_name or each.address for each in refusing})[:3])
            yield Oddity(
                f"port {port.number}: {why}, and {len(refusing)} of {len(endpoints)} endpoints refuse that "
                f"({named}): calls to them fail",
                (*places, *_policy_places(mesh, refusing)),
            )


def _serving(mesh: Mesh, service: Service, port: ServicePort) -> Iterator[tuple[Endpoint, int]]:
    for endpoint in mesh.endpoints(service).endpoints:
        number = endpoint.port_named(port.name)
        if number is not None:
            yield endpoint, number


def _refuses(mesh: Mesh, endpoint: Endpoint, number: int, spoken: Protection) -> bool:
    if spoken is Protection.MUTUAL_TLS:
        return endpoint.tls_mode != "istio" or _mode(mesh, endpoint, number) is MutualTLSMode.DISABLE
    return (
        spoken is Protection.PLAIN_TEXT
        and endpoint.tls_mode == "istio"
        and _mode(mesh, endpoint, number) is MutualTLSMode.STRICT
    )


def _is_strict_unknown(mesh: Mesh, endpoint: Endpoint, number: int) -> bool:
    return endpoint.tls_mode != "istio" and _mode(mesh, endpoint, number) is MutualTLSMode.STRICT


def _mode(mesh: Mesh, endpoint: Endpoint, number: int) -> MutualTLSMode:
    policies = mesh.policies_of(endpoint.namespace, dict(endpoint.labels)).peer_authentications
    modes = peer_modes(policies, mesh.settings.root_namespace)
    return (modes if mesh.settings.mutual_tls else modes.without_certificates()).of_port(number)


def _policy_places(mesh: Mesh, endpoints: Iterable[Endpoint]) -> tuple[str, ...]:
    policies = (
        policy
        for each in endpoints
        for policy in mesh.policies_of(each.namespace, dict(each.labels)).peer_authentications
    )
    return tuple(dict.fromkeys(str(mesh.current_origin(policy.origin)) for policy in policies))
