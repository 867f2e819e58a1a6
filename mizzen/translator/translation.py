"""The translation of a mesh that changes, for proxies that come and go.

    translation = Translation(mesh)
    snapshot = translation.snapshot(proxy)        # everything that the proxy is sent
    translation.update(new_mesh, delta)           # cheap: work is done when a snapshot is asked for
    snapshot = translation.snapshot(proxy)        # costs what the change touched, once for all like proxies

No IO, no clock, no tasks: whoever owns it decides when to ask.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mizzen.config.diagnostics import Diagnostic
from mizzen.mesh.delta import MeshDelta
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.gateways import MergedGateway
from mizzen.mesh.rules.security_policies import WorkloadPolicies
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.memo import Memo
from mizzen.translator.listeners.auto_passthrough import passed_hosts
from mizzen.translator.outbound import OutboundResources
from mizzen.translator.own_resources import OwnResources, gateway_resources, sidecar_resources
from mizzen.translator.proxy_secrets import proxy_secrets
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


_OverlayKey = tuple[_Kind | None, str, tuple[Resource, ...]]
"""What is below, None for nothing; the type, and what is laid over it."""


@dataclass(slots=True)
class _Live:
    """The outbound resources of a profile, and the changes that they have not seen yet."""

    resources: OutboundResources
    deltas: list[MeshDelta] = field(default_factory=list)
    unused: int = 0


@dataclass(slots=True)
class _Overlay:
    """A collection that profiles share, and the same with the resources of one kind of workload."""

    base: Collection
    overlaid: Collection
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
        self._overlays: dict[_OverlayKey, _Overlay] = {}
        self._gateways: dict[tuple[_Kind, MergedGateway, WorkloadPolicies], OwnResources] = {}
        self._building: dict[_Kind, _Live] = {}
        self._no_secrets = Collection(type_urls.SECRET, {})

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

    def update(self, mesh: Mesh, delta: MeshDelta) -> None:
        """Go over to `mesh`, which differs from the last one by `delta`."""
        self._mesh = mesh
        self._failed.clear()
        if not delta.endpoints_only:
            self._gateways.clear()
        if delta.everything:
            if self._sweeps:
                self._memo = Memo()
            self._live.clear()
            self._building.clear()
            self._overlays.clear()
            return
        for live in tuple(self._building.values()):  # an abandoned one may end at any time
            live.deltas.append(delta)
        for kind, live in list(self._live.items()):
            live.unused += 1
            if live.unused > _UNUSED_UPDATES:
                del self._live[kind]
            else:
                live.deltas.append(delta)
        for key, overlay in list(self._overlays.items()):
            overlay.unused += 1
            if overlay.unused > _UNUSED_UPDATES:
                del self._overlays[key]
        if not self._sweeps:
            return
        services = sum(len(live.resources.scope.services) for live in self._live.values())
        if self._memo.built_since_sweep > _MEMO_FLOOR + _MEMO_PER_SERVICE * services:
            self._memo.sweep()

    def knows(self, proxy: Proxy) -> bool:
        """Return whether there is something to go on from for `proxy`, or it is known that it fails."""
        kind = self._kind(proxy)
        return kind in self._live or kind in self._failed

    def prepare(self, proxy: Proxy) -> Iterator[None]:
        """Do in small steps what is costly in the first `snapshot` of a kind of proxies. The mesh may be
        updated in between. What fails is left to `snapshot`."""
        if self.knows(proxy):
            return
        kind = self._kind(proxy)
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

    def forget_unused(self, proxies: Iterable[Proxy], snapshots: Iterable[Snapshot]) -> bool:
        """Forget what was made for other kinds of proxies than these, which were given these snapshots.
        Return whether there was any; then the memo has to be swept, as `sweep` says."""
        kinds = {self._kind(proxy) for proxy in proxies}
        given = {
            id(snapshot.collection(type_url)) for snapshot in snapshots for type_url in type_urls.PUSH_ORDER
        }
        gone = self._live.keys() - kinds
        for kind in gone:
            del self._live[kind]
        self._overlays = {key: each for key, each in self._overlays.items() if id(each.overlaid) in given}
        self._gateways = {key: each for key, each in self._gateways.items() if key[0] in kinds}
        self._mesh.forget_scopes(profile for profile, _ in kinds)
        return bool(gone)

    def sweep(self) -> None:
        """Let the memo forget what no snapshot has needed since the last sweep."""
        self._memo.sweep()

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
        kind = self._kind(proxy)
        known = other._live.get(kind)
        if known is None or kind in self._live:
            return
        deltas = list(known.deltas)
        if other._mesh is not self._mesh:
            deltas = [self._mesh.since(known.resources.mesh)]
        if not any(delta.everything for delta in deltas):
            self._live[kind] = _Live(known.resources.copy(), deltas)

    def rebuild(self, proxy: Proxy) -> None:
        """Forget what is known for `proxy`: it is built from nothing the next time."""
        kind = self._kind(proxy)
        self._live.pop(kind, None)
        self._failed.pop(kind, None)
        self._gateways.clear()

    def snapshot(self, proxy: Proxy) -> Snapshot:
        """Return everything that `proxy` is to be sent now. Collections that are equal for several proxies
        are the same objects."""
        return self._translate(proxy)[0]

    def translate(self, proxy: Proxy) -> tuple[Snapshot, tuple[Diagnostic, ...]]:
        """Return what `snapshot` returns, and what could not be served as it was written."""
        return self._translate(proxy)

    def resources(self, proxy: Proxy) -> ProxyResources:
        """Return everything that `proxy` is to be sent now as a mapping, with what could not be served."""
        snapshot, diagnostics = self._translate(proxy)
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

    def parts(self, proxy: Proxy) -> tuple[OutboundResources, OwnResources]:
        """Return what `proxy` shares with others and what it has of its own, to find where they come from."""
        kind = self._kind(proxy)
        outbound = self._outbound(kind)
        return outbound, self._own(proxy, kind, outbound)

    def _translate(self, proxy: Proxy) -> tuple[Snapshot, tuple[Diagnostic, ...]]:
        kind = self._kind(proxy)
        outbound = self._outbound(kind)
        own = self._own(proxy, kind, outbound)
        collections = self._collections(kind, outbound, own)
        secrets, problems = proxy_secrets(self._mesh, proxy, outbound, own, self._memo)
        if secrets:
            collections[type_urls.SECRET] = self._overlaid(None, self._no_secrets, secrets)
        return Snapshot(collections), (*outbound.diagnostics, *own.diagnostics, *problems)

    def _own(self, proxy: Proxy, kind: _Kind, outbound: OutboundResources) -> OwnResources:
        if proxy.type == "router":
            return self._gateway(proxy, kind, self._mesh.gateways_for(proxy), outbound)
        return sidecar_resources(self._mesh, proxy, outbound.scope, outbound.mesh_config, self._memo)

    def _kind(self, proxy: Proxy) -> _Kind:
        profile = self._mesh.outbound_profile(proxy)
        if proxy.type != "router":
            return profile, ()
        return profile, passed_hosts(self._mesh.gateways_for(proxy).servers)

    def _gateway(
        self, proxy: Proxy, kind: _Kind, gateway: MergedGateway, outbound: OutboundResources
    ) -> OwnResources:
        """Return the gateway's own resources: built once for each mesh, for all replicas of a gateway."""
        policies = self._mesh.policies_for(proxy)
        key = (kind, gateway, policies)
        found = self._gateways.get(key)
        if found is None:
            found = self._gateways[key] = gateway_resources(
                self._mesh,
                proxy,
                gateway,
                policies,
                outbound.scope,
                outbound.mesh_config,
                outbound.passed,
                self._memo,
            )
        return found

    def _collections(
        self, kind: _Kind, outbound: OutboundResources, own: OwnResources
    ) -> dict[str, Collection]:
        return {
            type_urls.CLUSTER: self._overlaid(kind, outbound.clusters, own.clusters),
            type_urls.ENDPOINT: outbound.endpoints,
            type_urls.LISTENER: self._overlaid(kind, outbound.listeners, own.listeners, own.hidden_listeners),
            type_urls.ROUTE: self._overlaid(kind, outbound.routes, own.routes),
        }

    def _outbound(self, kind: _Kind) -> OutboundResources:
        if kind in self._failed:
            raise RuntimeError(self._failed[kind])
        live = self._live.get(kind)
        try:
            if live is None:
                live = _Live(OutboundResources(self._mesh, *kind, self._memo))
                deque(live.resources.build(), maxlen=0)
                self._live[kind] = live
            elif live.deltas:
                live.resources.update(self._mesh, MeshDelta.joined(live.deltas))
        except Exception as error:
            # For the next proxies of the kind. The exception itself would keep a superseded mesh in memory.
            self._failed[kind] = f"{type(error).__name__}: {error}"
            raise
        live.deltas.clear()
        live.unused = 0
        return live.resources

    def _overlaid(
        self,
        kind: _Kind | None,
        base: Collection,
        own: tuple[Resource, ...],
        hidden: frozenset[str] = frozenset(),
    ) -> Collection:
        """Return `base` with the resources of a workload's own, and without the names that these hide; one
        object for all workloads alike. What is hidden follows from `own`."""
        if not own:
            return base
        key = (kind, base.type_url, own)
        overlay = self._overlays.get(key)
        if overlay is None:
            overlay = self._overlays[key] = _Overlay(base, base.updated(own, hidden))
        elif overlay.base is not base:
            # Going on from the last one keeps it cheap to say what changed since.
            difference = base.since(overlay.base)
            names = hidden.union(resource.name for resource in own)
            overlay.overlaid = overlay.overlaid.updated(
                [
                    resource
                    for resource in (*difference.changed.values(), *difference.unsent)
                    if resource.name not in names
                ],
                [name for name in difference.removed if name not in names],
            )
            overlay.base = base
        overlay.unused = 0
        return overlay.overlaid
