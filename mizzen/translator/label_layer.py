"""What sidecars with labels are sent otherwise than those without: it is laid over what all of them share.

Rules look at labels of the calling proxy: sourceLabels of a VirtualService, workloadSelector and
failoverPriority of a DestinationRule. They decide about few resources, and a kind of proxies with labels has
only these for itself. A change that meets none of them is done with when the shared resources are up to date.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.incremental import Readers
from mizzen.mesh.hosts import is_wildcard, matches
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.recorded_scope import ChangedFacts, Fact
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.egress_listener import EgressListener
from mizzen.persistent import LayeredDict
from mizzen.translator.clusters.service_resources import ServiceResources
from mizzen.translator.label_rules import LabelRules, Telling
from mizzen.translator.laid_over import NOTHING_LAID_OVER, Layer
from mizzen.translator.listeners.outbound import PortListeners
from mizzen.translator.outbound import OutboundResources
from mizzen.translator.outbound_builder import OutboundBuilder
from mizzen.translator.part_origins import OutboundParts
from mizzen.translator.routes.port_routes import CarriedRoutes, RouteChanges
from mizzen.translator.routes.sidecar import port_routed
from mizzen.translator.tls.secret_references import SecretNames, all_secrets
from mizzen.translator.touched import ServiceKey, Step, Touched
from mizzen.translator.touched_ports import routed_ports
from mizzen.xds.resource import Resource


class LabelLayer:
    """Keeps what is laid over the resources `shared` for the proxies of a profile up to date."""

    def __init__(self, shared: OutboundResources, profile: OutboundProfile, rules: LabelRules) -> None:
        self.laid = NOTHING_LAID_OVER
        self._shared = shared
        self._profile = profile
        self._rules = rules
        self._telling = rules.telling(profile, shared.profile)
        self._number = _NEVER
        self._reach = _Reach()
        self._ports: dict[int, PortListeners] = {}
        self._readers: Readers[Fact, int] = Readers()
        self._routes: dict[str, Resource] = {}
        self._services: dict[ServiceKey, ServiceResources] = {}
        self._instead: tuple[SecretNames, ...] = ()
        self._replaced: frozenset[str] = frozenset()
        self._added_up: tuple[object, object] | None = None
        self.update(rules)

    def is_over(self, shared: OutboundResources) -> bool:
        """Return whether it is laid over these resources."""
        return self._shared is shared

    @property
    def is_current(self) -> bool:
        """Whether it is laid over the shared resources as they are now."""
        return self._number == self._shared.step.number

    @property
    def _builder(self) -> OutboundBuilder:
        """Kept by nobody: what is laid over may outlast many snapshots of the mesh."""
        below = self._shared.builder
        return OutboundBuilder(below.mesh, self._profile, (), below.memo)

    def parts(self, name: str = "") -> OutboundParts:
        """Return what a route configuration, and all listeners, are made of."""
        ports = LayeredDict.over(self._shared.ports, self._ports)
        return OutboundParts(
            ports, self._builder, self._carried if name in self._routes else self._shared.carried
        )

    @property
    def _carried(self) -> CarriedRoutes:
        """What is shared, to go on from: only what rules tell apart is different."""
        return self._shared.carried.following(self._reach.route_changes)

    def update(self, rules: LabelRules) -> None:
        """Go on to the mesh that the shared resources are up to date with."""
        step, telling = self._shared.step, self._telling
        if rules is not self._rules:
            telling = rules.telling(self._profile, self._shared.profile)
        goes_on = self._number + 1 == step.number and telling == self._telling
        self._number, self._rules, self._telling = _NEVER, rules, telling
        facts = step.facts
        stays = goes_on and facts is not None and not self._readers.of(facts.among(self._readers))
        if stays and not self._reach.is_met(step):
            self._follow(step)
        else:
            self._build()
        self._add_up()
        self._number = step.number

    def _build(self) -> None:
        builder = self._builder
        reach = self._reach = _Reach.of(self._telling, builder, self._shared)
        self._services = {}
        self._lay_services(builder, reach.services)
        listeners = builder.listeners()
        built = {number: listeners.build(number) for number in sorted(reach.listened)}
        self._ports = {number: each.port for number, each in built.items()}
        self._readers = Readers[Fact, int]().reading({number: each.read for number, each in built.items()})
        self._lay_listeners(chain.from_iterable(each.resources for each in built.values()))
        ports = LayeredDict.over(self._shared.ports, self._ports)
        names = [
            (name, egress)
            for name, egress in builder.names_on(ports, reach.routed, reach.listened)
            if name not in self._shared.routes or port_routed(name, egress) in reach.routed
        ]
        self._routes = {}
        self._lay_routes(builder, names)

    def _follow(self, step: Step) -> None:
        """Bring up to date what a step touched of what is laid over: mostly nothing."""
        reach = self._reach
        touched = reach.services & step.services
        if touched:
            self._lay_services(self._builder, touched)
        gone = self._routes.keys() & step.gone
        if gone or not reach.routed.isdisjoint(step.routed):
            for name in gone:
                del self._routes[name]
            self._lay_routes(
                self._builder, [each for each in step.routes if port_routed(*each) in reach.routed]
            )

    def _lay_services(self, builder: OutboundBuilder, touched: Iterable[ServiceKey]) -> None:
        """Make what there is of the services that are touched; of the others what was made holds."""
        for key in touched:
            service = builder.service(key)
            if service is None:
                self._services.pop(key, None)
            else:
                self._services[key] = builder.of_service(service)
        shared, services = self._shared, dict(sorted(self._services.items()))
        clusters = [each for made in services.values() for each in made.all_clusters]
        assignments = [each for made in services.values() for each in made.all_assignments]
        below = [shared.served[key] for key in services]
        names = [cluster.name for each in below for cluster in each.all_clusters]
        self._instead = tuple([names for made in services.values() for _, names in made.secrets])
        self._replaced, self._added_up = frozenset(names), None
        self.laid = self.laid.with_layers(
            clusters=Layer.over(shared.clusters, clusters, names),
            endpoints=Layer.over(
                shared.endpoints,
                assignments,
                [assigned.name for each in below for assigned in each.all_assignments],
            ),
        )

    def _lay_listeners(self, made: Iterable[Resource]) -> None:
        shared = self._shared
        below = [shared.ports[number] for number in self._ports if number in shared.ports]
        names = [spec.name for each in below for spec in each.specs.values()]
        self._added_up = None
        self.laid = self.laid.with_layers(listeners=Layer.over(shared.listeners, made, names))

    def _add_up(self) -> None:
        """Bring secrets and diagnostics up to date. They are those of all clusters and all ports, so they may
        be others after a step that touches nothing of what is laid over."""
        shared, before = self._shared, self._added_up
        if before is not None and before[0] is shared.secrets_of and before[1] is shared.diagnostics:
            return
        self._added_up = (shared.secrets_of, shared.diagnostics)
        laid = replace(self.laid, secrets=self._secrets(), diagnostics=self._diagnostics())
        if laid != self.laid:
            self.laid = laid

    def _secrets(self) -> SecretNames | None:
        below = self._shared.secrets_of
        if not self._instead and not any(name in below for name in self._replaced):
            return None
        kept = (found for name, found in below.items() if name not in self._replaced)
        return all_secrets([*self._instead, *kept])

    def _diagnostics(self) -> tuple[Diagnostic, ...] | None:
        if not self._ports:
            return None
        ports = LayeredDict.over(self._shared.ports, self._ports)
        return tuple([found for number in sorted(ports) for found in ports[number].diagnostics])

    def _lay_routes(self, builder: OutboundBuilder, names: Iterable[tuple[str, EgressListener]]) -> None:
        carried = self._carried
        for name, egress in names:
            self._routes[name] = builder.route_configuration(name, egress, carried)
        self.laid = self.laid.with_layers(routes=Layer.over(self._shared.routes, self._routes.values()))


_NEVER: Final = -2
"""Not the number of a step, nor of one before."""


@dataclass(frozen=True, slots=True)
class _Reach:
    """What rules that tell two profiles apart may decide about.

    `services` are those with such a DestinationRule, `listened` the ports whose listeners, `routed` those
    whose routes may be others. `hosts` are called by way of the rules, `led_to` have the DestinationRules;
    `rules` are the VirtualServices.
    """

    services: frozenset[ServiceKey] = frozenset()
    listened: frozenset[int] = frozenset()
    routed: frozenset[int] = frozenset()
    hosts: frozenset[str] = frozenset()
    led_to: frozenset[str] = frozenset()
    rules: frozenset[VirtualServiceRule] = frozenset()

    @property
    def route_changes(self) -> RouteChanges:
        """What is not the same for the two profiles, for routes."""
        return RouteChanges(frozenset(), self.rules, self.led_to)

    @classmethod
    def of(cls, telling: Telling, builder: OutboundBuilder, shared: OutboundResources) -> _Reach:
        """Find it out for what the proxies see of a snapshot."""
        scope, hosts = builder.scope, telling.destination_hosts
        rules = tuple(filter(scope.imports, telling.virtual_services))
        if not rules and not hosts:
            return cls()
        found = (scope.service(host) for host in hosts)
        keys = frozenset(each.key for each in found if each is not None and each.key in shared.served)
        led_to = builder.with_aliases(hosts)
        touched = Touched(
            *(frozenset[ServiceKey](), rules, frozenset[ServiceKey](), keys, hosts, led_to),
            peers=frozenset(),
            scope=False,
            before=scope,
        )
        facts = ChangedFacts.about((rule for rule in rules if rule.tcp or rule.tls), led_to)
        return cls(
            keys,
            frozenset(shared.readers.of(facts.among(shared.readers))),
            frozenset(routed_ports(touched, scope)),
            led_to.union(*(rule.hosts for rule in rules)),
            led_to,
            frozenset(rules),
        )

    def is_met(self, step: Step) -> bool:
        """Return whether it may be different after the step."""
        if not (self.hosts.isdisjoint(step.hosts) and self.led_to.isdisjoint(step.led_to)):
            return True
        return bool(step.hosts) and any(
            matches(own, host) for own in filter(is_wildcard, self.hosts) for host in step.hosts
        )
