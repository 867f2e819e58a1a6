"""The ports whose listeners and routes a change may concern."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mizzen.mesh.hosts import is_wildcard, matches
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.scope.virtual_hosts import ANY_PORT, DEFAULT_HTTP_PORT
from mizzen.mesh.service import Protocol, Resolution, Service
from mizzen.translator.listeners.outbound import PortListeners, has_chains, is_for_connections
from mizzen.translator.touched import ServedService, ServiceKey, Touched


def listened_ports(
    touched: Touched,
    scope: SidecarScope,
    listeners: Mapping[int, PortListeners],
    served: Mapping[ServiceKey, ServedService],
) -> set[int] | None:
    """Return the ports whose listeners may be different; None: any. HTTP's routes are no part of listeners,
    and mostly a service that is called by HTTP adds nothing to the listener of its port.

    `served` are the services in scope.
    """
    if touched.scope or (touched.hosts and scope.egress_proxy is not None):
        return None
    own = {egress.port.number for egress in scope.egress_listeners if egress.port is not None}
    ports = {
        port.number
        for service in _moved(touched, scope)
        for port in service.ports
        if not (port.number in listeners and listeners[port.number].serve_already(service, port))
    }
    rules = {rule for rule in touched.rules if rule.tcp or rule.tls}
    if touched.hosts:
        # Chains name the ports of the services that TCP and TLS rules lead to, and have their rules' limits.
        wild = any(map(is_wildcard, touched.hosts))
        leading = scope.virtual_services if wild else scope.virtual_services_to(touched.hosts)
        rules.update(rule for rule in leading if rule.tcp or rule.tls)
    for rule in rules:
        ports |= _ports_over(rule, scope)
    for service in [served[key].service for key in touched.endpoints if key in served]:
        if service.resolution is Resolution.NONE or service.headless:
            ports.update(port.number for port in service.ports)
    # A rule's limits on TCP connections stand in the chains of the services that it is for.
    for service in [served[key].service for key in touched.destination_rules]:
        if has_chains(service):
            ports.update(port.number for port in service.ports)
    # A listener of a Sidecar's own port may be for services whatever ports they have, even none.
    for_connections = touched.destination_rules and any(map(is_for_connections, scope.egress_listeners))
    return ports | own if ports or rules or touched.services or for_connections else ports


def _moved(touched: Touched, scope: SidecarScope) -> Iterable[Service]:
    """Yield the touched services that listeners import, as they were and as they are now. Aliases have
    none."""
    for egress in (*touched.before.egress_listeners, *scope.egress_listeners):
        for _, host in touched.services:
            service = egress.service(host)
            if service is not None and not service.is_alias:
                yield service


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
