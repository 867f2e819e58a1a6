"""The origins of parts of outbound listeners and routes: filter chains, virtual hosts, single routes.

A resource has the origins of all its documents. This module finds those of one part, on demand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from mizzen.config.diagnostics import Origin
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.translator.listeners.outbound import ListenerSpec, PortListeners
from mizzen.translator.routes.port_routes import CachedRoutes
from mizzen.translator.routes.sidecar import sidecar_route_origins
from mizzen.translator.routes.virtual_service import RouteOrigin
from mizzen.translator.shared.outbound_builder import OutboundBuilder


@dataclass(frozen=True, slots=True)
class OutboundParts:
    """The parts of a sidecar's outbound listeners and routes, and the sidecar's scope."""

    listeners: Mapping[int, PortListeners]
    builder: OutboundBuilder
    cached: CachedRoutes

    @property
    def scope(self) -> SidecarScope:
        """The proxy's scope."""
        return self.builder.scope

    @property
    def mesh_config(self) -> MeshConfig:
        """The mesh's configuration, with the proxy's own ProxyConfig."""
        return self.builder.mesh_config

    def route_origins(self, name: str) -> Mapping[str, tuple[RouteOrigin, ...]]:
        """Return, for each virtual host of a route configuration, the names and origins of its routes in
        order.

        A virtual host without a VirtualService has one route, whose origin is the service.
        """
        found = [one.routed_by[name] for one in self.listeners.values() if name in one.routed_by]
        if not found:
            return {}
        listener = self.scope.egress_listeners[found[0]]
        return sidecar_route_origins(name, listener, self.builder.routing, self.cached)

    def chain_origins(self, listener: str, index: int) -> tuple[Origin, ...]:
        """Return the origins of the filter chain at `index` of a listener, -1 for the default one; none if no
        document affects the chain."""
        specs = chain.from_iterable(one.specs.values() for one in self.listeners.values())
        spec = next((each for each in specs if each.name == listener), None)
        return _chain_origins(spec, index) if spec is not None else ()


def _chain_origins(spec: ListenerSpec, index: int) -> tuple[Origin, ...]:
    """Return the origins of a chain. A chain without conditions is the default one, unless it is the only
    one."""
    conditional = [each for each in spec.chains if not each.match.is_match_all]
    takes_all = [each for each in spec.chains if each.match.is_match_all]
    if index < 0 or not conditional:
        return takes_all[-1].origins if takes_all else ()
    return conditional[index].origins if index < len(conditional) else ()
