"""The ports whose routes a change may concern."""

from __future__ import annotations

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
    for key in touched.services | touched.destination_rules:
        for service in (touched.before.service(key[1]), scope.service(key[1])):
            if service is not None:
                ports.update(port.number for port in service.ports)
    for rule in rules:
        ports |= _ports_over(rule, scope) | {DEFAULT_HTTP_PORT}
    return ports


def _ports_over(rule: VirtualServiceRule, scope: SidecarScope) -> set[int]:
    """Return the ports of the services that the rule's hosts cover."""
    services: list[Service | None] = []
    for host in rule.hosts:
        if is_wildcard(host):
            services += [service for service in scope.services if matches(host, service.hostname)]
        else:
            services.append(scope.service(host))
    return {
        port.number
        for service in services
        if service is not None
        for port in service.ports
        if port.protocol is not Protocol.UDP
    }
