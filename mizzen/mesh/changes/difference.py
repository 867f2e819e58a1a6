"""The difference of two snapshots of the mesh. It is found where their collections differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mizzen.config.document import Config
from mizzen.mesh.rules.peer_authentication import services_concerned
from mizzen.mesh.services.registry import ServiceKey

if TYPE_CHECKING:
    from mizzen.mesh.snapshot import Mesh


@dataclass(frozen=True, slots=True)
class MeshDifference:
    """The objects that differ between two snapshots with the same settings. `endpoints` names services whose
    pools differ, `destination_hosts` the hosts of DestinationRules that differ. `peers` are services to which
    a differing PeerAuthentication applies, if mutual TLS is automatic."""

    services: frozenset[ServiceKey]
    endpoints: frozenset[ServiceKey]
    destination_hosts: frozenset[str]
    peers: frozenset[ServiceKey]

    @classmethod
    def between(cls, before: Mesh, after: Mesh) -> MeshDifference:
        """Compare two snapshots. If one was made from the other, the cost depends only on the differences."""
        rules = after.destination_rule_index.by_host.differing(before.destination_rule_index.by_host)
        return cls(
            frozenset(after.registry.services.differing(before.registry.services)),
            frozenset(after.registry.pools.differing(before.registry.pools)),
            frozenset(host for _, host in rules),
            _peers(before, after),
        )


def _peers(before: Mesh, after: Mesh) -> frozenset[ServiceKey]:
    was, now = before.policy_index.peers_of, after.policy_index.peers_of
    changed: dict[Config[Any], None] = {}
    for namespace in now.differing(was) if after.mesh_config.enable_auto_mtls else ():
        both = set(now.get(namespace, ())).symmetric_difference(was.get(namespace, ()))
        changed.update(dict.fromkeys(both))
    if not changed:
        return frozenset()
    return services_concerned(changed, after.settings.root_namespace, after.registry)
