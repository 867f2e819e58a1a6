"""The translation of a changing mesh, for proxies that connect and disconnect.

    translation = Translation(mesh)
    snapshot = translation.snapshot(proxy)        # everything that the proxy is sent
    translation.update(new_mesh)                  # cheap: work is done when a snapshot is asked for
    snapshot = translation.snapshot(proxy)        # costs what the change touched, once for all like proxies

No IO, no clock, no tasks: the caller decides when work is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mizzen.config.diagnostics import Diagnostic
from mizzen.incremental import Database, Query
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.recorded.mesh import RecordedMesh
from mizzen.mesh.rules.gateways import MergedGateway
from mizzen.mesh.rules.security_policies import WorkloadPolicies
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.proxy_settings import mesh_config_of_proxy
from mizzen.translator.listeners.auto_passthrough import passthrough_hosts
from mizzen.translator.own.replicas import Made, Replicas, ServedProxies
from mizzen.translator.own.resources import (
    ServedWorkload,
    WorkloadResources,
    gateway_resources,
    sidecar_resources,
)
from mizzen.translator.own.secrets import proxy_secrets
from mizzen.translator.shared.overlays import Overlays
from mizzen.translator.shared.part_origins import OutboundParts
from mizzen.translator.shared.proxy_classes import ProxyClass, ProxyClasses
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection, Snapshot


class ProxyResources(dict[str, Mapping[str, Resource]]):
    """Everything that one proxy is sent, as type URL -> name -> resource, and diagnostics for what is not
    served."""

    diagnostics: tuple[Diagnostic, ...] = ()


class Translation:
    """The snapshot of each proxy, kept up to date with a mesh.

    If translating for a proxy raises an exception, the state stays as it was before. `ContainedTranslation`
    finds the document that causes it. Translations of similar meshes share a `memo`. `checking` is as in
    `Database`, for tests.
    """

    def __init__(self, mesh: Mesh, memo: Memo | None = None, *, checking: bool = False) -> None:
        self._mesh = mesh
        self._checking = checking
        self._memo = memo if memo is not None else Memo()
        self._overlays = Overlays()
        self._no_secrets = Collection(type_urls.SECRET, {})
        self._failing: dict[Proxy, None] = {}
        self._begin()

    def _begin(self) -> None:
        """Reset to a state in which nothing is computed."""
        database = self._database = Database(checking=self._checking)
        self._recorded = RecordedMesh(database, self._mesh)
        self._shared = ProxyClasses(database, self._mesh, self._memo)
        self._classes = Query(database, "class of a proxy", self._class_of)
        self._sidecars = Query(
            database, "inbound resources of a sidecar", self._sidecar_of, compared=_of_workload
        )
        self._gateways = Query(database, "gateway resources", self._gateway_of, compared=_of_workload)
        self._owns = Query(database, "resources of one workload", self._own_of, compared=_of_workload)
        replicas = Query(database, "replicas of a proxy", self._replicas_of, compared=_of_replicas)
        sent = Query(database, "what replicas are sent", self._made_for, compared=_of_made)
        self._served = ServedProxies(database, replicas, sent)

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
        """The number of classes of proxies."""
        return len(self._shared)

    def update(self, mesh: Mesh) -> Exception | None:
        """Replace the mesh. If its settings differ, everything is translated again. If only lines moved,
        nothing is translated again, and origins are the current ones.

        Return an error that was overcome (`ProxyClasses.renew`), or None.
        """
        before, self._mesh = self._mesh, mesh
        if mesh.says_the_same(before):
            return None
        if mesh.settings is not before.settings:
            self._overlays = Overlays()
            served = self._served
            self._begin()
            self._served.concerned.update({**served.concerned, **dict.fromkeys(served.proxies)})
            return None
        self._served.sweep()
        self._recorded.renew(mesh)
        overcome = self._shared.renew(mesh)
        self._database.retry_failures()
        return overcome

    def overcome(self) -> list[str]:
        """Return the tracebacks of errors since the last call in the shared resources of a class, where a
        second attempt succeeded."""
        return self._shared.overcome()

    def concerned(self) -> Iterator[Proxy]:
        """Yield the proxies whose snapshots may differ since the last call.

        These are the proxies that read something that changed, and those whose translation failed. The shared
        resources are updated between yields, class by class. The caller must remember those that it does not
        translate at once. A proxy is yielded again if something that it shares was updated after it was
        translated.
        """
        self._served.concerned.update(self._failing)
        yield from self._noted()
        for _ in self._shared.changed():
            yield from self._noted()

    def _noted(self) -> Iterator[Proxy]:
        while True:
            # Again after each round: translating for one of them may update resources that it shares with
            # proxies that were not noted yet.
            self._served.note_changes()
            if not self._served.concerned:
                return
            while self._served.concerned:
                yield self._served.concerned.popitem()[0]

    def knows(self, proxy: Proxy) -> bool:
        """Return whether the shared resources for `proxy` exist, or are known to fail."""
        proxy_class = self._class_if_sound(proxy)
        return proxy_class is None or self._shared.knows(proxy_class)

    def prepare(self, proxy: Proxy) -> Iterator[None]:
        """Do the costly work of the first `snapshot` of a class of proxies in small steps. The mesh may be
        updated between the steps. Errors are not raised here, but by `snapshot`."""
        proxy_class = self._class_if_sound(proxy)
        if proxy_class is not None and not self._shared.knows(proxy_class):
            yield from self._shared.prepare(proxy_class)

    def forget_unused(self, proxies: Iterable[Proxy]) -> None:
        """Forget everything that was made only for proxies not among these."""
        known = set(proxies)
        for proxy in self._served.proxies - known:
            self._served.forget(proxy)
        for noted in (self._served.concerned, self._failing):
            for proxy in noted.keys() - known:
                del noted[proxy]
        self._shared.keep(filter(None, map(self._class_if_sound, known)))
        self._served.sweep()

    def beside(self, mesh: Mesh) -> Translation:
        """Return a translation of a different mesh, which shares the memo and so all unchanged parts."""
        return Translation(mesh, self._memo, checking=self._checking)

    def fork(self, proxy: Proxy) -> Translation:
        """Return a separate translation of the same mesh, with a copy of the shared resources for `proxy`."""
        forked = self.beside(self._mesh)
        forked.take_over(proxy, self)
        return forked

    def take_over(self, proxy: Proxy, other: Translation) -> None:
        """Copy the shared resources for `proxy` from `other`, unless they exist here already. This costs less
        than building them. The mesh of `other` may differ."""
        proxy_class = self._class_if_sound(proxy)
        if proxy_class is not None:
            self._shared.take_over(proxy_class, other._shared)

    def rebuild(self, proxy: Proxy) -> None:
        """Forget everything made for `proxy`, so that it is built again the next time."""
        proxy_class = self._class_if_sound(proxy)
        if proxy_class is not None:
            self._shared.forget(proxy_class)
        self._served.forget(proxy)
        self._served.sweep()

    def snapshot(self, proxy: Proxy) -> Snapshot:
        """Return everything that `proxy` should be sent now. Collections that are equal for several proxies
        are the same objects."""
        return self.translate(proxy)[0]

    def translate(self, proxy: Proxy) -> Made:
        """Return the snapshot, and diagnostics for what cannot be served as written."""
        served = self._served
        try:
            proxy_class = served.class_of(proxy)
            if proxy_class is None or not self._shared.is_current(proxy_class):
                self._shared.bring(self._classes(proxy))
                served.find(proxy)
            made = served.made(proxy)
        except Exception:
            self._failing[proxy] = None
            served.forget(proxy)
            served.sweep()
            raise
        self._failing.pop(proxy, None)
        return made

    def _class_if_sound(self, proxy: Proxy) -> ProxyClass | None:
        """Return the class of a proxy; None if it cannot be told (`translate` raises the error)."""
        try:
            return self._classes(proxy)
        except Exception:
            return None

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
        return self._shared.parts(self._classes(proxy), route_configuration)

    def profile(self, proxy: Proxy) -> OutboundProfile:
        """Return the profile of a proxy: everything that its shared resources may depend on."""
        return self._classes(proxy).profile

    def proxy_class(self, proxy: Proxy) -> ProxyClass:
        """Return the class of a proxy. Proxies of one class share all resources except those of their own
        workload."""
        return self._classes(proxy)

    def own(self, proxy: Proxy) -> WorkloadResources:
        """Return the resources that are for a proxy's own workload: the inbound resources of a sidecar, or
        the gateway resources. For a sidecar this does not build the shared resources."""
        proxy_class = self._classes(proxy)
        if proxy.type == "router" or self._shared.has(proxy_class):
            self._shared.bring(proxy_class)
            return self._owns(proxy)
        return sidecar_resources(self.workload(proxy), self._memo)

    def workload(self, sidecar: Proxy) -> ServedWorkload:
        """Return everything that a sidecar's inbound resources depend on. Equal values give equal
        resources."""
        profile = self._classes(sidecar).profile
        mesh_config = mesh_config_of_proxy(self._mesh.mesh_config, profile.proxy_config, self._memo)
        return ServedWorkload.of(self._mesh, sidecar, self._mesh.scope(profile).sidecar, mesh_config)

    # The queries.

    def _class_of(self, proxy: Proxy) -> ProxyClass:
        profile = self._recorded.outbound_profile(proxy)
        if proxy.type != "router":
            return self._shared.of(profile, ())
        return self._shared.of(profile, passthrough_hosts(self._recorded.gateways_for(proxy).servers))

    def _replicas_of(self, proxy: Proxy) -> Replicas:
        proxy_class, own = self._classes(proxy), self._owns(proxy)
        secrets, problems = proxy_secrets(
            self._recorded,
            proxy,
            self._shared.secrets(proxy_class),
            own,
            lambda: self._shared.resources(proxy_class).clusters.values(),
            self._memo,
        )
        return self._memo(
            Replicas,
            proxy_class,
            own.clusters,
            own.listeners,
            own.hidden_listeners,
            own.routes,
            secrets,
            (*own.diagnostics, *problems),
        )

    def _made_for(self, replicas: Replicas) -> Made:
        shared, laid = self._shared.resources(replicas.proxy_class), self._overlays.laid
        collections = {
            type_urls.CLUSTER: laid(shared.clusters, replicas.clusters),
            type_urls.ENDPOINT: shared.endpoints,
            type_urls.LISTENER: laid(shared.listeners, replicas.listeners, replicas.hidden_listeners),
            type_urls.ROUTE: laid(shared.routes, replicas.routes),
        }
        if replicas.secrets:
            collections[type_urls.SECRET] = laid(self._no_secrets, replicas.secrets)
        diagnostics = shared.diagnostics
        if replicas.diagnostics:
            diagnostics = (*diagnostics, *replicas.diagnostics)
        return Snapshot(collections), diagnostics

    def _own_of(self, proxy: Proxy) -> WorkloadResources:
        proxy_class = self._classes(proxy)
        if proxy.type == "router":
            recorded = self._recorded
            return self._gateways(
                proxy_class.whole, recorded.gateways_for(proxy), recorded.policies_for(proxy)
            )
        return self._sidecars(ServedWorkload.of(self._recorded, proxy, *self._shared.settings(proxy_class)))

    def _sidecar_of(self, workload: ServedWorkload) -> WorkloadResources:
        return sidecar_resources(workload, self._memo)

    def _gateway_of(
        self, proxy_class: ProxyClass, gateway: MergedGateway, policies: WorkloadPolicies
    ) -> WorkloadResources:
        shared = self._shared.whole(proxy_class)
        assert shared.scope is not None
        return gateway_resources(
            self._recorded,
            gateway,
            policies,
            shared.scope,
            shared.mesh_config,
            shared.passthrough,
            self._memo,
            shared.gateway_routes,
        )


def _of_workload(made: WorkloadResources) -> Any:
    """Return the content of a workload's resources, for checks."""
    resources = (*made.clusters, *made.listeners, *made.routes)
    return _content(resources), made.diagnostics, made.secrets, made.hidden_listeners, made.chain_origins


def _of_replicas(made: Replicas) -> Any:
    """Return the content of replicas, for checks."""
    resources = (*made.clusters, *made.listeners, *made.routes, *made.secrets)
    return made.proxy_class, _content(resources), made.hidden_listeners, made.diagnostics


def _of_made(made: Made) -> Any:
    """Return the content of what replicas are sent, for checks."""
    return _content(made[0]), made[1]


def _content(resources: Iterable[Resource]) -> Any:
    return {(each.type_url, each.name): (each.version, set(each.origins)) for each in resources}
