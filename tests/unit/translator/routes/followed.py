"""The routes of sidecars and gateways that follow a mesh, without the rest of the translation."""

from __future__ import annotations

from mizzen.mesh.changes.scope_difference import ScopeDifference
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.routes.gateway import CachedGatewayRoutes, GatewayRoutes, gateway_route_configuration
from mizzen.translator.routes.port_routes import CachedRoutes, Routing
from mizzen.xds.resource import Resource


class Followed:
    """What the routes of each profile pass on from mesh to mesh."""

    def __init__(self) -> None:
        self._held: dict[OutboundProfile, tuple[Mesh, SidecarScope, CachedRoutes]] = {}
        self._gateways: dict[OutboundProfile, CachedGatewayRoutes] = {}
        self._made: dict[tuple[OutboundProfile, str], GatewayRoutes] = {}

    def cached(self, mesh: Mesh, profile: OutboundProfile, memo: Memo) -> tuple[SidecarScope, CachedRoutes]:
        """Return the profile's scope in a mesh, and what its routes there go on from."""
        scope = mesh.scope(profile)
        if profile not in self._held:
            self._held[profile] = (mesh, scope, CachedRoutes())
            self._gateways[profile] = CachedGatewayRoutes()
        last, before, cached = self._held[profile]
        if last is not mesh:
            difference = ScopeDifference.between(before, scope, mesh.difference(last), mesh)
            cached = cached.following(difference, Routing(scope, RouteSettings.of(mesh.mesh_config), memo))
            self._held[profile] = (mesh, scope, cached)
            self._gateways[profile].note(difference)
        return scope, cached

    def gateway(self, name: str, mesh: Mesh, proxy: Proxy, memo: Memo) -> Resource:
        """Return a route configuration of a gateway, which goes on from its last one."""
        profile = mesh.outbound_profile(proxy)
        scope, _ = self.cached(mesh, profile, memo)
        servers = tuple(one for one in mesh.gateways_for(proxy).servers if one.route_name == name)
        made = gateway_route_configuration(
            name, servers, mesh, scope, mesh.mesh_config, memo, self._gateways[profile]
        )
        self._made[profile, name] = made
        return made.resource
