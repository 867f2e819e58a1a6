"""What outbound listeners read of a scope, recorded, and what of that is not the same in two snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from mizzen.config import models
from mizzen.mesh.hosts import is_wildcard, matches
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.destination_rules import MergedDestinationRule
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.egress_listener import EgressListener
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.service import EndpointPool, Protocol, Resolution, Service
from mizzen.mesh.services.registry import ServiceKey

_HTTP: Final = frozenset(protocol for protocol in Protocol if protocol.is_http)


@dataclass(frozen=True, slots=True)
class Called:
    """The services that are called on a port of an egress listener: what its listeners depend on of them."""

    position: int
    number: int


@dataclass(frozen=True, slots=True)
class Imported:
    """All services of an egress listener with a port of its own."""

    position: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The VirtualServices over a host that have TCP or TLS rules."""

    host: str


@dataclass(frozen=True, slots=True)
class Meant:
    """What a destination's host means: its service, the host that it is an alias of, its DestinationRule."""

    host: str


@dataclass(frozen=True, slots=True)
class Pool:
    """The endpoints of a service."""

    service: ServiceKey


Fact = Called | Imported | Rules | Meant | Pool


class RecordedScope:
    """Answers of a scope, and in `read` the facts that they were answered from. What else it tells stays as
    it is for as long as the Sidecar does."""

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
        """Return the facts that were read since this was last asked."""
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
        """Return the host whose clusters a destination's host means, which may be an alias."""
        self.read.add(Meant(hostname))
        return self._scope.destination_host(hostname)

    def destination_rule(self, service: Service | str) -> MergedDestinationRule | None:
        """Return the DestinationRule that holds for a service or hostname, as `SidecarScope` does."""
        host = self.destination_host(service) if isinstance(service, str) else service.hostname
        self.read.add(Meant(host))
        return self._scope.destination_rule(service)


class RecordedEgressListener:
    """Answers of an egress listener, and the facts that they were answered from."""

    def __init__(self, listener: EgressListener, position: int, read: set[Fact]) -> None:
        self._listener = listener
        self._position = position
        self._read = read
        self.port: models.SidecarPort | None = listener.port
        self.bind = listener.bind
        self.capture_mode = listener.capture_mode

    @cached_property
    def numbers(self) -> AbstractSet[int]:
        """The ports that services are called on; reading this is not recorded."""
        return self._listener.by_port.keys()

    @property
    def services(self) -> Iterable[Service]:
        """All services, oldest first."""
        self._read.add(Imported(self._position))
        return self._listener.services

    def services_on(self, number: int) -> Iterable[Service]:
        """Return the services that a port's listeners depend on, oldest first: all that have the port, or the
        first of them where they are all alike."""
        self._read.add(Called(self._position, number))
        found = self._listener.services_on(number)
        return found[:1] if _all_alike(found, number) else found

    def l4_rules_for(self, hostname: str) -> tuple[VirtualServiceRule, ...]:
        """Return the rules over a host that have TCP or TLS rules, in the order in which they are tried."""
        self._read.add(Rules(hostname))
        return tuple(rule for rule in self._listener.virtual_services_for(hostname) if rule.tcp or rule.tls)


def _all_alike(services: Iterable[Service], number: int) -> bool:
    """Return whether services are called by HTTP on a port, and told apart by its routes alone: the listener
    of the first is that of all."""
    for service in services:
        if service.shared is not None or service.resolution in (Resolution.DYNAMIC_DNS, Resolution.ALIAS):
            return False
        for port in service.ports:
            if port.number == number and port.protocol not in _HTTP:
                return False
    return True


class ChangedFacts(NamedTuple):
    """Facts that may be different. `wildcards` stand for facts of their type with any host under them."""

    facts: frozenset[Fact]
    wildcards: tuple[Rules | Meant, ...] = ()

    @classmethod
    def of(
        cls,
        before: SidecarScope,
        after: SidecarScope,
        rules: Iterable[VirtualServiceRule],
        hosts: Iterable[str],
        pools: Iterable[ServiceKey],
    ) -> ChangedFacts:
        """Compare two scopes with the same Sidecar. `rules` are those that one has and the other has not,
        `hosts` those of services and DestinationRules that differ, with their aliases, `pools` the services
        whose endpoints do."""
        return cls.about((rule for rule in rules if rule.tcp or rule.tls), hosts).and_facts(
            (*_called(before, after), *map(Pool, pools))
        )

    @classmethod
    def about(cls, rules: Iterable[VirtualServiceRule], hosts: Iterable[str]) -> ChangedFacts:
        """Return the facts that rules, and the services and DestinationRules of hosts, have a part in."""
        found: list[Rules | Meant] = [Rules(host) for rule in rules for host in rule.hosts]
        found += map(Meant, hosts)
        return cls(frozenset(found), tuple(fact for fact in found if is_wildcard(fact.host)))

    def and_facts(self, facts: Iterable[Fact]) -> ChangedFacts:
        """Return these and more facts."""
        return ChangedFacts(self.facts.union(facts), self.wildcards)

    def among(self, read: Iterable[Fact]) -> Iterator[Fact]:
        """Yield facts with all among them that have changed and were read."""
        yield from self.facts
        for wild in self.wildcards:
            for fact in read:
                if isinstance(fact, type(wild)) and matches(wild.host, fact.host):
                    yield fact

    @property
    def ports(self) -> Iterator[int]:
        """The ports that other services are called on."""
        return (fact.number for fact in self.facts if isinstance(fact, Called))


def _called(before: SidecarScope, after: SidecarScope) -> Iterator[Fact]:
    """Yield what is called on ports and is different."""
    pairs = zip(before.egress_listeners, after.egress_listeners, strict=True)
    for position, (was, now) in enumerate(pairs):
        if was.services is now.services:
            continue
        if now.port is not None:
            yield Imported(position)
            continue
        gone, come = was.services.difference(now.services)
        for number in {port.number for service in (*gone, *come) for port in service.ports}:
            old, new = was.by_port.get(number, ()), now.by_port.get(number, ())
            alike = _all_alike(gone, number) and _all_alike(now.services_on(number), number)
            if old[:1] != new[:1] or not alike:
                yield Called(position, number)
