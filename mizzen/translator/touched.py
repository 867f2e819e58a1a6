"""What a change of the mesh means for the outbound resources of one profile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mizzen.mesh.recorded_scope import ChangedFacts
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.egress_listener import EgressListener
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.translator.routes.port_routes import RouteChanges
from mizzen.translator.routes.sidecar import port_routed

ServiceKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """What an update touched, for what is laid over the resources that were updated.

    `number` counts the updates. `services` are those whose clusters or load assignments were built, `hosts`
    those of services and DestinationRules that are others, `led_to` the destinations of VirtualServices that
    are others. `facts` are those that listeners may have read (None: any), `routes` the names of the route
    configurations that were built and `routed` the ports that these are for, `gone` the names that are there
    no more.
    """

    number: int
    services: frozenset[ServiceKey] = frozenset()
    hosts: frozenset[str] = frozenset()
    led_to: frozenset[str] = frozenset()
    facts: ChangedFacts | None = None
    routes: tuple[tuple[str, EgressListener], ...] = ()
    routed: frozenset[int] = frozenset()
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Touched:
    """What a change touches. `destination_rules` and `peers` are services whose DestinationRule is another
    one, or whose PeerAuthentications are. `hosts` are those of services and DestinationRules, with their
    aliases: who names an alias is led to the host."""

    services: frozenset[ServiceKey]
    rules: tuple[VirtualServiceRule, ...]
    endpoints: frozenset[ServiceKey]
    destination_rules: frozenset[ServiceKey]
    destination_hosts: frozenset[str]
    hosts: frozenset[str]
    peers: frozenset[ServiceKey]
    scope: bool
    before: SidecarScope

    def facts(self, scope: SidecarScope) -> ChangedFacts | None:
        """Return the facts that may be different in `scope` for those who read them; None: all of them."""
        if self.scope:
            return None
        return ChangedFacts.of(self.before, scope, self.rules, self.hosts, self.endpoints)

    def step(
        self,
        number: int,
        facts: ChangedFacts | None,
        routes: Sequence[tuple[str, EgressListener]],
        gone: Iterable[str],
    ) -> Step:
        """Return what the update touched, which built these listeners and routes."""
        return Step(
            number,
            self.clusters | self.endpoints,
            self.hosts,
            frozenset().union(*(rule.destination_hosts for rule in self.rules)),
            facts,
            tuple(routes),
            frozenset(port_routed(*each) for each in routes),
            frozenset(gone),
        )

    @property
    def route_changes(self) -> RouteChanges | None:
        """What it is to routes; None: they may all be different."""
        if self.scope:
            return None
        return RouteChanges(frozenset(host for _, host in self.services), frozenset(self.rules), self.hosts)

    @property
    def clusters(self) -> frozenset[ServiceKey]:
        """The services whose clusters may be others."""
        return self.services | self.destination_rules | self.peers
