"""What a change of the mesh means for the outbound resources of one profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mizzen.mesh.rules.destination_rules import MergedDestinationRule
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.service import Service

ServiceKey = tuple[str, str]


class ServedService(NamedTuple):
    """A service as it was translated last: its DestinationRule, and the names of what was made."""

    service: Service
    rule: MergedDestinationRule | None
    clusters: tuple[str, ...]
    assignments: tuple[str, ...]


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

    @property
    def clusters(self) -> frozenset[ServiceKey]:
        """The services whose clusters may be others."""
        return self.services | self.destination_rules | self.peers
