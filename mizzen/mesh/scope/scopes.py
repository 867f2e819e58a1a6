"""The scopes that were asked for, carried from snapshot to snapshot as long as they hold."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Final, Generic, TypeVar

from mizzen.mesh.lineage import Lineage
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.destination_rules import DestinationRuleIndex
from mizzen.mesh.rules.virtual_service_index import VirtualServiceIndex
from mizzen.mesh.scope.sidecar_scope import ScopeBase, SidecarScope, gateway_base, sidecar_base
from mizzen.mesh.scope.sidecars import SidecarConfig, SidecarIndex
from mizzen.mesh.scope.visible_services import VisibleServices
from mizzen.mesh.services.registry import Registry
from mizzen.mesh.settings import MeshSettings

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_ViewKey = tuple[str, bool]
_BaseKey = tuple[str, bool, SidecarConfig | None]

_GENERATION: Final = 16
"""So many snapshots are one generation; what was not asked for in two is forgotten."""


class _Carried(Generic[Key, Value]):
    """Values of this snapshot, and those of earlier ones that may still hold."""

    __slots__ = ("_earlier", "_older", "current")

    def __init__(
        self, earlier: dict[Key, Value] | None = None, older: dict[Key, Value] | None = None
    ) -> None:
        self.current: dict[Key, Value] = {}
        self._earlier = earlier if earlier is not None else {}
        self._older = older if older is not None else {}

    def known(self, key: Key) -> Value | None:
        """Return the value that an earlier snapshot had, or None."""
        found = self._earlier.get(key)
        return found if found is not None else self._older.get(key)

    def keep(self, used: Callable[[Key], bool]) -> None:
        """Forget the values of other keys. Earlier snapshots keep theirs."""
        self.current = {key: value for key, value in self.current.items() if used(key)}
        self._earlier = {key: value for key, value in self._earlier.items() if used(key)}
        self._older = {key: value for key, value in self._older.items() if used(key)}

    def following(self, *, new_generation: bool) -> _Carried[Key, Value]:
        """Return what the next snapshot starts with."""
        earlier = self._earlier | self.current if self.current else self._earlier
        return _Carried({}, earlier) if new_generation else _Carried(earlier, self._older)


class Scopes:
    """Scopes by profile, and the parts that profiles share, of one snapshot.

    What an earlier snapshot computed is looked at again only when asked for: the services that a namespace
    sees are patched by the hostnames that changed since, and all else is kept if its parts are the same.
    """

    def __init__(self, settings: MeshSettings) -> None:
        self._settings = settings
        self._number = 0
        # The hostnames of the services that changed in the last snapshots, the latest at the end.
        self._changes: tuple[frozenset[str], ...] = ()
        self._views: _Carried[_ViewKey, tuple[VisibleServices, int]] = _Carried()
        self._bases: _Carried[_BaseKey, tuple[ScopeBase, Lineage, Lineage]] = _Carried()
        self._scopes: _Carried[OutboundProfile, SidecarScope] = _Carried()

    def after(self, changed_hosts: Iterable[str]) -> Scopes:
        """Return what the next snapshot starts with, in which services of some hostnames are different."""
        new = Scopes(self._settings)
        new._number = self._number + 1
        new._changes = (*self._changes, frozenset(changed_hosts))[-2 * _GENERATION :]
        new_generation = new._number % _GENERATION == 0
        new._views = self._views.following(new_generation=new_generation)
        new._bases = self._bases.following(new_generation=new_generation)
        new._scopes = self._scopes.following(new_generation=new_generation)
        return new

    def keep(self, used: Iterable[OutboundProfile]) -> None:
        """Forget what only other profiles than these need."""
        profiles = frozenset(used)
        seen_from = {(profile.namespace, profile.is_router) for profile in profiles}
        self._scopes.keep(profiles.__contains__)
        self._bases.keep(lambda key: key[:2] in seen_from)
        self._views.keep(lambda key: (key[0], not key[1]) in seen_from)

    def scope(
        self,
        profile: OutboundProfile,
        registry: Registry,
        virtual_services: VirtualServiceIndex,
        destination_rules: DestinationRuleIndex,
        sidecars: SidecarIndex,
    ) -> SidecarScope:
        """Return the scope of `profile` in the snapshot that the indexes are of."""
        found = self._scopes.current.get(profile)
        if found is not None:
            return found
        sidecar = None if profile.is_router else sidecars.choose(profile.namespace, dict(profile.labels))
        base = self._base(profile, sidecar, registry, virtual_services)
        scope = self._scopes.known(profile)
        if scope is None or not scope.is_current(base, registry.hosts, destination_rules):
            scope = SidecarScope(profile, base, registry.hosts, destination_rules, self._settings, scope)
        self._scopes.current[profile] = scope
        return scope

    def _base(
        self,
        profile: OutboundProfile,
        sidecar: SidecarConfig | None,
        registry: Registry,
        virtual_services: VirtualServiceIndex,
    ) -> ScopeBase:
        key = (profile.namespace, profile.is_router, sidecar)
        found = self._bases.current.get(key)
        if found is not None:
            return found[0]
        services, rules = registry.hosts.lineage, virtual_services.mesh_hosts.lineage
        before = self._bases.known(key)
        # Asked for even if it is not needed now, so that it is kept at hand.
        visible = self._view(profile.namespace, not profile.is_router, registry)
        if before is not None and before[1] is services and before[2] is rules:
            base = before[0]
        elif profile.is_router:
            base = gateway_base(visible, virtual_services, before and before[0])
        else:
            base = sidecar_base(
                profile.namespace, sidecar, visible, registry, virtual_services, before and before[0]
            )
        self._bases.current[key] = (base, services, rules)
        return base

    def _view(self, namespace: str, prefer_own: bool, registry: Registry) -> VisibleServices:
        key = (namespace, prefer_own)
        found = self._views.current.get(key)
        if found is not None:
            return found[0]
        known, number = self._views.known(key) or (None, 0)
        missed = self._number - number
        if known is None or missed > len(self._changes):
            view = VisibleServices.build(registry.hosts, namespace, prefer_own=prefer_own)
        else:
            changed = frozenset[str]().union(*self._changes[len(self._changes) - missed :])
            view = known.updated(registry.hosts, sorted(changed))
        self._views.current[key] = (view, self._number)
        return view
