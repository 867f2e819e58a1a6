"""What sidecars with labels are sent otherwise than those without: it is laid over what all of them share.

Rules look at labels of the calling proxy: sourceLabels of a VirtualService, workloadSelector and
failoverPriority of a DestinationRule. They decide about few resources, and a kind of proxies with labels has
only these for itself. A change that meets none of them is done with when the shared resources are up to date.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from typing import Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.mesh.facts import Fact, Pool, Routed, Served
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.scope_difference import NOTHING_DIFFERS, ScopeDifference
from mizzen.mesh.services.registry import ServiceKey
from mizzen.persistent import LayeredDict
from mizzen.translator.clusters.service_resources import ServiceResources
from mizzen.translator.label_rules import LabelRules
from mizzen.translator.laid_over import NOTHING_LAID_OVER, Layer
from mizzen.translator.listeners.outbound import PortListeners
from mizzen.translator.outbound import OutboundResources, Step
from mizzen.translator.outbound_builder import OutboundBuilder
from mizzen.translator.part_origins import OutboundParts
from mizzen.translator.tls.secret_references import SecretNames, all_secrets
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
        self._apart = NOTHING_DIFFERS
        self._read: frozenset[Fact] = frozenset()
        self._ports: dict[int, PortListeners] = {}
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
        builder, carried = self._builder, self._shared.carried
        if name in self._routes:
            carried = carried.following(self._apart, builder.routing)
        return OutboundParts(ports, builder, carried)

    def update(self, rules: LabelRules) -> None:
        """Go on to the mesh that the shared resources are up to date with."""
        step, telling = self._shared.step, self._telling
        if rules is not self._rules:
            telling = rules.telling(self._profile, self._shared.profile)
        goes_on = self._number + 1 == step.number and telling == self._telling
        self._number, self._rules, self._telling = _NEVER, rules, telling
        if goes_on and self._stands(step.difference):
            self._follow(step)
        else:
            self._build()
        self._add_up()
        self._number = step.number

    def _stands(self, difference: ScopeDifference) -> bool:
        """Return whether the same tells the two kinds apart, and the same listeners, as before."""
        return (
            not difference.everything
            and self._read.isdisjoint(difference.facts)
            and self._shared.readers.of(self._apart.facts) == self._ports.keys()
        )

    def _build(self) -> None:
        builder, shared, telling = self._builder, self._shared, self._telling
        apart = self._apart = ScopeDifference.apart(
            shared.scope,
            builder.scope,
            telling.virtual_services,
            telling.destination_hosts,
            builder.mesh.registry,
        )
        self._services = {}
        self._lay_services(builder, apart.services_of(Served))
        listeners = builder.listeners()
        built = {number: listeners.build(number) for number in sorted(shared.readers.of(apart.facts))}
        self._ports = {number: each.port for number, each in built.items()}
        self._lay_listeners(chain.from_iterable(each.resources for each in built.values()))
        ports = LayeredDict.over(shared.ports, self._ports)
        fetched = builder.fetched(ports, built)
        own = {name: fact for name, fact in fetched.items() if name not in shared.routes}
        self._read = apart.found_from.union(own.values(), *(each.read for each in built.values()))
        self._routes = {}
        self._lay_routes(builder, {**own, **builder.reading(ports, apart)})

    def _follow(self, step: Step) -> None:
        """Bring up to date what a step touched of what is laid over: mostly nothing."""
        changed, apart = step.difference, self._apart.facts
        touched = self._services.keys() & (changed.services_of(Served) | changed.services_of(Pool))
        if touched:
            self._lay_services(self._builder, touched)
        names = {name: fact for name, fact in step.routes.items() if fact in apart}
        gone = self._routes.keys() & ((step.gone | step.routes.keys()) - names.keys())
        if gone or names:
            for name in gone:
                del self._routes[name]
            self._lay_routes(self._builder, names)

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

    def _lay_routes(self, builder: OutboundBuilder, names: Mapping[str, Routed]) -> None:
        carried = self._shared.carried.following(self._apart, builder.routing, set(names.values()))
        for name, fact in names.items():
            self._routes[name] = builder.route_configuration(name, fact, carried)
        self.laid = self.laid.with_layers(routes=Layer.over(self._shared.routes, self._routes.values()))


_NEVER: Final = -2
"""Not the number of a step, nor of one before."""
