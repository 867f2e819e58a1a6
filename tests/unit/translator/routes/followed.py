"""The routes of sidecars that follow a mesh, without the rest of the translation."""

from __future__ import annotations

from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.scope_difference import ScopeDifference
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.routes.port_routes import CachedRoutes, Routing


class Followed:
    """What the routes of each profile pass on from mesh to mesh."""

    def __init__(self) -> None:
        self._held: dict[OutboundProfile, tuple[Mesh, SidecarScope, CachedRoutes]] = {}

    def cached(self, mesh: Mesh, profile: OutboundProfile, memo: Memo) -> tuple[SidecarScope, CachedRoutes]:
        """Return the profile's scope in a mesh, and what its routes there go on from."""
        scope = mesh.scope(profile)
        if profile not in self._held:
            self._held[profile] = (mesh, scope, CachedRoutes())
        last, before, cached = self._held[profile]
        if last is not mesh:
            difference = ScopeDifference.between(before, scope, mesh.difference(last), mesh.registry)
            cached = cached.following(difference, Routing(scope, RouteSettings.of(mesh.mesh_config), memo))
            self._held[profile] = (mesh, scope, cached)
        return scope, cached
