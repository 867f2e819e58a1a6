"""The routes of one port of a sidecar, with incremental updates.

Each snapshot starts from the routes of the one before. Routes that a change does not concern keep their
objects and bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from envoy.config.route.v3 import route_components_pb2

from mizzen.config.document import ConfigKey
from mizzen.config.models import ConsistentHashLB
from mizzen.mesh.facts import Routed
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
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
from mizzen.translator.routes.rules import RoutedListener, RuleRoutes, rule_routes
from mizzen.translator.routes.virtual_service import (
    Caller,
    DefaultRoutes,
    RouteList,
    RouteOrigin,
)

if TYPE_CHECKING:
    from mizzen.mesh.changes.scope_difference import ScopeDifference
    from mizzen.mesh.scope.egress_listener import EgressListener
    from mizzen.mesh.scope.sidecar_scope import SidecarScope
    from mizzen.xds.resource import Resource

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, eq=False)
class PortRoutes:
    """The routes of one port in one snapshot; immutable.

    `labelled` are all rules that look at labels, `silent` those of them that have no route for this kind of
    proxy. `rules` has the routes of each VirtualService that owns a virtual host; `encoded` are the virtual
    hosts, sorted by name.
    """

    hosts: VirtualHosts = NO_VIRTUAL_HOSTS
    silent: frozenset[VirtualServiceRule] = frozenset()
    labelled: LayeredDict[ConfigKey, VirtualServiceRule] = field(default_factory=LayeredDict)
    rules: LayeredDict[VirtualServiceRule, RuleRoutes] = field(default_factory=LayeredDict)
    encoded: ChunkedSequence[EncodedVirtualHost] = field(default_factory=ChunkedSequence)

    def origins(self, host: VirtualHost) -> tuple[RouteOrigin, ...]:
        """Return the names and origins of the routes of a virtual host."""
        if host.rule is not None:
            return self.rules[host.rule].routes.origins
        return tuple(("default", origin) for origin in host.service.origins) if host.service else ()

    def labelled_until(
        self, labelled: LayeredDict[ConfigKey, VirtualServiceRule]
    ) -> frozenset[VirtualServiceRule]:
        """Return the rules with labels that were added or removed since these routes were made, even in
        changes that did not concern the port."""
        keys = labelled.differing(self.labelled)
        found = [each.get(key) for key in keys for each in (self.labelled, labelled)]
        return frozenset(rule for rule in found if rule is not None)


class PortOverlay(NamedTuple):
    """The routes of a port for proxies with labels, as what differs from the routes `below` of all.

    `not_silent` are rules that have routes only for proxies with these labels. A rule that has routes for
    proxies without labels has them for all.
    """

    by_host: _Over[str, tuple[VirtualHost, ...]]
    by_domain: _Over[str, str | tuple[str, ...]]
    contested: _Over[str, tuple[str, ...]]
    rules: _Over[VirtualServiceRule, RuleRoutes]
    not_silent: frozenset[VirtualServiceRule]
    gone: tuple[EncodedVirtualHost, ...]
    come: tuple[EncodedVirtualHost, ...]

    @classmethod
    def between(cls, below: PortRoutes, made: PortRoutes) -> PortOverlay:
        """Return what makes `made` of `below`."""
        gone, come = below.encoded.differing(made.encoded)
        said = {(each.name, each.digest, each.places) for each in gone}
        said.intersection_update([(each.name, each.digest, each.places) for each in come])
        return cls(
            _Over.between(below.hosts.by_host, made.hosts.by_host),
            _Over.between(below.hosts.by_domain, made.hosts.by_domain),
            _Over.between(below.hosts.contested, made.hosts.contested),
            _Over.between(below.rules, made.rules),
            below.silent - made.silent,
            *(
                tuple(
                    sorted(
                        (one for one in each if (one.name, one.digest, one.places) not in said), key=_by_name
                    )
                )
                for each in (gone, come)
            ),
        )

    def on(self, below: PortRoutes) -> PortRoutes:
        """Return the routes. `below` may be later ones than the overlay was made for, if no name was touched
        that the overlay reads (`Routing.touched`)."""
        hosts = below.hosts
        if self.by_host:
            hosts = VirtualHosts(
                self.by_host.on(hosts.by_host),
                self.by_domain.on(hosts.by_domain),
                self.contested.on(hosts.contested),
            )
        return PortRoutes(
            hosts,
            below.silent - self.not_silent,
            below.labelled,
            self.rules.on(below.rules),
            below.encoded.updated(self.gone, self.come, _by_name),
        )

    def names(self, on: PortRoutes, apart: ScopeDifference) -> set[str]:
        """Return the names that the overlay reads; `on` are the routes with it. `apart` is the difference of
        the two kinds of proxies."""
        served = (each for host in self.by_host for each in on.hosts.by_host.get(host, ()))
        owners = (each.rule for each in served if each.rule is not None)
        rules = chain(apart.rules, apart.leading, self.rules, owners)
        names = {*apart.hosts, *self.by_host, *self.by_domain}.union(*[rule.hosts for rule in rules])
        return on.hosts.with_rivals(names)


class _Over(dict[Key, Value | None], Generic[Key, Value]):
    """What differs in a mapping from the one below it; None for a removed key."""

    @classmethod
    def between(cls, below: LayeredDict[Key, Value], made: LayeredDict[Key, Value]) -> _Over[Key, Value]:
        return cls({key: made.get(key) for key in made.differing(below)})

    def on(self, below: LayeredDict[Key, Value]) -> LayeredDict[Key, Value]:
        removed = [key for key, value in self.items() if value is None]
        members = {key: value for key, value in self.items() if value is not None}
        return LayeredDict.over(below, members, removed)


def _silent(
    listener: EgressListener, rules: Iterable[VirtualServiceRule], contributes: Contributes
) -> frozenset[VirtualServiceRule]:
    """Return those of `rules` that look at labels, are in effect for the listener, and have no route."""
    labelled = listener.labelled_rules
    return frozenset(
        rule
        for rule in rules
        if labelled.get(rule.config.key) is rule and listener.imports(rule) and not contributes(rule)
    )


class CachedRoutes:
    """The parts of one profile's route configurations that the next snapshot reuses.

    These are the routes of each port that was asked for, and the last configuration of each name. Outdated
    parts are dropped at once.
    """

    def __init__(self, ports: Mapping[Routed, PortRoutes] | None = None) -> None:
        self._ports: LayeredDict[Routed, PortRoutes] = LayeredDict(ports)
        self._made: LayeredDict[str, tuple[object, object, Resource]] = LayeredDict()

    def following(self, difference: ScopeDifference, routing: Routing) -> CachedRoutes:
        """Return the parts for `routing`, whose scope differs by `difference`. Ports without changes keep
        their routes."""
        made = CachedRoutes()
        if not difference.everything:
            ports = self._ports.edit()
            for fact in difference.routed:
                previous = self._ports.get(fact)
                if previous is not None:
                    ports.put(fact, routing.changed_port(previous, difference, fact))
            made._ports, made._made = ports.finish(), self._made
        return made

    def get(self, fact: Routed) -> PortRoutes | None:
        """Return the routes of a port, if they were asked for before."""
        return self._ports.get(fact)

    def port(self, fact: Routed, routing: Routing) -> PortRoutes:
        """Return the routes of a port of an egress listener."""
        found = self._ports.get(fact)
        if found is None:
            found = routing.port_from_nothing(fact)
            self._ports = self._ports.updated({fact: found})
        return found

    def configuration(
        self, name: str, encoded: object, catch_all: object, build: Callable[[], Resource]
    ) -> Resource:
        """Return the configuration `name`: the previous one if it has the same virtual hosts, else a new one
        from `build`."""
        found = self._made.get(name)
        if found is None or found[0] is not encoded or found[1] is not catch_all:
            found = (encoded, catch_all, build())
            self._made = self._made.updated({name: found})
        return found[2]

    def without(self, names: Iterable[str], ports: Iterable[Routed]) -> CachedRoutes:
        """Return a copy without these configurations and ports, which are no longer used."""
        made = CachedRoutes()
        made._ports, made._made = self._ports.updated({}, ports), self._made.updated({}, names)
        return made


@dataclass(frozen=True, slots=True)
class Routing:
    """What the routes of a profile depend on, besides each listener's services and rules."""

    scope: SidecarScope
    settings: RouteSettings
    memo: Memo

    def port_from_nothing(self, fact: Routed) -> PortRoutes:
        """Return the routes of a port, built without previous ones."""
        port, listener = fact.number, self.scope.egress_listeners[fact.position]
        caller = self._caller(port)
        contributes = caller.applies_any
        silent = _silent(listener, listener.labelled_rules.values(), contributes)
        hosts = listener.virtual_hosts(port, self._names, silent, contributes)
        empty = PortRoutes(silent=silent, labelled=listener.labelled_rules)
        return self._with(empty, hosts, hosts.by_host, empty.rules.edit(), self._routed(caller, listener))

    def changed_port(self, previous: PortRoutes, difference: ScopeDifference, fact: Routed) -> PortRoutes:
        """Return the routes of a port after a change. They reuse the parts of `previous` that the change does
        not concern."""
        port, listener = fact.number, self.scope.egress_listeners[fact.position]
        caller = self._caller(port)
        contributes = caller.applies_any
        labelled = previous.labelled_until(listener.labelled_rules).union(
            rule for rule in difference.rules if rule.source_labels
        )
        silent = previous.silent.difference(labelled) | _silent(listener, labelled, contributes)
        changed = difference.rules | labelled
        hosts = listener.virtual_hosts(
            port, self._names, silent, contributes, previous.hosts, difference.services, changed
        )
        previous = replace(previous, silent=silent, labelled=listener.labelled_rules)
        routed = self._routed(caller, listener)
        rules = previous.rules.edit()
        for rule in difference.rules:
            rules.discard(rule)
        moved = set(difference.rules)
        for rule in _common(difference.leading, previous.rules):
            known = rules[rule]
            found = self._routes(rule, routed, known)
            if found is not known:
                rules.put(rule, found)
                moved.add(rule)
        concerned = {*hosts.by_host.differing(previous.hosts.by_host), *hosts.hosts_of(moved)}
        concerned.update(_common(difference.hosts, hosts.by_host))
        return self._with(previous, hosts, concerned, rules, routed)

    def touched(
        self, before: PortRoutes, after: PortRoutes, difference: ScopeDifference, fact: Routed
    ) -> set[str]:
        """Return the names that a change of a port touches: hosts, domains that other hosts want now, and the
        wildcards over these.

        Two changes of a port that touch no name in common come out alike in any order, whichever rules
        contribute. So what labels decide about a port holds after a change that touches nothing of it.
        """
        listener = self.scope.egress_listeners[fact.position]
        rules = difference.rules | before.labelled_until(listener.labelled_rules)
        hosts = listener.hosts_concerned(fact.number, self._names, difference.services, rules)
        hosts |= difference.hosts | after.hosts.hosts_of(difference.leading)
        names = {*hosts, *after.hosts.by_domain.differing(before.hosts.by_domain)}
        names = before.hosts.with_rivals(names) | after.hosts.with_rivals(names)
        # What labels decide about a wildcard, they decide about each host under it.
        return names.union(*map(listener.wildcards_over, names))

    def _with(
        self,
        previous: PortRoutes,
        hosts: VirtualHosts,
        concerned: Iterable[str],
        rules: DictEdit[VirtualServiceRule, RuleRoutes],
        listener: RoutedListener,
    ) -> PortRoutes:
        """Return the port with the virtual hosts of the hosts `concerned` encoded again."""
        left: set[VirtualServiceRule] = set()
        gone: dict[EncodedVirtualHost, None] = {}
        come: dict[EncodedVirtualHost, None] = {}
        for name in concerned:
            for host in previous.hosts.served(name):
                if host.rule is not None and host.rule in rules:
                    left.add(host.rule)
                gone[previous.encoded.find(host.name, _by_name)] = None
            for host in hosts.served(name):
                if host.rule is not None and host.rule not in rules:
                    rules.put(host.rule, self._routes(host.rule, listener, None))
                come[self._encoded(host, rules)] = None
        for rule in left - hosts.serving(left):
            rules.discard(rule)
        kept = gone.keys() & come.keys()
        encoded = previous.encoded.updated(
            [each for each in gone if each not in kept], [each for each in come if each not in kept], _by_name
        )
        return replace(previous, hosts=hosts, rules=rules.finish(), encoded=encoded)

    def _routes(
        self, rule: VirtualServiceRule, listener: RoutedListener, previous: RuleRoutes | None
    ) -> RuleRoutes:
        return rule_routes(rule, listener, self.scope, self.settings, previous, self.memo)

    @property
    def _names(self) -> NamesKnownAs:
        return NamesKnownAs.of(self.scope.profile)

    def _caller(self, port: int) -> Caller:
        profile = self.scope.profile
        return Caller(profile.namespace, profile.labels, port)

    @staticmethod
    def _routed(caller: Caller, listener: EgressListener) -> RoutedListener:
        # On sidecars, a destination without a port means the listener's port, not the only port of the
        # service.
        return RoutedListener(caller, False, listener.service if caller.port == ANY_PORT else _no_service)

    def _encoded(
        self, host: VirtualHost, rules: Mapping[VirtualServiceRule, RuleRoutes]
    ) -> EncodedVirtualHost:
        return self.encoded(host, rules, host.domains)

    def encoded(
        self, host: VirtualHost, rules: Mapping[VirtualServiceRule, RuleRoutes], domains: tuple[str, ...]
    ) -> EncodedVirtualHost:
        """Return the virtual host with these domains. It has the routes of its VirtualService, or the default
        route of a service without one."""
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
    """Return the common members, at the cost of the smaller collection."""
    if len(some) <= len(others):
        return [each for each in some if each in others]
    return [each for each in others if each in some]


def _no_service(_: str) -> None:
    """Return None: on sidecars, a service's only port does not count."""


def virtual_host_head(name: str, domains: Sequence[str], settings: RouteSettings) -> Any:
    """Return a VirtualHost without routes."""
    return route_components_pb2.VirtualHost(
        name=name, domains=domains, include_request_attempt_count=settings.include_request_attempt_count
    )
