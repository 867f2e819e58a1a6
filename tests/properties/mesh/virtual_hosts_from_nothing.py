"""The virtual hosts of a port as one pass over all claims finds them: what the property tests compare with.

Nothing is remembered here and nothing looked up: claims stand in one order, and whoever comes first has a
name, and then a domain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from mizzen.mesh.hosts import is_subset_of, is_wildcard, specificity
from mizzen.mesh.scope.domains import NamesKnownAs, domain_name, service_domains, unregistered_host_domains
from mizzen.mesh.scope.virtual_hosts import ANY_PORT, DEFAULT_HTTP_PORT
from mizzen.mesh.service import Service

Planned = dict[str, tuple[tuple[str, ...], int, Service | None, Any]]
"""The virtual hosts by name: domains, port, service, VirtualService."""


class _Claim(NamedTuple):
    host: str
    port: int
    service: Service | None
    rule: Any


def virtual_hosts_from_nothing(
    port: int, services: Sequence[Service], rules: Sequence[tuple[Any, bool]], names: NamesKnownAs
) -> Planned:
    """Return the virtual hosts of `port`, from the services that have it, oldest first, and the
    VirtualServices in their order, each with whether it has routes there."""
    claims = _claims(port, services, rules)
    known = {
        claim.service.hostname for claim in claims if claim.service is not None and not claim.service.is_alias
    }
    taken: set[str] = set()
    made: Planned = {}
    names_taken: set[str] = set()
    for claim in claims:
        name = domain_name(claim.host, claim.port)
        if name in names_taken:
            continue
        names_taken.add(name)
        suffix = claim.port if port == ANY_PORT else 0
        offered = (
            unregistered_host_domains(claim.host, suffix)
            if claim.service is None
            else service_domains(claim.service, suffix, names)
        )
        kept = [
            domain
            for domain in offered.domains
            if domain not in taken and not (domain in offered.derived and domain in known)
        ]
        taken.update(kept)
        if port == ANY_PORT and claim.port != DEFAULT_HTTP_PORT:
            kept = [domain for domain in kept if domain.endswith(f":{claim.port}")]
        if kept:
            made[name] = (tuple(kept), claim.port, claim.service, claim.rule)
    return made


def _claims(port: int, services: Sequence[Service], rules: Sequence[tuple[Any, bool]]) -> list[_Claim]:
    """Return the claims of VirtualServices, and then of the services that none of them owns."""
    by_hostname = {service.hostname: service for service in services}
    claims: list[_Claim] = []
    for rule, contributes in rules:
        if contributes:
            claims += _rule_claims(rule, port, by_hostname, _by_wildcard(rule, services, rules))
    owned = {claim.service.hostname for claim in claims if claim.service is not None}
    claims += [
        _Claim(service.hostname, number, service, None)
        for service in services
        if service.hostname not in owned and not service.is_alias
        for number in _http_ports(service, port)
    ]
    if port == ANY_PORT:
        # Only port 80 may be asked for without naming it, so it takes the names without a port.
        claims.sort(key=lambda claim: (claim.rule is None, claim.port != DEFAULT_HTTP_PORT))
    return claims


def _rule_claims(
    rule: Any, port: int, by_hostname: dict[str, Service], by_wildcard: Sequence[Service]
) -> list[_Claim]:
    """Return what a VirtualService claims: its hosts that are no services, the services that it names, and
    those that it owns by a wildcard."""
    named = [by_hostname[host] for host in rule.hosts if not is_wildcard(host) and host in by_hostname]
    ports: dict[int, list[Service]] = {}
    for service in (*named, *by_wildcard):
        for number in _http_ports(service, port):
            ports.setdefault(number, []).append(service)
    if port == DEFAULT_HTTP_PORT:
        # Istio: hosts outside of the registry exist on port 80, and nowhere else.
        ports.setdefault(DEFAULT_HTTP_PORT, [])
    unregistered_hosts = [
        host
        for host in rule.hosts
        if not (
            any(is_subset_of(host, each) or is_subset_of(each, host) for each in by_hostname)
            if is_wildcard(host)
            else host in by_hostname
        )
    ]
    claims: list[_Claim] = []
    for number, found in sorted(ports.items()):
        claims += [_Claim(host, number, None, rule) for host in unregistered_hosts]
        claims += [_Claim(service.hostname, number, service, rule) for service in found]
    return claims


def _by_wildcard(rule: Any, services: Sequence[Service], rules: Sequence[tuple[Any, bool]]) -> list[Service]:
    """Return the services that a VirtualService owns by a wildcard. Each belongs to the VirtualService with
    the most specific host, and of two with the same host to the first."""
    found = []
    for service in services:
        covering = [
            (specificity(host), at)
            for at, (each, _) in enumerate(rules)
            for host in each.hosts
            if is_subset_of(service.hostname, host)
        ]
        if covering:
            (wild, *_), at = min(covering)
            if wild and rules[at][0] is rule:
                found.append(service)
    return found


def _http_ports(service: Service, listen_port: int) -> Iterable[int]:
    for port in service.ports:
        if listen_port in (ANY_PORT, port.number) and (port.protocol.is_http or port.protocol.is_auto):
            yield port.number
