"""The scopes that were asked for, carried from snapshot to snapshot as long as they hold."""

from __future__ import annotations

from collections.abc import Iterable

from mizzen.mesh.destination_rules import DestinationRuleIndex
from mizzen.mesh.profile import OutboundProfile
from mizzen.mesh.registry import Registry
from mizzen.mesh.settings import MeshSettings
from mizzen.mesh.sidecar_scope import ScopeBase, SidecarScope, gateway_base, sidecar_base
from mizzen.mesh.sidecars import SidecarConfig, SidecarIndex
from mizzen.mesh.virtual_service_index import VirtualServiceIndex
from mizzen.mesh.visible_services import VisibleServices

_ViewKey = tuple[str, bool]
_BaseKey = tuple[str, bool, SidecarConfig | None]

_UNUSED_AFTER = 16
"""A scope that was not asked for in so many snapshots is forgotten."""


class Scopes:
    """Scopes by profile, and the parts that profiles share, of one snapshot.

    What an earlier snapshot computed is looked at again only when asked for: the services that a namespace
    sees are patched by the hostnames that changed since, and all else is kept if its parts are the same.
    """

    def __init__(self, settings: MeshSettings) -> None:
        self._settings = settings
        self._views: dict[_ViewKey, VisibleServices] = {}
        self._bases: dict[_BaseKey, ScopeBase] = {}
        self._scopes: dict[OutboundProfile, SidecarScope] = {}
        # Of earlier snapshots: the services with the hostnames that changed since, and the age of each.
        self._old_views: dict[_ViewKey, tuple[VisibleServices, frozenset[str], int]] = {}
        self._old_bases: dict[_BaseKey, tuple[ScopeBase, int]] = {}
        self._old_scopes: dict[OutboundProfile, tuple[SidecarScope, int]] = {}

    def after(self, changed_hosts: Iterable[str]) -> Scopes:
        """Return what the next snapshot starts with, in which services of some hostnames are different."""
        new = Scopes(self._settings)
        changed = frozenset(changed_hosts)
        for key, (view, pending, age) in self._old_views.items():
            if age < _UNUSED_AFTER:
                new._old_views[key] = (view, pending | changed if changed else pending, age + 1)
        new._old_views.update((key, (view, changed, 0)) for key, view in self._views.items())
        for base_key, (base, age) in self._old_bases.items():
            if age < _UNUSED_AFTER:
                new._old_bases[base_key] = (base, age + 1)
        new._old_bases.update((key, (base, 0)) for key, base in self._bases.items())
        for profile, (scope, age) in self._old_scopes.items():
            if age < _UNUSED_AFTER:
                new._old_scopes[profile] = (scope, age + 1)
        new._old_scopes.update((profile, (scope, 0)) for profile, scope in self._scopes.items())
        return new

    def scope(
        self,
        profile: OutboundProfile,
        registry: Registry,
        virtual_services: VirtualServiceIndex,
        destination_rules: DestinationRuleIndex,
        sidecars: SidecarIndex,
    ) -> SidecarScope:
        """Return the scope of `profile` in the snapshot that the indexes are of."""
        found = self._scopes.get(profile)
        if found is not None:
            return found
        sidecar = None if profile.is_router else sidecars.choose(profile.namespace, dict(profile.labels))
        base = self._base(profile, sidecar, registry, virtual_services)
        old, _ = self._old_scopes.pop(profile, (None, 0))
        if old is None or not old.is_current(base, registry.hosts, destination_rules):
            old = SidecarScope(profile, base, registry.hosts, destination_rules, self._settings)
        self._scopes[profile] = old
        return old

    def _base(
        self,
        profile: OutboundProfile,
        sidecar: SidecarConfig | None,
        registry: Registry,
        virtual_services: VirtualServiceIndex,
    ) -> ScopeBase:
        key = (profile.namespace, profile.is_router, sidecar)
        base = self._bases.get(key)
        if base is None:
            known, _ = self._old_bases.pop(key, (None, 0))
            visible = self._view(profile.namespace, not profile.is_router, registry)
            if profile.is_router:
                base = gateway_base(visible, virtual_services, known)
            else:
                base = sidecar_base(
                    profile.namespace, sidecar, visible, registry.hosts, virtual_services, known
                )
            self._bases[key] = base
        return base

    def _view(self, namespace: str, prefer_own: bool, registry: Registry) -> VisibleServices:
        key = (namespace, prefer_own)
        view = self._views.get(key)
        if view is None:
            known = self._old_views.pop(key, None)
            if known is None:
                view = VisibleServices.build(registry.hosts, namespace, prefer_own=prefer_own)
            else:
                view = known[0].updated(registry.hosts, sorted(known[1]))
            self._views[key] = view
        return view
