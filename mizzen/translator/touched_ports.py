"""The ports whose routes a change may concern."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.mesh.hosts import is_wildcard, matches
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.scope.virtual_hosts import ANY_PORT, DEFAULT_HTTP_PORT
from mizzen.mesh.service import Protocol, Service
from mizzen.translator.touched import Touched


def routed_ports(touched: Touched, scope: SidecarScope) -> set[int]:
    """Return the ports on which the touched services and the hosts of the touched rules are called; ANY_PORT
    stands for configurations that hold every port, and 80 is where unknown hosts are."""
    rules = set(touched.rules)
    if touched.hosts:
        rules |= scope.virtual_services_to(touched.hosts)
        # A destination that is no service's host has the DestinationRule of a wildcard, too.
        for host in filter(is_wildcard, touched.destination_hosts):
            rules.update(
                rule
                for rule in scope.virtual_services
                if any(matches(host, scope.destination_host(name)) for name in rule.destination_hosts)
            )
    if not rules and not touched.hosts:
        return set()
    ports = {ANY_PORT}
    hosts = {host for _, host in touched.services | touched.destination_rules} | touched.destination_hosts
    for host in hosts:
        for service in (*_services(host, touched.before), *_services(host, scope)):
            ports.update(port.number for port in service.ports)
    for rule in rules:
        ports |= _ports_over(rule, scope) | {DEFAULT_HTTP_PORT}
    return ports


def _ports_over(rule: VirtualServiceRule, scope: SidecarScope) -> set[int]:
    """Return the ports of the services that the rule's hosts cover."""
    return {
        port.number
        for host in rule.hosts
        for service in _services(host, scope)
        for port in service.ports
        if port.protocol is not Protocol.UDP
    }


def _services(host: str, scope: SidecarScope) -> Iterator[Service]:
    """Yield the services that a host covers; egress listeners may have different ones of one hostname."""
    found = scope.service(host)
    if found is not None:
        yield found
    for egress in scope.egress_listeners:
        if is_wildcard(host):
            yield from (each for each in egress.services if matches(host, each.hostname))
        elif (service := egress.service(host)) is not None and service is not found:
            yield service
