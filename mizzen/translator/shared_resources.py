"""The resources that all proxies of a kind share, as a value."""

from __future__ import annotations

from typing import NamedTuple

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.scope.sidecars import SidecarConfig
from mizzen.translator.listeners.auto_passthrough import PassedServices
from mizzen.translator.routes.gateway import CarriedGatewayRoutes
from mizzen.translator.tls.secret_references import SecretNames
from mizzen.xds.snapshot import Collection


class SharedResources(NamedTuple):
    """What all proxies of a kind are sent alike as it stands now, and what else of it counts for each of
    them. Equal if nothing of it has changed; for gateways the whole scope counts.

    `gateway_routes` has, by name, what the route configurations of a kind of gateways go on from. It is the
    one thing here that changes: each holds the last state that was asked for.
    """

    clusters: Collection
    endpoints: Collection
    listeners: Collection
    routes: Collection
    diagnostics: tuple[Diagnostic, ...]
    secrets: SecretNames
    sidecar: SidecarConfig | None
    scope: SidecarScope | None
    passed: PassedServices
    mesh_config: MeshConfig
    gateway_routes: dict[str, CarriedGatewayRoutes]
