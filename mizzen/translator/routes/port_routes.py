"""The routes of one port of a sidecar, which follow changes.

They are passed on from snapshot to snapshot: what a change does not concern keeps its objects and bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from envoy.config.route.v3 import route_components_pb2

from mizzen.config.document import ConfigKey
from mizzen.config.models import ConsistentHashLB
from mizzen.mesh.facts import Routed
from mizzen.mesh.rules.virtual_services import MESH, VirtualServiceRule
from mizzen.mesh.scope.domains import NamesKnownAs
from mizzen.mesh.scope.virtual_hosts import (
    ANY_PORT,
    NO_VIRTUAL_HOSTS,
    Contributes,
    VirtualHost,
    VirtualHosts,
)
from mizzen.persistent import ChunkedSequence, DictEdit, LayeredDict
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.routes.encoding import EncodedVirtualHost, encoded_routes
from mizzen.translator.routes.hash_policy import service_hash
from mizzen.translator.routes.rules import Place, RuleRoutes, rule_routes
from mizzen.translator.routes.virtual_service import (
    Caller,
    DefaultRoutes,
    RouteList,
    RouteOrigin,
)

if TYPE_CHECKING:
    from mizzen.mesh.scope.egress_listener import EgressListener
    from mizzen.mesh.scope.sidecar_scope import SidecarScope
    from mizzen.mesh.scope_difference import ScopeDifference
    from mizzen.xds.resource import Resource

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, eq=False)
class PortRoutes:
    """The routes of one port as they stand; never changed.

    `silent` are the rules that look at labels and have no route for this kind of proxy, of those `labelled`
    that there were. `rules` have the routes of the VirtualServices that virtual hosts belong to; `encoded`
    are the virtual hosts by name.
    """

    hosts: VirtualHosts = NO_VIRTUAL_HOSTS
    silent: frozenset[VirtualServiceRule] = frozenset()
    labelled: LayeredDict[ConfigKey, VirtualServiceRule] = field(default_factory=LayeredDict)
    rules: LayeredDict[VirtualServiceRule, RuleRoutes] = field(default_factory=LayeredDict)
    encoded: ChunkedSequence[EncodedVirtualHost] = field(default_factory=ChunkedSequence)

    def origins(self, host: VirtualHost) -> tuple[RouteOrigin, ...]:
        """Return the names and places of the routes of a virtual host."""
        if host.rule is not None:
            return self.rules[host.rule].routes.origins
        return tuple(("default", origin) for origin in host.service.origins) if host.service else ()

    def labelled_until(
        self, labelled: LayeredDict[ConfigKey, VirtualServiceRule]
    ) -> frozenset[VirtualServiceRule]:
        """Return the rules that look at labels and came or went since: also before changes that did not
        concern the port."""
        keys = labelled.differing(self.labelled)
        found = [each.get(key) for key in keys for each in (self.labelled, labelled)]
        return frozenset(rule for rule in found if rule is not None)


def _silent(
    listener: EgressListener, rules: Iterable[VirtualServiceRule], contributes: Contributes
) -> frozenset[VirtualServiceRule]:
    """Return those of `rules` that are there, look at labels, and have no route."""
    labelled = listener.labelled_rules
    return frozenset(
        rule
        for rule in rules
        if labelled.get(rule.config.key) is rule and listener.imports(rule) and not contributes(rule)
    )


class CarriedRoutes:
    """What the route configurations of one profile pass on from snapshot to snapshot: the routes of each port
    that was asked for, and the last configuration of each name. What a change has superseded goes at once."""

    def __init__(self) -> None:
        self._ports: LayeredDict[Routed, PortRoutes] = LayeredDict()
        self._made: LayeredDict[str, tuple[object, object, Resource]] = LayeredDict()

    def following(
        self, difference: ScopeDifference, routing: Routing, only: Container[Routed] | None = None
    ) -> CarriedRoutes:
        """Return what `routing`, whose scope differs in that, goes on from: the same for ports whose routes
        stay. With `only`, no other ports are brought up to date, so none may be asked for."""
        made = CarriedRoutes()
        if not difference.everything:
            ports = self._ports.edit()
            for fact in difference.routed:
                held = self._ports.get(fact)
                if held is not None and (only is None or fact in only):
                    ports.put(fact, routing.changed_port(held, difference, fact))
            made._ports, made._made = ports.finish(), self._made
        return made

    def port(self, fact: Routed, routing: Routing) -> PortRoutes:
        """Return the routes of a port of an egress listener."""
        held = self._ports.get(fact)
        if held is None:
            held = routing.port_from_nothing(fact)
            self._ports = self._ports.updated({fact: held})
        return held

    def with_ports(self, facts: AbstractSet[Routed], others: Callable[[], CarriedRoutes]) -> CarriedRoutes:
        """Return the same with the routes of these ports: those that are not there yet are among `others`."""
        missing = [fact for fact in facts if fact not in self._ports]
        if not missing:
            return self
        found = others()._ports
        made = CarriedRoutes()
        made._made = self._made
        made._ports = self._ports.updated({fact: found[fact] for fact in missing if fact in found})
        return made

    def configuration(
        self, name: str, encoded: object, catch_all: object, build: Callable[[], Resource]
    ) -> Resource:
        """Return the configuration of that name, which is made of these virtual hosts."""
        found = self._made.get(name)
        if found is None or found[0] is not encoded or found[1] is not catch_all:
            found = (encoded, catch_all, build())
            self._made = self._made.updated({name: found})
        return found[2]

    def without(self, names: Iterable[str], ports: Iterable[Routed]) -> CarriedRoutes:
        """Return the same without configurations that nobody fetches any more, and ports that none reads."""
        made = CarriedRoutes()
        made._ports, made._made = self._ports.updated({}, ports), self._made.updated({}, names)
        return made


@dataclass(frozen=True, slots=True)
class Routing:
    """What the routes of a profile depend on, besides what each listener serves."""

    scope: SidecarScope
    settings: RouteSettings
    memo: Memo

    def port_from_nothing(self, fact: Routed) -> PortRoutes:
        """Return the routes of a port: what comes of nothing when all that there is comes."""
        port, listener = fact.number, self.scope.egress_listeners[fact.position]
        contributes = self._contributes(port)
        silent = _silent(listener, listener.labelled_rules.values(), contributes)
        hosts = listener.virtual_hosts(port, self._names, silent, contributes)
        held = PortRoutes(silent=silent, labelled=listener.labelled_rules)
        return self._with(held, hosts, hosts.by_host, held.rules.edit(), self._place(port, listener))

    def changed_port(self, held: PortRoutes, difference: ScopeDifference, fact: Routed) -> PortRoutes:
        """Return the routes of a port after a change; what it does not concern is that of `held`."""
        port, listener = fact.number, self.scope.egress_listeners[fact.position]
        contributes = self._contributes(port)
        labelled = held.labelled_until(listener.labelled_rules).union(
            rule for rule in difference.rules if rule.source_labels
        )
        silent = held.silent.difference(labelled) | _silent(listener, labelled, contributes)
        changed = difference.rules | labelled
        hosts = listener.virtual_hosts(
            port, self._names, silent, contributes, held.hosts, difference.services, changed
        )
        held = replace(held, silent=silent, labelled=listener.labelled_rules)
        place = self._place(port, listener)
        rules = held.rules.edit()
        for rule in difference.rules:
            rules.discard(rule)
        moved = set(difference.rules)
        for rule in _common(difference.leading, held.rules):
            known = rules[rule]
            found = self._routes(rule, place, known)
            if found is not known:
                rules.put(rule, found)
                moved.add(rule)
        concerned = {*hosts.by_host.differing(held.hosts.by_host), *hosts.hosts_of(moved)}
        concerned.update(_common(difference.hosts, hosts.by_host))
        return self._with(held, hosts, concerned, rules, place)

    def _with(
        self,
        held: PortRoutes,
        hosts: VirtualHosts,
        concerned: Iterable[str],
        rules: DictEdit[VirtualServiceRule, RuleRoutes],
        place: Place,
    ) -> PortRoutes:
        """Return the port with the virtual hosts of the hosts `concerned` encoded anew."""
        left: set[VirtualServiceRule] = set()
        gone: dict[EncodedVirtualHost, None] = {}
        come: dict[EncodedVirtualHost, None] = {}
        for name in concerned:
            for host in held.hosts.served(name):
                if host.rule is not None and host.rule in rules:
                    left.add(host.rule)
                gone[held.encoded.find(host.name, _by_name)] = None
            for host in hosts.served(name):
                if host.rule is not None and host.rule not in rules:
                    rules.put(host.rule, self._routes(host.rule, place, None))
                come[self._encoded(host, rules)] = None
        for rule in left - hosts.serving(left):
            rules.discard(rule)
        kept = gone.keys() & come.keys()
        encoded = held.encoded.updated(
            [each for each in gone if each not in kept], [each for each in come if each not in kept], _by_name
        )
        return replace(held, hosts=hosts, rules=rules.finish(), encoded=encoded)

    def _routes(self, rule: VirtualServiceRule, place: Place, held: RuleRoutes | None) -> RuleRoutes:
        return rule_routes(rule, place, self.scope, self.settings, held, None, self.memo)

    @property
    def _names(self) -> NamesKnownAs:
        return NamesKnownAs.of(self.scope.profile)

    def _contributes(self, port: int) -> Contributes:
        profile = self.scope.profile
        return Caller(profile.namespace, profile.labels, port).applies_any

    @staticmethod
    def _place(port: int, listener: EgressListener) -> Place:
        # Sidecars take a destination without a port to mean the port that was asked for, not a service's
        # only one.
        return Place(port, MESH, False, listener.service if port == ANY_PORT else _no_service)

    def _encoded(
        self, host: VirtualHost, rules: Mapping[VirtualServiceRule, RuleRoutes]
    ) -> EncodedVirtualHost:
        return self.encoded(host, rules, host.domains)

    def encoded(
        self, host: VirtualHost, rules: Mapping[VirtualServiceRule, RuleRoutes], domains: tuple[str, ...]
    ) -> EncodedVirtualHost:
        """Return the virtual host with these domains: with the routes of its VirtualService, or with the one
        route of a service that has none."""
        if host.rule is not None:
            return self.memo(_ruled_host, host.name, domains, rules[host.rule].routes, self.settings)
        assert host.service is not None
        hashed = service_hash(self.scope.destination_rule(host.service), host.port)
        hostname = host.service.hostname
        return self.memo(_default_host, host.name, domains, hostname, host.port, hashed, self.settings)


def _ruled_host(
    name: str, domains: tuple[str, ...], routes: RouteList, settings: RouteSettings
) -> EncodedVirtualHost:
    return EncodedVirtualHost(virtual_host_head(name, domains, settings), routes.fields, routes.places)


def _default_host(
    name: str,
    domains: tuple[str, ...],
    hostname: str,
    port: int,
    hashed: ConsistentHashLB | None,
    settings: RouteSettings,
) -> EncodedVirtualHost:
    route = _default_routes(settings).route(hostname, port, hashed)
    return EncodedVirtualHost(virtual_host_head(name, domains, settings), encoded_routes((route,)))


_default_routes = lru_cache(maxsize=8)(DefaultRoutes)
_by_name = attrgetter("name")


def _common(some: AbstractSet[Key], others: Mapping[Key, Any]) -> list[Key]:
    """Return what both have, at the cost of the smaller one."""
    if len(some) <= len(others):
        return [each for each in some if each in others]
    return [each for each in others if each in some]


def _no_service(_: str) -> None:
    """There is none."""


def virtual_host_head(name: str, domains: Sequence[str], settings: RouteSettings) -> Any:
    """Return a VirtualHost without routes."""
    return route_components_pb2.VirtualHost(
        name=name, domains=domains, include_request_attempt_count=settings.include_request_attempt_count
    )
