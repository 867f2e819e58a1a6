"""The routes of one port of a sidecar, which follow changes.

They are passed on from snapshot to snapshot: what a change does not concern keeps its objects and bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from envoy.config.route.v3 import route_components_pb2

from mizzen.config.document import ConfigKey
from mizzen.config.models import ConsistentHashLB
from mizzen.mesh.hosts import is_wildcard
from mizzen.mesh.rules.virtual_services import MESH, VirtualServiceRule
from mizzen.mesh.scope.domains import NamesKnownAs
from mizzen.mesh.scope.virtual_hosts import (
    ANY_PORT,
    NO_VIRTUAL_HOSTS,
    Contributes,
    VirtualHost,
    VirtualHosts,
)
from mizzen.persistent import ChunkedSequence, LayeredDict
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
    from mizzen.xds.resource import Resource


@dataclass(frozen=True, slots=True)
class RouteChanges:
    """What is not the same in two snapshots, for the routes of one profile: services by hostname, rules as
    they were and as they are, and the `hosts` of services and DestinationRules (those of aliases too)."""

    services: frozenset[str]
    rules: frozenset[VirtualServiceRule]
    hosts: frozenset[str]


_NO_CHANGES: Final = RouteChanges(frozenset(), frozenset(), frozenset())


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


_PortKey = tuple[int, int]
"""A port and the position of an egress listener: two HTTP proxies are for one port but other services."""


class CarriedRoutes:
    """What the route configurations of one profile pass on from snapshot to snapshot: the last state of each
    port and the last configuration of each name, and no scope. What a change has superseded goes at once."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[object, object, Resource]] = {}
        self._ports: dict[_PortKey, PortRoutes] = {}
        self._port_of: dict[str, _PortKey] = {}
        self._changes = _NO_CHANGES
        self._current: set[_PortKey] = set()

    def copy(self) -> CarriedRoutes:
        """Return the same, to be passed on by itself."""
        made = copy(self)
        made.made, made._ports, made._port_of = dict(self.made), dict(self._ports), dict(self._port_of)
        made._current = set(self._current)
        return made

    def following(self, changes: RouteChanges | None) -> CarriedRoutes:
        """Return what the next snapshot's go on from, which differs in `changes`; None: in anything."""
        made = self.copy()
        made._changes, made._current = changes or _NO_CHANGES, set()
        if changes is None:
            made._ports = {}
        return made

    def port(self, name: str, port: int, listener: EgressListener, routing: Routing) -> PortRoutes:
        """Return the port that the route configuration `name` is for, as it is now."""
        key = self._port_of[name] = (port, routing.scope.egress_listeners.index(listener))
        held = self._ports.get(key)
        if held is None:
            held = self._ports[key] = routing.port_from_nothing(port, listener)
        elif key not in self._current:
            held = self._ports[key] = routing.changed_port(held, self._changes, port, listener)
        self._current.add(key)
        return held

    def forget(self, names: Iterable[str]) -> None:
        """Forget route configurations that are there no more, and the ports that none is left of."""
        for name in names:
            self.made.pop(name, None)
            self._port_of.pop(name, None)
        needed = set(self._port_of.values())
        self._ports = {key: held for key, held in self._ports.items() if key in needed}


@dataclass(frozen=True, slots=True)
class Routing:
    """What the routes of a profile depend on, besides what each listener serves."""

    scope: SidecarScope
    settings: RouteSettings
    memo: Memo

    def port_from_nothing(self, port: int, listener: EgressListener) -> PortRoutes:
        """Return the routes of a port: what comes of nothing when all that there is comes."""
        contributes = self._contributes(port)
        silent = _silent(listener, listener.labelled_rules.values(), contributes)
        hosts = listener.virtual_hosts(port, self._names, silent, contributes)
        held = PortRoutes(silent=silent, labelled=listener.labelled_rules)
        return self._with(held, hosts, hosts.by_host, LayeredDict(), self._place(port, listener))

    def changed_port(
        self, held: PortRoutes, changes: RouteChanges, port: int, listener: EgressListener
    ) -> PortRoutes:
        """Return the routes of a port after changes; what they do not concern is that of `held`."""
        contributes = self._contributes(port)
        labelled = held.labelled_until(listener.labelled_rules).union(
            rule for rule in changes.rules if rule.source_labels
        )
        silent = held.silent.difference(labelled) | _silent(listener, labelled, contributes)
        hosts = listener.virtual_hosts(
            port,
            self._names,
            silent,
            contributes,
            held.hosts,
            changes.services,
            changes.rules.union(labelled),
        )
        held = replace(held, silent=silent, labelled=listener.labelled_rules)
        place = self._place(port, listener)
        rules = held.rules.edit()
        for rule in changes.rules:
            rules.discard(rule)
        moved = set(changes.rules)
        # The DestinationRule of a wildcard may be that of any destination.
        wild = any(map(is_wildcard, changes.hosts))
        for rule in tuple(rules) if wild else set(listener.virtual_services_to(changes.hosts)):
            known = rules.get(rule)
            if known is not None:
                found = self._routes(rule, place, known)
                if found is not known:
                    rules.put(rule, found)
                    moved.add(rule)
        concerned = {*hosts.by_host.differing(held.hosts.by_host), *hosts.hosts_of(moved)}
        concerned.update(hosts.by_host if wild else changes.hosts)
        return self._with(held, hosts, concerned, rules.finish(), place)

    def _with(
        self,
        held: PortRoutes,
        hosts: VirtualHosts,
        concerned: Iterable[str],
        rules: LayeredDict[VirtualServiceRule, RuleRoutes],
        place: Place,
    ) -> PortRoutes:
        """Return the port with the virtual hosts of the hosts `concerned` encoded anew."""
        edit = rules.edit()
        left: set[VirtualServiceRule | None] = set()
        gone: dict[EncodedVirtualHost, None] = {}
        come: dict[EncodedVirtualHost, None] = {}
        for name in concerned:
            for host in held.hosts.served(name):
                left.add(host.rule)
                gone[held.encoded.find(host.name, _by_name)] = None
            for host in hosts.served(name):
                left.discard(host.rule)
                if host.rule is not None and host.rule not in edit:
                    edit.put(host.rule, self._routes(host.rule, place, None))
                come[self._encoded(host, edit)] = None
        for rule in left:
            if rule is not None and not hosts.serve(rule):
                edit.discard(rule)
        kept = gone.keys() & come.keys()
        encoded = held.encoded.updated(
            [each for each in gone if each not in kept], [each for each in come if each not in kept], _by_name
        )
        return replace(held, hosts=hosts, rules=edit.finish(), encoded=encoded)

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


def _no_service(_: str) -> None:
    """There is none."""


def virtual_host_head(name: str, domains: Sequence[str], settings: RouteSettings) -> Any:
    """Return a VirtualHost without routes."""
    return route_components_pb2.VirtualHost(
        name=name, domains=domains, include_request_attempt_count=settings.include_request_attempt_count
    )
