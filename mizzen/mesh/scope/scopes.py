"""Caches scopes. When a later snapshot asks for a scope, it is brought up to date."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from mizzen.config.document import ConfigKey
from mizzen.mesh.hosts import HostIndex
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.destination_rules import DestinationRuleIndex
from mizzen.mesh.rules.virtual_service_index import HostRules, VirtualServiceIndex
from mizzen.mesh.scope.sidecar_scope import ScopeBase, SidecarScope, gateway_base, sidecar_base
from mizzen.mesh.scope.sidecars import SidecarConfig, SidecarIndex
from mizzen.mesh.scope.visible_services import VisibleServices
from mizzen.mesh.service import Service
from mizzen.mesh.services.registry import Registry
from mizzen.mesh.settings import MeshSettings

_ViewKey = tuple[str, bool]
_BaseKey = tuple[str, bool, ConfigKey | None]


@dataclass(frozen=True, slots=True, eq=False)
class _Base:
    """A base, with the services and rules of its snapshot."""

    base: ScopeBase
    hosts: HostIndex[tuple[Service, ...]]
    rules: HostIndex[HostRules]


class Scopes:
    """Scopes by profile, and the parts that profiles share. A snapshot hands them to the next one.

    When a later snapshot asks for a scope, the services of its namespace are patched where the two snapshots
    differ. Everything else is reused if its parts are the same.
    """

    def __init__(self, settings: MeshSettings) -> None:
        self._settings = settings
        self._views: dict[_ViewKey, VisibleServices] = {}
        self._bases: dict[_BaseKey, _Base] = {}
        self._scopes: dict[OutboundProfile, SidecarScope] = {}

    def copy(self) -> Scopes:
        """Return a copy that is brought up to date independently."""
        made = Scopes(self._settings)
        made._views, made._bases = dict(self._views), dict(self._bases)
        made._scopes = dict(self._scopes)
        return made

    def keep(self, used: Iterable[OutboundProfile]) -> None:
        """Forget everything that these profiles do not need."""
        profiles = frozenset(used)
        seen_from = {(profile.namespace, not profile.is_router) for profile in profiles}
        self._scopes = {each: scope for each, scope in self._scopes.items() if each in profiles}
        bases = {scope.base for scope in self._scopes.values()}
        self._bases = {key: found for key, found in self._bases.items() if found.base in bases}
        self._views = {key: view for key, view in self._views.items() if key in seen_from}

    def scope(
        self,
        profile: OutboundProfile,
        registry: Registry,
        virtual_services: VirtualServiceIndex,
        destination_rules: DestinationRuleIndex,
        sidecars: SidecarIndex,
    ) -> SidecarScope:
        """Return the scope of `profile` in the snapshot to which the indexes belong."""
        sidecar = None if profile.is_router else sidecars.choose(profile.namespace, dict(profile.labels))
        base = self._base(profile, sidecar, registry, virtual_services)
        scope = self._scopes.get(profile)
        if scope is None or not scope.is_current(base, registry.hosts, destination_rules):
            scope = SidecarScope(profile, base, registry.hosts, destination_rules, self._settings, scope)
            self._scopes[profile] = scope
        return scope

    def _base(
        self,
        profile: OutboundProfile,
        sidecar: SidecarConfig | None,
        registry: Registry,
        virtual_services: VirtualServiceIndex,
    ) -> ScopeBase:
        key = (profile.namespace, profile.is_router, None if sidecar is None else sidecar.key)
        hosts, rules = registry.hosts, virtual_services.mesh_hosts
        known = self._bases.get(key)
        if known is not None and known.base.sidecar is not sidecar:
            known = None
        if known is not None and known.hosts is hosts and known.rules is rules:
            return known.base
        before = None if known is None else known.base
        visible = partial(self._view, profile.namespace, not profile.is_router, registry)
        if profile.is_router:
            base = gateway_base(visible(), virtual_services, before)
        else:
            base = sidecar_base(profile.namespace, sidecar, visible, registry, virtual_services, before)
        self._bases[key] = _Base(base, hosts, rules)
        return base

    def advanced(
        self,
        scope: SidecarScope,
        registry: Registry,
        virtual_services: VirtualServiceIndex,
        destination_rules: DestinationRuleIndex,
    ) -> SidecarScope:
        """Return a sidecar's scope of an earlier snapshot for the snapshot to which the indexes belong. No
        difference between the two concerns it. Nothing here keeps the earlier snapshot in memory."""
        base, hosts, namespace = scope.base, registry.hosts, scope.profile.namespace
        made = SidecarScope(scope.profile, base, hosts, destination_rules, self._settings, scope)
        self._scopes[scope.profile] = made
        key = (namespace, False, None if base.sidecar is None else base.sidecar.key)
        self._bases[key] = _Base(base, hosts, virtual_services.mesh_hosts)
        if (namespace, True) in self._views:
            self._view(namespace, True, registry)
        return made

    def _view(self, namespace: str, prefer_own: bool, registry: Registry) -> VisibleServices:
        known = self._views.get((namespace, prefer_own))
        if known is None:
            view = VisibleServices.build(registry.hosts, namespace, prefer_own=prefer_own)
        else:
            view = known.updated(registry.hosts)
        self._views[namespace, prefer_own] = view
        return view
