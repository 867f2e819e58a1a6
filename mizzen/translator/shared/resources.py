"""The resources that all proxies of a class share, as a value."""

from __future__ import annotations

from typing import NamedTuple

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.scope.sidecars import SidecarConfig
from mizzen.translator.listeners.auto_passthrough import PassthroughServices
from mizzen.translator.routes.gateway import CachedGatewayRoutes
from mizzen.translator.tls.secret_references import SecretNames
from mizzen.xds.snapshot import Collection


class SharedResources(NamedTuple):
    """The current resources that all proxies of a class share, and the values that each proxy's own resources
    depend on. Equal if nothing has changed. Gateways depend on the whole scope.

    `gateway_routes` has the last route configurations of a class of gateways. Only this value is mutable. The
    resources of the gateways hold the route configurations.
    """

    clusters: Collection
    endpoints: Collection
    listeners: Collection
    routes: Collection
    diagnostics: tuple[Diagnostic, ...]
    secrets: SecretNames
    sidecar: SidecarConfig | None
    scope: SidecarScope | None
    passthrough: PassthroughServices
    mesh_config: MeshConfig
    gateway_routes: CachedGatewayRoutes


class ClassResources(NamedTuple):
    """What all proxies of a class are sent: their shared resources, with the layers of the class."""

    clusters: Collection
    endpoints: Collection
    listeners: Collection
    routes: Collection
    diagnostics: tuple[Diagnostic, ...]
