"""The layer of sidecars with labels: the resources in which they differ from sidecars without labels.

Some rules look at labels of the calling proxy: sourceLabels of a VirtualService, workloadSelector and
failoverPriority of a DestinationRule. They affect few resources, and a class of proxies with labels has only
these for itself. A change that affects none of them needs no work beyond the shared resources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain
from typing import NamedTuple

from mizzen.config.diagnostics import Diagnostic
from mizzen.mesh.changes.scope_difference import NOTHING_DIFFERS, ScopeDifference
from mizzen.mesh.facts import Fact, Meant, Pool, Routed, Served
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.failover_labels import MentionedLabel
from mizzen.mesh.services.registry import ServiceKey
from mizzen.persistent import LayeredDict
from mizzen.translator.clusters.service_resources import ServiceResources
from mizzen.translator.listeners.outbound import PortListeners
from mizzen.translator.routes.encoding import PortPieces, Substitution
from mizzen.translator.routes.port_routes import CachedRoutes, PortOverlay, PortRoutes
from mizzen.translator.shared.alike_listeners import AlikeListeners
from mizzen.translator.shared.label_rules import LabelRules, labels_apart
from mizzen.translator.shared.laid_over import NOTHING_LAID_OVER
from mizzen.translator.shared.outbound import OutboundResources, Step
from mizzen.translator.shared.outbound_builder import OutboundBuilder
from mizzen.translator.shared.part_origins import OutboundParts
from mizzen.translator.tls.secret_references import SecretNames, all_secrets
from mizzen.xds.resource import Resource


class Sum(Enum):
    """Values summed up over all shared resources. They may change although no part of a layer is affected."""

    SECRETS = auto()
    DIAGNOSTICS = auto()


@dataclass(frozen=True, slots=True)
class Listened:
    """The dependency on the shared listeners that read a fact."""

    fact: Fact


@dataclass(frozen=True, slots=True)
class Fetched:
    """The dependency on which shared route configurations read the routes of a port."""

    fact: Routed


@dataclass(frozen=True, slots=True)
class Touched:
    """The dependency on a host or domain of a port (`Routing.touched`)."""

    fact: Routed
    name: str


Read = Fact | Listened | Fetched | Touched | MentionedLabel | Sum | str
"""What a layer depends on: facts, shared resources, rules that mention a label, and the names of its route
configurations."""


class _Service(NamedTuple):
    """The resources of a service for the layer, and those for all that they replace."""

    made: ServiceResources
    below: ServiceResources

    @property
    def secrets(self) -> tuple[tuple[tuple[str, SecretNames], ...], ...]:
        """The secrets of the clusters of both."""
        return self.made.secrets, self.below.secrets


class LabelLayer:
    """Keeps the layer over the resources `shared` up to date, for the proxies of a profile.

    `read` is everything that the layer depends on. If a step of the shared resources changes none of it, the
    layer needs no update.
    """

    def __init__(
        self, shared: OutboundResources, profile: OutboundProfile, rules: LabelRules, alike: AlikeListeners
    ) -> None:
        self.laid = NOTHING_LAID_OVER
        self._shared = shared
        self._profile = profile
        self._rules = rules
        self._labels = labels_apart(profile, shared.profile)
        self._telling = rules.telling(profile.namespace, self._labels)
        self._apart = NOTHING_DIFFERS
        self._found_from: frozenset[Fact] = frozenset()
        self._ports: dict[int, PortListeners] = {}
        self._listened: frozenset[Fact] = frozenset()
        self._fetched: dict[str, Routed] = {}
        self._own: dict[str, Routed] = {}
        self._ports_over: dict[Routed, PortOverlay] = {}
        self._touching: dict[Routed, set[str]] = {}
        self._services: dict[ServiceKey, _Service] = {}
        self._added_up: tuple[object, object] | None = None
        self.read: frozenset[Read] = frozenset()
        self._build(alike)

    @property
    def _builder(self) -> OutboundBuilder:
        """Not stored, because it would keep its mesh in memory: a layer may live for many snapshots."""
        below = self._shared.builder
        return OutboundBuilder(below.mesh, self._profile, (), below.memo)

    def _found_read(self) -> frozenset[Read]:
        self._found_from = self._apart.found_from
        found: set[Read] = {*self._labels, *self._listened, *self._found_from, *self._fetched}
        found.update(map(Listened, self._apart.facts))
        found.update(map(Fetched, self._apart.routed))
        found.update(Touched(fact, name) for fact, names in self._touching.items() for name in names)
        found.update(fact(key) for key in self._services for fact in (Served, Pool))
        if self._services:
            found.add(Sum.SECRETS)
        if self._ports:
            found.add(Sum.DIAGNOSTICS)
        return frozenset(found)

    def parts(self, name: str = "") -> OutboundParts:
        """Return the parts of all listeners and of one route configuration."""
        ports = LayeredDict.over(self._shared.ports, self._ports)
        fact, cached = self._fetched.get(name), self._shared.cached
        if fact is not None:
            below, over = cached.get(fact), self._ports_over.get(fact)
            cached = CachedRoutes({fact: over.on(below)} if below is not None and over is not None else {})
        return OutboundParts(ports, self._builder, cached)

    def update(self, rules: LabelRules, step: Step | None, alike: AlikeListeners) -> None:
        """Update the layer after `step`, the last of the shared resources and the only one that is missing
        here. With None, build the layer again."""
        telling, before = self._telling, self._telling
        if rules is not self._rules:
            telling = rules.telling(self._profile.namespace, self._labels)
        self._rules, self._telling = rules, telling
        if step is None or step.difference.everything:
            self._build(alike)
            return
        builder, changed = self._builder, step.difference.facts
        met = telling != before or not self._found_from.isdisjoint(changed)
        if met:
            self._apart = self._found_apart(builder)
        chosen = met and self._chooses_anew(before.destination_hosts | telling.destination_hosts, changed)
        listening = self._listened.isdisjoint(changed) and (
            not (met or not self._apart.facts.isdisjoint(step.listened))
            or self._shared.readers.of(self._apart.facts) == self._ports.keys()
        )
        if not listening or chosen:
            self._build(alike)
        elif met:
            ports = LayeredDict.over(self._shared.ports, self._ports)
            names = {**self._own, **builder.reading(ports, self._apart)}
            self._follow(builder, step, names, self._fetched.keys() - names.keys())
            self.read = self._found_read()
        else:
            moved = step.gone | step.come.keys()
            names = {name: fact for name, fact in step.come.items() if fact in self._apart.facts}
            names.update(
                {name: fact for name, fact in self._fetched.items() if fact in changed and name not in moved}
            )
            self._follow(builder, step, names, moved - names.keys())

    def _chooses_anew(self, hosts: frozenset[str], changed: AbstractSet[Fact]) -> bool:
        """Return whether the DestinationRules of `hosts` may differ from before. They are different ones than
        in the shared resources, so the step does not contain what that changes."""
        return bool(hosts) and (
            self._apart.services_of(Served) != self._services.keys()
            or not changed.isdisjoint(map(Meant, hosts))
        )

    def _found_apart(self, builder: OutboundBuilder) -> ScopeDifference:
        telling, mesh = self._telling, builder.mesh
        return ScopeDifference.apart(
            self._shared.scope, builder.scope, telling.virtual_services, telling.destination_hosts, mesh
        )

    def _build(self, alike: AlikeListeners) -> None:
        builder, shared = self._builder, self._shared
        apart = self._apart = self._found_apart(builder)
        self.laid, self._services = NOTHING_LAID_OVER, {}
        self._lay_services(builder, apart.services_of(Served))
        built = {number: alike.build(number, builder) for number in sorted(shared.readers.of(apart.facts))}
        self._ports = {number: each.port for number, each in built.items()}
        self._lay_listeners(builder, chain.from_iterable(each.resources for each in built.values()))
        ports = LayeredDict.over(shared.ports, self._ports)
        fetched = builder.fetched(ports, built)
        own = self._own = {name: fact for name, fact in fetched.items() if name not in shared.routes}
        # The shared listeners may also change while those of the layer stay the same.
        below = (shared.readers.read_by(number) for number in built)
        proxy = builder.scope.egress_proxy
        of_proxy = () if proxy is None else (Meant(proxy.host),)
        self._listened = frozenset[Fact](own.values()).union(
            of_proxy, *below, *(each.read for each in built.values())
        )
        self._fetched, self._ports_over, self._touching = {}, {}, {}
        self._lay_routes(builder, {**own, **builder.reading(ports, apart)}, (), None)
        self._add_up()
        self.read = self._found_read()

    def _follow(
        self, builder: OutboundBuilder, step: Step, names: Mapping[str, Routed], gone: Iterable[str]
    ) -> None:
        """Update the parts of the layer that a step affects, usually none. `names` are the layer's route
        configurations that may have changed."""
        changed = step.difference
        if self._services:
            touched = self._services.keys() & (changed.services_of(Served) | changed.services_of(Pool))
            if touched:
                self._lay_services(builder, touched)
        gone = self._fetched.keys() & gone
        if gone or names:
            read_before = dict(self._fetched), dict(self._touching)
            if gone:
                self._forget_routes(gone)
            self._lay_routes(builder, names, gone, step)
            if read_before != (self._fetched, self._touching):
                self.read = self._found_read()
        self._add_up()

    def _forget_routes(self, names: Iterable[str]) -> None:
        ports = {self._fetched.pop(name) for name in names}
        for fact in ports.difference(self._fetched.values()):
            self._ports_over.pop(fact, None)
            self._touching.pop(fact, None)

    def _lay_services(self, builder: OutboundBuilder, touched: Iterable[ServiceKey]) -> None:
        """Build the resources of the services `touched`; those of all other services stay."""
        shared, memo, laid, services = self._shared, builder.memo, self.laid, dict(self._services)
        before = [services.pop(key) for key in touched if key in services]
        now = [
            _Service(builder.of_service(service), shared.served[service.key])
            for service in map(builder.service, touched)
            if service is not None
        ]
        services.update({each.made.service.key: each for each in now})
        clusters = laid.clusters.updated(
            shared.profile,
            shared.clusters,
            [one for each in now for one in each.made.all_clusters],
            [one.name for each in now for one in each.below.all_clusters],
            [one.name for each in before for of in each for one in of.all_clusters],
            memo,
        )
        endpoints = laid.endpoints.updated(
            shared.profile,
            shared.endpoints,
            [one for each in now for one in each.made.all_assignments],
            [one.name for each in now for one in each.below.all_assignments],
            [one.name for each in before for of in each for one in of.all_assignments],
            memo,
        )
        self._services, self.laid = services, laid._replace(clusters=clusters, endpoints=endpoints)
        if [each.secrets for each in before] != [each.secrets for each in now]:
            self._added_up = None

    def _lay_listeners(self, builder: OutboundBuilder, made: Iterable[Resource]) -> None:
        shared, laid = self._shared, self.laid
        below = [shared.ports[number] for number in self._ports if number in shared.ports]
        names = [spec.name for each in below for spec in each.specs.values()]
        listeners = laid.listeners.updated(shared.profile, shared.listeners, made, names, (), builder.memo)
        self._added_up, self.laid = None, laid._replace(listeners=listeners)

    def _add_up(self) -> None:
        """Update secrets and diagnostics. They are summed up over all clusters and ports, so they may change
        in a step that does not affect the layer."""
        shared, before = self._shared, self._added_up
        if before is not None and before[0] is shared.secrets_of and before[1] is shared.diagnostics:
            return
        self._added_up = (shared.secrets_of, shared.diagnostics)
        secrets, diagnostics = self._secrets(), self._diagnostics()
        if (secrets, diagnostics) != (self.laid.secrets, self.laid.diagnostics):
            self.laid = self.laid._replace(secrets=secrets, diagnostics=diagnostics)

    def _secrets(self) -> SecretNames | None:
        services, of_all = self._services.values(), self._shared.secrets_of
        instead = [names for each in services for _, names in each.made.secrets]
        replaced = {name for each in services for name, _ in each.below.secrets}
        if not instead and not replaced:
            return None
        return all_secrets([*instead, *(names for name, names in of_all.items() if name not in replaced)])

    def _diagnostics(self) -> tuple[Diagnostic, ...] | None:
        if not self._ports:
            return None
        ports = LayeredDict.over(self._shared.ports, self._ports)
        return tuple([found for number in sorted(ports) for found in ports[number].diagnostics])

    def _lay_routes(
        self, builder: OutboundBuilder, names: Mapping[str, Routed], gone: Iterable[str], step: Step | None
    ) -> None:
        """Build the route configurations `names`, after `step` or from nothing."""
        ports = {}
        for fact in set(names.values()):
            below = self._shared.cached.get(fact)
            if below is not None:
                port = ports[fact] = self._port(builder, fact, below, step)
                over = self._ports_over[fact] = PortOverlay.between(below, port)
                self._touching[fact] = over.names(port, self._apart)
        self._fetched.update(names)
        made: list[Resource] = []
        substitutions: dict[str, Substitution] = {}
        for name, fact in names.items():
            substitution = self._substitution(builder, name, fact, ports)
            if substitution is None:
                made.append(builder.route_configuration(name, fact, CachedRoutes(ports)))
            else:
                substitutions[name] = substitution
        shared, memo = self._shared, builder.memo
        routes = self.laid.routes.updated(shared.profile, shared.routes, made, (), gone, memo, substitutions)
        self.laid = self.laid._replace(routes=routes)

    def _substitution(
        self, builder: OutboundBuilder, name: str, fact: Routed, ports: Mapping[Routed, PortRoutes]
    ) -> Substitution | None:
        """Return the virtual hosts of a route configuration that differ from the shared one; None if that is
        not the one of a port."""
        covered, over = self._shared.routes.get(name), self._ports_over.get(fact)
        if over is None or covered is None or not isinstance(pieces := covered.pieces, PortPieces):
            return None
        takes_all = ports[fact].hosts.owner("*") is not None
        if takes_all == (not pieces.others):
            return Substitution(over.gone, over.come)
        whole = builder.route_configuration(name, fact, CachedRoutes(ports)).pieces
        assert isinstance(whole, PortPieces)
        return Substitution(over.gone, over.come, whole.others)

    def _port(
        self, builder: OutboundBuilder, fact: Routed, below: PortRoutes, step: Step | None
    ) -> PortRoutes:
        """Return the routes of a port. `below` are the shared ones. They go on from the routes before `step`,
        which had what is laid over the shared ones of that time; at first, from `below`."""
        over = self._ports_over.get(fact)
        before = None if step is None else step.before.get(fact)
        if step is None or over is None or before is None:
            return (
                builder.routing.changed_port(below, self._apart, fact) if fact in self._apart.facts else below
            )
        if before is below:
            return over.on(below)
        return builder.routing.changed_port(over.on(before), step.difference, fact)
