"""A scope as outbound listeners read it: the facts that they read are recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Final

from mizzen.config import models
from mizzen.mesh.facts import Called, Fact, Imported, Meant, Pool, Rules
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.destination_rules import MergedDestinationRule
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.egress_listener import EgressListener
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.service import EndpointPool, Protocol, Resolution, Service

_HTTP: Final = frozenset(protocol for protocol in Protocol if protocol.is_http)


class RecordedScope:
    """Answers of a scope; `read` collects the facts from which they were given. Answers without such facts
    stay the same as long as the Sidecar does."""

    def __init__(self, scope: SidecarScope, endpoints: Callable[[Service], EndpointPool]) -> None:
        self.read: set[Fact] = set()
        self._scope = scope
        self._endpoints = endpoints
        self.profile: OutboundProfile = scope.profile
        self.outbound_traffic_policy = scope.outbound_traffic_policy
        self.egress_proxy: models.Destination | None = scope.egress_proxy
        self.egress_listeners = tuple(
            RecordedEgressListener(listener, position, self.read)
            for position, listener in enumerate(scope.egress_listeners)
        )

    def taken(self) -> AbstractSet[Fact]:
        """Return the facts that were read since the last call."""
        found = frozenset(self.read)
        self.read.clear()
        return found

    def router(self, number: int, bind: str) -> int | None:
        """Return the position of the egress listener that serves a port; None if there is none."""
        found = self._scope.egress_listener_for(number, bind)
        return None if found is None else self._scope.egress_listeners.index(found)

    def endpoints(self, service: Service) -> EndpointPool:
        """Return the endpoints of a service."""
        self.read.add(Pool(service.key))
        return self._endpoints(service)

    def destination_service(self, hostname: str) -> Service | None:
        """Return the service that a destination's host names, as `SidecarScope` does."""
        self.read.add(Meant(hostname))
        return self._scope.destination_service(hostname)

    def destination_host(self, hostname: str) -> str:
        """Return the host whose clusters a destination's host means; it differs for an alias."""
        self.read.add(Meant(hostname))
        return self._scope.destination_host(hostname)

    def destination_rule(self, service: Service | str) -> MergedDestinationRule | None:
        """Return the DestinationRule that applies to a service or hostname, as `SidecarScope` does."""
        host = self.destination_host(service) if isinstance(service, str) else service.hostname
        self.read.add(Meant(host))
        return self._scope.destination_rule(service)


class RecordedEgressListener:
    """Answers of an egress listener; the facts from which they were given are recorded."""

    def __init__(self, listener: EgressListener, position: int, read: set[Fact]) -> None:
        self._listener = listener
        self._position = position
        self._read = read
        self.port: models.SidecarPort | None = listener.port
        self.bind = listener.bind
        self.capture_mode = listener.capture_mode

    @cached_property
    def numbers(self) -> AbstractSet[int]:
        """The ports on which services are called; this read is not recorded."""
        return self._listener.by_port.keys()

    @property
    def services(self) -> Iterable[Service]:
        """All services, oldest first."""
        self._read.add(Imported(self._position))
        return self._listener.services

    def services_on(self, number: int) -> Iterable[Service]:
        """Return the services on which a port's listeners depend, oldest first: all services with the port,
        or only the first if all are alike."""
        self._read.add(Called(self._position, number))
        found = self._listener.services_on(number)
        return found[:1] if all_alike(found, number) else found

    def l4_rules_for(self, hostname: str) -> tuple[VirtualServiceRule, ...]:
        """Return the VirtualServices for a host that have TCP or TLS rules, in the order of trial."""
        self._read.add(Rules(hostname))
        return tuple(rule for rule in self._listener.virtual_services_for(hostname) if rule.tcp or rule.tls)


def all_alike(services: Iterable[Service], number: int) -> bool:
    """Return True if services are called by HTTP on a port and only its routes distinguish them. They all
    have the listener of the first service."""
    for service in services:
        if service.shared is not None or service.resolution in (Resolution.DYNAMIC_DNS, Resolution.ALIAS):
            return False
        for port in service.ports:
            if port.number == number and port.protocol not in _HTTP:
                return False
    return True
