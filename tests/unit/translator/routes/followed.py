"""The routes of sidecars that follow a mesh, without the rest of the translation."""

from __future__ import annotations

from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.scope.sidecar_scope import SidecarScope, differing_rules
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.routes.port_routes import CarriedRoutes, RouteChanges


class Followed:
    """What the routes of each profile pass on from mesh to mesh."""

    def __init__(self) -> None:
        self._held: dict[OutboundProfile, tuple[Mesh, SidecarScope, CarriedRoutes]] = {}

    def carried(self, mesh: Mesh, profile: OutboundProfile) -> tuple[SidecarScope, CarriedRoutes]:
        """Return the profile's scope in a mesh, and what its routes there go on from."""
        scope = mesh.scope(profile)
        if profile not in self._held:
            self._held[profile] = (mesh, scope, CarriedRoutes())
        last, before, carried = self._held[profile]
        if last is not mesh:
            carried = carried.following(_changes(last, mesh, before, scope))
            self._held[profile] = (mesh, scope, carried)
        return scope, carried


def _changes(last: Mesh, mesh: Mesh, before: SidecarScope, scope: SidecarScope) -> RouteChanges | None:
    if before.sidecar is not scope.sidecar:
        return None
    difference = mesh.difference(last)
    services = {host for _, host in difference.services}
    hosts = services | difference.destination_hosts
    hosts.update(alias for host in tuple(hosts) for alias in mesh.registry.aliases.of.get(host, ()))
    return RouteChanges(frozenset(services), frozenset(differing_rules(before, scope)), frozenset(hosts))
