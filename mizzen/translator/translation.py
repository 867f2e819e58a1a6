"""The translation of a changing mesh, for proxies that connect and disconnect.

    translation = Translation(mesh)
    snapshot = translation.snapshot(proxy)        # everything that the proxy is sent
    translation.update(new_mesh)                  # cheap: work is done when a snapshot is asked for
    snapshot = translation.snapshot(proxy)        # costs what the change touched, once for all like proxies

No IO, no clock, no tasks: the caller decides when work is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.mesh_config import MeshConfig
from mizzen.incremental import Database, Query, Watch
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.recorded import RecordedMesh
from mizzen.mesh.rules.gateways import MergedGateway
from mizzen.mesh.rules.security_policies import WorkloadPolicies
from mizzen.mesh.scope.sidecars import SidecarConfig
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.proxy_settings import mesh_config_of_proxy
from mizzen.translator.kinds import Kind, Kinds
from mizzen.translator.listeners.auto_passthrough import passed_hosts
from mizzen.translator.overlays import Overlays
from mizzen.translator.own_resources import (
    OwnResources,
    ServedWorkload,
    gateway_resources,
    sidecar_resources,
)
from mizzen.translator.part_origins import OutboundParts
from mizzen.translator.proxy_secrets import proxy_secrets
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection, Snapshot

_Made = tuple[Snapshot, tuple[Diagnostic, ...]]
"""Everything that a proxy is sent, and what could not be served as it was written."""


class ProxyResources(dict[str, Mapping[str, Resource]]):
    """Everything that one proxy is sent, as type URL -> name -> resource, and diagnostics for what is not
    served."""

    diagnostics: tuple[Diagnostic, ...] = ()


class Translation:
    """The snapshot of each proxy, kept up to date with a mesh.

    If translating for a proxy raises an exception, the state stays as it was before. `ContainedTranslation`
    finds the document that causes it. Translations of similar meshes share a `memo`.
    """

    def __init__(self, mesh: Mesh, memo: Memo | None = None) -> None:
        self._mesh = mesh
        self._memo = memo if memo is not None else Memo()
        self._overlays = Overlays()
        self._no_secrets = Collection(type_urls.SECRET, {})
        self._watches: dict[Proxy, Watch[_Made]] = {}
        self._concerned: dict[Proxy, None] = {}
        self._failing: dict[Proxy, None] = {}
        self._begin()

    def _begin(self) -> None:
        """Reset to a state in which nothing is computed."""
        database = self._database = Database()
        self._recorded = RecordedMesh(database, self._mesh)
        self._shared = Kinds(database, self._mesh, self._memo)
        self._kinds = Query(database, "kind of a proxy", self._kind_of)
        self._settings = Query(database, "settings of a kind of sidecars", self._settings_of)
        self._sidecars = Query(database, "own resources of a sidecar", self._sidecar_of)
        self._gateways = Query(database, "own resources of a gateway", self._gateway_of)
        self._owns = Query(database, "own resources of a proxy", self._own_of)
        self._snapshots = Query(database, "what a proxy is sent", self._made_for)

    @property
    def mesh(self) -> Mesh:
        """The mesh that is translated."""
        return self._mesh

    @property
    def memo(self) -> Memo:
        """The memo of what was built already."""
        return self._memo

    @property
    def profiles(self) -> int:
        """The number of kinds of proxies."""
        return len(self._shared)

    def update(self, mesh: Mesh) -> None:
        """Replace the mesh. If its settings differ, everything is translated again."""
        before, self._mesh = self._mesh, mesh
        if mesh.settings is not before.settings:
            self._overlays = Overlays()
            self._concerned.update(dict.fromkeys(self._watches))
            self._watches.clear()
            self._begin()
            return
        self._recorded.renew(mesh)
        self._shared.renew(mesh)
        self._database.sweep()

    def concerned(self) -> Iterator[Proxy]:
        """Yield the proxies whose snapshots may differ since the last call.

        These are the proxies that read something that changed, and those whose translation failed. The shared
        resources are updated between yields, kind by kind. Each proxy is yielded only once, so the caller
        must remember those that it does not translate at once.
        """
        self._concerned.update(self._failing)
        yield from self._noted()
        for _ in self._shared.changed():
            yield from self._noted()

    def _noted(self) -> Iterator[Proxy]:
        self._concerned.update((watch.key[0], None) for watch in self._database.take_stale())
        while self._concerned:
            yield self._concerned.popitem()[0]

    def knows(self, proxy: Proxy) -> bool:
        """Return whether the shared resources for `proxy` exist, or are known to fail."""
        return self._shared.knows(self._kinds.sound(proxy))

    def prepare(self, proxy: Proxy) -> Iterator[None]:
        """Do the costly work of the first `snapshot` of a kind of proxies in small steps. The mesh may be
        updated between the steps. Errors are not raised here, but by `snapshot`."""
        kind = self._kinds.sound(proxy)
        if not self._shared.knows(kind):
            yield from self._shared.prepare(kind)

    def forget_unused(self, proxies: Iterable[Proxy]) -> None:
        """Forget everything that was made only for proxies not among these."""
        known = set(proxies)
        for proxy in self._watches.keys() - known:
            self._watches.pop(proxy).close()
        for noted in (self._concerned, self._failing):
            for proxy in noted.keys() - known:
                del noted[proxy]
        self._shared.keep(self._kinds.sound(proxy) for proxy in known)
        self._database.sweep()

    def beside(self, mesh: Mesh) -> Translation:
        """Return a translation of a different mesh, which shares the memo and so all unchanged parts."""
        return Translation(mesh, self._memo)

    def fork(self, proxy: Proxy) -> Translation:
        """Return a separate translation of the same mesh, with a copy of the shared resources for `proxy`."""
        forked = self.beside(self._mesh)
        forked.take_over(proxy, self)
        return forked

    def take_over(self, proxy: Proxy, other: Translation) -> None:
        """Copy the shared resources for `proxy` from `other`, unless they exist here already. This costs less
        than building them. The mesh of `other` may differ."""
        self._shared.take_over(self._kinds.sound(proxy), other._shared)

    def rebuild(self, proxy: Proxy) -> None:
        """Forget everything made for `proxy`, so that it is built again the next time."""
        self._shared.forget(self._kinds.sound(proxy))
        self._unwatch(proxy)

    def snapshot(self, proxy: Proxy) -> Snapshot:
        """Return everything that `proxy` should be sent now. Collections that are equal for several proxies
        are the same objects."""
        return self.translate(proxy)[0]

    def translate(self, proxy: Proxy) -> _Made:
        """Return the snapshot, and diagnostics for what cannot be served as written."""
        try:
            self._shared.bring(self._kinds.sound(proxy))
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
        """Forget the snapshot of a proxy, after it failed or to build it again."""
        watch = self._watches.pop(proxy, None)
        if watch is not None:
            watch.close()
        self._database.sweep()

    def resources(self, proxy: Proxy) -> ProxyResources:
        """Return everything that `proxy` should be sent now as a mapping, with diagnostics for what is not
        served."""
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
        """Return one resource that `proxy` should be sent now; None if there is none with this name."""
        return self.snapshot(proxy).get(type_url, name)

    def listeners(self, proxy: Proxy) -> Iterable[Resource]:
        """Return all listeners that `proxy` should be sent now."""
        return self.snapshot(proxy).collection(type_urls.LISTENER).resources.values()

    def parts(self, proxy: Proxy, route_configuration: str = "") -> OutboundParts:
        """Return the parts of the outbound resources of `proxy`, to find their origins. The routes are those
        of one route configuration."""
        self.translate(proxy)
        return self._shared.parts(self._kinds.sound(proxy), route_configuration)

    def profile(self, proxy: Proxy) -> OutboundProfile:
        """Return the profile of a proxy: everything that its shared resources may depend on."""
        return self._kinds.sound(proxy).profile

    def kind(self, proxy: Proxy) -> Kind:
        """Return the kind of a proxy. Proxies of one kind share all resources except those of their own
        workload."""
        return self._kinds.sound(proxy)

    def own(self, proxy: Proxy) -> OwnResources:
        """Return the resources that are for a proxy's own workload: the inbound resources of a sidecar, or
        the gateway resources. For a sidecar this does not build the shared resources."""
        kind = self._kinds.sound(proxy)
        if proxy.type == "router" or self._shared.has(kind):
            self._shared.bring(kind)
            return self._owns.sound(proxy)
        return sidecar_resources(self.workload(proxy), self._memo)

    def workload(self, sidecar: Proxy) -> ServedWorkload:
        """Return everything that a sidecar's inbound resources depend on. Equal values give equal
        resources."""
        profile = self._kinds.sound(sidecar).profile
        mesh_config = mesh_config_of_proxy(self._mesh.mesh_config, profile.proxy_config, self._memo)
        return ServedWorkload.of(self._mesh, sidecar, self._mesh.scope(profile).sidecar, mesh_config)

    # The queries.

    def _kind_of(self, proxy: Proxy) -> Kind:
        profile = self._recorded.outbound_profile(proxy)
        if proxy.type != "router":
            return self._shared.of(profile, ())
        return self._shared.of(profile, passed_hosts(self._recorded.gateways_for(proxy).servers))

    def _made_for(self, proxy: Proxy) -> _Made:
        kind = self._kinds(proxy)
        shared, over, own = self._shared.whole(kind), self._shared.laid_over(kind), self._owns(proxy)
        laid = self._overlays.laid
        listeners = over.listeners.on(shared.listeners)
        collections = {
            type_urls.CLUSTER: laid(over.clusters.on(shared.clusters), own.clusters),
            type_urls.ENDPOINT: over.endpoints.on(shared.endpoints),
            type_urls.LISTENER: laid(listeners, own.listeners, own.hidden_listeners),
            type_urls.ROUTE: laid(over.routes.on(shared.routes), own.routes),
        }
        asked = shared.secrets if over.secrets is None else over.secrets
        clusters = collections[type_urls.CLUSTER]
        secrets, problems = proxy_secrets(self._recorded, proxy, asked, own, clusters, self._memo)
        if secrets:
            collections[type_urls.SECRET] = laid(self._no_secrets, secrets)
        diagnostics = shared.diagnostics if over.diagnostics is None else over.diagnostics
        return Snapshot(collections), (*diagnostics, *own.diagnostics, *problems)

    def _own_of(self, proxy: Proxy) -> OwnResources:
        kind = self._kinds(proxy)
        if proxy.type == "router":
            recorded = self._recorded
            return self._gateways(kind.whole, recorded.gateways_for(proxy), recorded.policies_for(proxy))
        return self._sidecars(ServedWorkload.of(self._recorded, proxy, *self._settings(kind.whole)))

    def _sidecar_of(self, workload: ServedWorkload) -> OwnResources:
        return sidecar_resources(workload, self._memo)

    def _settings_of(self, kind: Kind) -> tuple[SidecarConfig | None, MeshConfig]:
        shared = self._shared.whole(kind)
        return shared.sidecar, shared.mesh_config

    def _gateway_of(self, kind: Kind, gateway: MergedGateway, policies: WorkloadPolicies) -> OwnResources:
        shared = self._shared.whole(kind)
        assert shared.scope is not None
        return gateway_resources(
            self._recorded,
            gateway,
            policies,
            shared.scope,
            shared.mesh_config,
            shared.passed,
            self._memo,
            shared.gateway_routes,
        )
