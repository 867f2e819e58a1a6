"""The translation of a mesh that changes, for proxies that come and go.

    translation = Translation(mesh)
    snapshot = translation.snapshot(proxy)        # everything that the proxy is sent
    translation.update(new_mesh)                  # cheap: work is done when a snapshot is asked for
    snapshot = translation.snapshot(proxy)        # costs what the change touched, once for all like proxies

No IO, no clock, no tasks: whoever owns it decides when to ask.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.mesh_config import MeshConfig
from mizzen.incremental import Database, Query, Table, Watch
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.recorded import RecordedMesh
from mizzen.mesh.rules.gateways import MergedGateway
from mizzen.mesh.rules.security_policies import WorkloadPolicies
from mizzen.mesh.scope.label_mentions import mesh_wide_labels
from mizzen.mesh.scope.sidecars import SidecarConfig
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.proxy_settings import mesh_config_of_proxy
from mizzen.translator.listeners.auto_passthrough import passed_hosts
from mizzen.translator.outbound import OutboundResources
from mizzen.translator.overlays import Overlays
from mizzen.translator.own_resources import (
    OwnResources,
    ServedWorkload,
    gateway_resources,
    sidecar_resources,
)
from mizzen.translator.proxy_secrets import proxy_secrets
from mizzen.translator.shared_resources import SharedResources
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection, Snapshot

_UNUSED_UPDATES = 32
"""A profile that nobody asked for during so many changes of the mesh is forgotten."""

_MEMO_FLOOR = 250
_MEMO_PER_SERVICE = 4
"""What a profile is built from: cluster, load assignment, routes, virtual host of each service. The memo is
swept when as much again was built, so it holds at most three times what is alive."""


_Kind = tuple[OutboundProfile, tuple[str, ...]]
"""What outbound resources depend on: a profile, and for gateways the hosts that they pass on."""


_Made = tuple[Snapshot, tuple[Diagnostic, ...]]
"""Everything that a proxy is sent, and what could not be served as it was written."""


@dataclass(slots=True)
class _Live:
    """The outbound resources of a profile, and how many updates ago somebody asked for them."""

    resources: OutboundResources
    unused: int = 0


class ProxyResources(dict[str, Mapping[str, Resource]]):
    """Everything that one proxy is sent, type URL -> name -> resource, and what could not be served."""

    diagnostics: tuple[Diagnostic, ...] = ()


class Translation:
    """What each proxy is sent, kept up to date with a mesh.

    A fault (an exception while translating for a proxy) is raised, and leaves everything as it was before;
    `ContainedTranslation` finds the document that it comes from. `memo` is shared with the translation that
    this one goes along with, which then sweeps it.
    """

    def __init__(self, mesh: Mesh, memo: Memo | None = None) -> None:
        self._mesh = mesh
        self._memo = memo if memo is not None else Memo()
        self._sweeps = memo is None
        self._failed: dict[_Kind, str] = {}
        self._live: dict[_Kind, _Live] = {}
        self._building: dict[_Kind, _Live] = {}
        self._overlays = Overlays()
        self._no_secrets = Collection(type_urls.SECRET, {})
        self._watches: dict[Proxy, Watch[_Made]] = {}
        self._concerned: dict[Proxy, None] = {}
        self._failing: dict[Proxy, None] = {}
        self._begin()

    def _begin(self) -> None:
        """Begin with nothing computed."""
        database = self._database = Database()
        self._recorded = RecordedMesh(database, self._mesh)
        self._shared = Table[_Kind, SharedResources](database, "resources that proxies share")
        self._kinds = Query(database, "kind of a proxy", self._kind_of)
        self._settings = Query(database, "settings of a kind of sidecars", self._settings_of)
        self._sidecars = Query(database, "own resources of a sidecar", self._sidecar_of)
        self._gateways = Query(database, "own resources of a gateway", self._gateway_of)
        self._owns = Query(database, "own resources of a proxy", self._own_of)
        self._snapshots = Query(database, "what a proxy is sent", self._made_for)

    @property
    def mesh(self) -> Mesh:
        """The mesh that snapshots are of."""
        return self._mesh

    @property
    def memo(self) -> Memo:
        """What was built already, by what it was built from."""
        return self._memo

    @property
    def profiles(self) -> int:
        """How many kinds of proxies that no rule can tell apart there are."""
        return len(self._live)

    def update(self, mesh: Mesh) -> None:
        """Go over to `mesh`. With other settings, everything is translated anew."""
        before, self._mesh = self._mesh, mesh
        self._failed.clear()
        if mesh.settings is not before.settings:
            if self._sweeps:
                self._memo = Memo()
            self._live.clear()
            self._building.clear()
            self._overlays = Overlays()
            self._concerned.update(dict.fromkeys(self._watches))
            self._watches.clear()
            self._begin()
            return
        self._recorded.renew(mesh)
        for live in self._live.values():
            live.unused += 1
        unused = [kind for kind, live in self._live.items() if live.unused > _UNUSED_UPDATES]
        for kind in unused:
            self._drop(kind)
        if unused:
            mesh.forget_scopes(profile for profile, _ in (*self._live, *self._building))
        self._database.sweep()
        if not self._sweeps:
            return
        services = sum(len(live.resources.scope.services) for live in self._live.values())
        if self._memo.built_since_sweep > _MEMO_FLOOR + _MEMO_PER_SERVICE * services:
            self._memo.sweep()

    def concerned(self) -> Iterator[Proxy]:
        """Yield the proxies that may have to be sent something else since this was last asked: those that
        read what changed, and those that nothing could be translated for. What they share is brought up to
        date kind by kind, in between. Each is yielded once; who does not ask for it then has to remember."""
        self._concerned.update(self._failing)
        yield from self._noted()
        for kind in tuple(self._live):
            if self._shared.is_read(kind):
                try:
                    self._share(kind)
                except Exception:
                    self._shared.discard(kind)  # so that its proxies are yielded, and fail by themselves
                    self._failed.pop(kind, None)
                yield from self._noted()

    def _noted(self) -> Iterator[Proxy]:
        self._concerned.update((watch.key[0], None) for watch in self._database.take_stale())
        while self._concerned:
            yield self._concerned.popitem()[0]

    def knows(self, proxy: Proxy) -> bool:
        """Return whether there is something to go on from for `proxy`, or it is known that it fails."""
        kind = self._kinds.sound(proxy)
        return kind in self._live or kind in self._failed

    def prepare(self, proxy: Proxy) -> Iterator[None]:
        """Do in small steps what is costly in the first `snapshot` of a kind of proxies. The mesh may be
        updated in between. What fails is left to `snapshot`."""
        if self.knows(proxy):
            return
        kind = self._kinds.sound(proxy)
        if self._sibling(kind) is not None:
            return
        building = _Live(OutboundResources(self._mesh, *kind, self._memo))
        self._building[kind] = building
        try:
            yield from building.resources.build()
            if self._building.get(kind) is building:
                self._live.setdefault(kind, building)
        except Exception:
            return  # `snapshot` fails as well, and its owner looks for the cause
        finally:
            if self._building.get(kind) is building:
                del self._building[kind]

    def forget_unused(self, proxies: Iterable[Proxy]) -> bool:
        """Forget what was made for other proxies than these. Return whether there were kinds of them that are
        gone; then the memo has to be swept, as `sweep` says."""
        known = set(proxies)
        for proxy in self._watches.keys() - known:
            self._watches.pop(proxy).close()
        for noted in (self._concerned, self._failing):
            for proxy in noted.keys() - known:
                del noted[proxy]
        kinds = {self._kinds.sound(proxy) for proxy in known}
        gone = self._live.keys() - kinds
        for kind in gone:
            self._drop(kind)
        self._database.sweep()
        self._mesh.forget_scopes(profile for profile, _ in kinds)
        return bool(gone)

    def _drop(self, kind: _Kind) -> None:
        del self._live[kind]
        self._shared.discard(kind)

    def sweep(self) -> None:
        """Let the memo forget what has not been asked for since the last sweep."""
        self._memo.sweep()
        for live in self._live.values():
            _ = live.resources.mesh_config  # another object would be another configuration

    def beside(self, mesh: Mesh) -> Translation:
        """Return a translation of another mesh, which shares what is remembered of unchanged parts."""
        return Translation(mesh, self._memo)

    def fork(self, proxy: Proxy) -> Translation:
        """Return a translation of the same mesh that has what is known for `proxy` and changes by itself."""
        forked = self.beside(self._mesh)
        forked.take_over(proxy, self)
        return forked

    def take_over(self, proxy: Proxy, other: Translation) -> None:
        """Go on from what `other`, whose mesh may be a different one, has for `proxy`; it costs less than to
        build that from nothing. Nothing happens if there is something to go on from already."""
        kind = self._kinds.sound(proxy)
        known = other._live.get(kind)
        if known is None or kind in self._live:
            return
        if known.resources.mesh.settings is self._mesh.settings:
            self._live[kind] = _Live(known.resources.copy())

    def rebuild(self, proxy: Proxy) -> None:
        """Forget what is known for `proxy`: it is built from nothing the next time."""
        kind = self._kinds.sound(proxy)
        if kind in self._live:
            self._drop(kind)
        self._failed.pop(kind, None)
        self._unwatch(proxy)

    def snapshot(self, proxy: Proxy) -> Snapshot:
        """Return everything that `proxy` is to be sent now. Collections that are equal for several proxies
        are the same objects."""
        return self.translate(proxy)[0]

    def translate(self, proxy: Proxy) -> _Made:
        """Return what `snapshot` returns, and what could not be served as it was written."""
        try:
            self._share(self._kinds.sound(proxy))
            made = self._snapshots.sound(proxy)
        except Exception:
            self._failing[proxy] = None
            self._unwatch(proxy)
            raise
        self._failing.pop(proxy, None)
        if proxy not in self._watches:
            self._watches[proxy] = self._snapshots.watch(proxy)
        return made

    def _unwatch(self, proxy: Proxy) -> None:
        """Forget what was made for a proxy: nothing good, or nothing that is to stand."""
        watch = self._watches.pop(proxy, None)
        if watch is not None:
            watch.close()
        self._database.sweep()

    def resources(self, proxy: Proxy) -> ProxyResources:
        """Return everything that `proxy` is to be sent now as a mapping, with what could not be served."""
        snapshot, diagnostics = self.translate(proxy)
        resources = ProxyResources()
        for type_url in (
            type_urls.CLUSTER,
            type_urls.ENDPOINT,
            type_urls.LISTENER,
            type_urls.ROUTE,
            type_urls.SECRET,
        ):
            resources[type_url] = snapshot.collection(type_url).resources
        resources.diagnostics = diagnostics
        return resources

    def resource(self, proxy: Proxy, type_url: str, name: str) -> Resource | None:
        """Return one resource that `proxy` is to be sent now; None if there is none of this name."""
        return self.snapshot(proxy).get(type_url, name)

    def listeners(self, proxy: Proxy) -> Iterable[Resource]:
        """Return all listeners that `proxy` is to be sent now."""
        return self.snapshot(proxy).collection(type_urls.LISTENER).resources.values()

    def parts(self, proxy: Proxy) -> tuple[OutboundResources, OwnResources]:
        """Return what `proxy` shares with others and what it has of its own, to find where they come from."""
        self.translate(proxy)
        return self._live[self._kinds.sound(proxy)].resources, self._owns.sound(proxy)

    def profile(self, proxy: Proxy) -> OutboundProfile:
        """Return all that may matter of a proxy to what it shares with others."""
        return self._kinds.sound(proxy)[0]

    def kind(self, proxy: Proxy) -> _Kind:
        """Return what the resources depend on that a proxy shares with others."""
        return self._kinds.sound(proxy)

    def own(self, sidecar: Proxy) -> OwnResources:
        """Return what a sidecar is sent for its own workload: inbound listeners and clusters. What it would
        share with others is not built for that."""
        kind = self._kinds.sound(sidecar)
        if kind in self._live:
            self._share(kind)
            return self._owns.sound(sidecar)
        profile, _ = kind
        mesh_config = mesh_config_of_proxy(self._mesh.mesh_config, profile.proxy_config, self._memo)
        scope = self._mesh.scope(profile)
        workload = ServedWorkload.of(self._mesh, sidecar, scope.sidecar, mesh_config)
        return sidecar_resources(workload, self._memo)

    # The queries.

    def _kind_of(self, proxy: Proxy) -> _Kind:
        profile = self._recorded.outbound_profile(proxy)
        if proxy.type != "router":
            return profile, ()
        return profile, passed_hosts(self._recorded.gateways_for(proxy).servers)

    def _made_for(self, proxy: Proxy) -> _Made:
        kind = self._kinds(proxy)
        shared, own = self._shared[kind], self._owns(proxy)
        laid = self._overlays.laid
        collections = {
            type_urls.CLUSTER: laid(shared.clusters, own.clusters),
            type_urls.ENDPOINT: shared.endpoints,
            type_urls.LISTENER: laid(shared.listeners, own.listeners, own.hidden_listeners),
            type_urls.ROUTE: laid(shared.routes, own.routes),
        }
        secrets, problems = proxy_secrets(self._recorded, proxy, shared, own, self._memo)
        if secrets:
            collections[type_urls.SECRET] = laid(self._no_secrets, secrets)
        return Snapshot(collections), (*shared.diagnostics, *own.diagnostics, *problems)

    def _own_of(self, proxy: Proxy) -> OwnResources:
        kind = self._kinds(proxy)
        if proxy.type == "router":
            recorded = self._recorded
            return self._gateways(kind, recorded.gateways_for(proxy), recorded.policies_for(proxy))
        return self._sidecars(ServedWorkload.of(self._recorded, proxy, *self._settings(kind)))

    def _sidecar_of(self, workload: ServedWorkload) -> OwnResources:
        return sidecar_resources(workload, self._memo)

    def _settings_of(self, kind: _Kind) -> tuple[SidecarConfig | None, MeshConfig]:
        shared = self._shared[kind]
        return shared.sidecar, shared.mesh_config

    def _gateway_of(self, kind: _Kind, gateway: MergedGateway, policies: WorkloadPolicies) -> OwnResources:
        shared = self._shared[kind]
        assert shared.scope is not None
        return gateway_resources(
            self._recorded,
            gateway,
            policies,
            shared.scope,
            shared.mesh_config,
            shared.passed,
            self._memo,
        )

    # What proxies of a kind share, which follows changes by itself.

    def _built(self, kind: _Kind) -> OutboundResources:
        """Build what proxies of a new kind share, from what another kind with other labels has if there is
        one."""
        sibling = self._sibling(kind)
        if sibling is not None:
            return sibling.with_labels(kind[0])
        made = OutboundResources(self._mesh, *kind, self._memo)
        deque(made.build(), maxlen=0)
        return made

    def _sibling(self, kind: _Kind) -> OutboundResources | None:
        """Return the resources, up to date, of a kind of sidecars that differs in nothing but its labels, and
        sees the same."""
        profile = kind[0]
        if profile.is_router or mesh_wide_labels(self._mesh.mesh_config):
            return None
        base = self._mesh.scope(profile).base
        for (other, _), live in reversed(self._live.items()):
            known = live.resources
            alike = known.mesh is self._mesh and known.scope.base is base
            if alike and replace(other, labels=profile.labels) == profile:
                return known
        return None

    def _share(self, kind: _Kind) -> None:
        """Bring what proxies of a kind share up to date, and tell those that read it if it is another now."""
        if kind in self._failed:
            raise RuntimeError(self._failed[kind])
        live = self._live.get(kind)
        if live is not None:
            live.unused = 0
            if live.resources.mesh is self._mesh and kind in self._shared.values_now:
                return
        try:
            if live is None:
                live = self._live[kind] = _Live(self._built(kind))
            elif live.resources.mesh is not self._mesh:
                live.resources.update(self._mesh)
            self._shared[kind] = live.resources.shared
        except Exception as error:
            # For the next proxies of the kind. The exception itself would keep a superseded mesh in memory.
            self._failed[kind] = f"{type(error).__name__}: {error}"
            raise
