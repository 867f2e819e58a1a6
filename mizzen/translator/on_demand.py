"""Translation on demand: clusters, endpoints and routes are made only when they are asked for by name.

    translation = TranslationOnDemand(Translation(mesh))
    translation.resource(proxy, type_urls.ROUTE, "9080")     # made of the services of that port alone

To simulate one call, only the listeners of a proxy, one route configuration and some clusters are needed.
That is much less work than translating the mesh (docs/decisions/0155). The resources are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Final, Protocol

from mizzen.mesh.facts import Pool, Routed, Served
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.services.registry import ServiceKey
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.cluster_names import parse_cluster_name
from mizzen.translator.base.memo import Memo
from mizzen.translator.own.resources import WorkloadResources, gateway_resources
from mizzen.translator.shared.outbound import OutboundResources
from mizzen.translator.shared.part_origins import OutboundParts
from mizzen.translator.tls.secret_names import OF_EVERY_WORKLOAD
from mizzen.translator.tls.secret_references import NO_SECRETS, SecretNames, secret_references
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource


class Translates(Protocol):
    """The common interface of `Translation` and `TranslationOnDemand`."""

    @property
    def mesh(self) -> Mesh:
        """The mesh that resources are of."""

    @property
    def memo(self) -> Memo:
        """What was built already, by what it was built from."""

    def profile(self, proxy: Proxy) -> OutboundProfile:
        """Return all that may matter of a proxy to what it shares with others."""

    def own(self, proxy: Proxy) -> WorkloadResources:
        """Return what a proxy is sent of its own, without what it shares with others."""

    def parts(self, proxy: Proxy, route_configuration: str = "") -> OutboundParts:
        """Return what the outbound resources of a proxy are made of."""

    def resource(self, proxy: Proxy, type_url: str, name: str) -> Resource | None:
        """Return one resource that a proxy is sent; None if there is none of this name."""

    def listeners(self, proxy: Proxy) -> Iterable[Resource]:
        """Return all listeners that a proxy is sent."""


Difference = tuple[Resource | None, Resource | None]
"""A resource before and after a change; None if it does not exist."""

_FEW: Final = 20
"""Number of services that are made one by one. If more are needed, as in tests of a mesh, all are made at
once, which costs less."""

_Key = tuple[OutboundProfile, tuple[str, ...]]
"""The profile and hosts of a class of proxies, which identify it in any mesh."""


class TranslationOnDemand:
    """The resources of one mesh, each made when it is first asked for, without secrets.

    An object from `later` can also list the differences from the earlier mesh, and makes only resources that
    may differ.
    """

    def __init__(self, translation: Translation, earlier: TranslationOnDemand | None = None) -> None:
        self._translation = translation
        self._earlier = earlier
        self._outbound: dict[_Key, _OutboundOnDemand] = {}
        self._own: dict[Proxy, WorkloadResources] = {}
        self._differences: dict[_Key, tuple[Difference, ...]] = {}

    @property
    def mesh(self) -> Mesh:
        """The mesh that resources are of."""
        return self._translation.mesh

    @property
    def memo(self) -> Memo:
        """What was built already, by what it was built from."""
        return self._translation.memo

    def profile(self, proxy: Proxy) -> OutboundProfile:
        """Return all that may matter of a proxy to what it shares with others."""
        return self._translation.profile(proxy)

    def own(self, proxy: Proxy) -> WorkloadResources:
        """Return what a proxy is sent of its own, without what it shares with others."""
        if proxy not in self._own:
            self._own[proxy] = (
                self._gateway(proxy) if proxy.type == "router" else self._translation.own(proxy)
            )
        return self._own[proxy]

    def _gateway(self, proxy: Proxy) -> WorkloadResources:
        servers, policies = self.mesh.gateways_for(proxy), self.mesh.policies_for(proxy)
        shared = self._shared(proxy)
        whole = (shared.scope, shared.mesh_config, shared.passthrough, self.memo, shared.gateway_routes)
        return gateway_resources(self.mesh, servers, policies, *whole)

    def parts(self, proxy: Proxy, route_configuration: str = "") -> OutboundParts:
        """Return what the outbound resources of a proxy are made of."""
        return self._shared(proxy).parts

    def later(self, mesh: Mesh) -> TranslationOnDemand:
        """Return the translation of a later mesh with the same settings."""
        return TranslationOnDemand(self._translation.beside(mesh), self)

    def proxy_class(self, proxy: Proxy) -> _Key:
        """Return the profile and hosts of the proxy's class, which are comparable between meshes."""
        proxy_class = self._translation.proxy_class(proxy)
        return proxy_class.profile, proxy_class.hosts

    def differing(self, proxy: Proxy) -> tuple[Difference, ...] | None:
        """Return the resources of a proxy that differ from those of the earlier mesh, without secrets.

        None if only a whole translation of both meshes can find out.
        """
        assert self._earlier is not None
        proxy_class = self.proxy_class(proxy)
        if proxy_class != self._earlier.proxy_class(proxy):
            return None
        self._shared(proxy)
        # A proxy that came to this class may have been asked about first: then there is no difference.
        found = self._differences.get(proxy_class)
        if found is None or any(map(_asks_otherwise, found)):
            return None
        listens_otherwise = any(_type(each) == type_urls.LISTENER for each in found)
        if proxy.type != "router" and not listens_otherwise and self._serves_as_before(proxy):
            return found
        was, now = self._earlier.own(proxy), self.own(proxy)
        if was.secrets != now.secrets or was.hidden_listeners or now.hidden_listeners:
            return None
        return found + tuple(_differences(_of_own(was), _of_own(now)))

    def _serves_as_before(self, sidecar: Proxy) -> bool:
        assert self._earlier is not None
        return self._translation.workload(sidecar) == self._earlier._translation.workload(sidecar)

    def _shared(self, proxy: Proxy) -> _OutboundOnDemand:
        proxy_class = self.proxy_class(proxy)
        shared = self._outbound.get(proxy_class)
        if shared is None and self._earlier is not None and proxy_class == self._earlier.proxy_class(proxy):
            shared, self._differences[proxy_class] = self._earlier._shared(proxy).later(self.mesh)
        elif shared is None:
            shared = _OutboundOnDemand(self.mesh, *proxy_class, self.memo)
        self._outbound[proxy_class] = shared
        return shared

    def resource(self, proxy: Proxy, type_url: str, name: str) -> Resource | None:
        """Return one resource that a proxy is sent; None if there is none of this name."""
        shared, own = self._shared(proxy), self.own(proxy)
        of_type = {
            type_urls.CLUSTER: own.clusters,
            type_urls.LISTENER: own.listeners,
            type_urls.ROUTE: own.routes,
        }
        found = next((each for each in of_type.get(type_url, ()) if each.name == name), None)
        if found is None and not (type_url == type_urls.LISTENER and name in own.hidden_listeners):
            found = shared.resource(type_url, name)
        return found

    def listeners(self, proxy: Proxy) -> Iterable[Resource]:
        """Return all listeners that a proxy is sent."""
        return self.all(proxy, type_urls.LISTENER).values()

    def all(self, proxy: Proxy, type_url: str) -> Mapping[str, Resource]:
        """Return all resources of a type that a proxy is sent, by name. For secrets this translates the
        mesh."""
        if type_url == type_urls.SECRET:
            return self._translation.snapshot(proxy).collection(type_url).resources
        shared, own = self._shared(proxy), self.own(proxy)
        hidden = own.hidden_listeners if type_url == type_urls.LISTENER else frozenset()
        below = {name: each for name, each in shared.all(type_url).items() if name not in hidden}
        return {**below, **{each.name: each for each in _of_own(own) if each.type_url == type_url}}


def _of_own(own: WorkloadResources) -> Iterable[Resource]:
    return (*own.clusters, *own.listeners, *own.routes)


def _differences(before: Iterable[Resource], after: Iterable[Resource]) -> Iterator[Difference]:
    was = {(each.type_url, each.name): each for each in before}
    now = {(each.type_url, each.name): each for each in after}
    for key in was | now:
        old, new = was.get(key), now.get(key)
        if old is not new and (old is None or new is None or old.version != new.version):
            yield old, new


def _type(difference: Difference) -> str:
    found = difference[0] or difference[1]
    assert found is not None
    return found.type_url


def _asks_otherwise(difference: Difference) -> bool:
    """Return whether a resource asks for different secrets than before. Those of every workload do not
    count."""
    was, now = map(_asked, difference)
    return was != now


def _asked(resource: Resource | None) -> SecretNames:
    if resource is None or resource.type_url not in (type_urls.CLUSTER, type_urls.LISTENER):
        return NO_SECRETS
    return secret_references(resource).filtered(lambda name: name not in OF_EVERY_WORKLOAD)


class _OutboundOnDemand(OutboundResources):
    """The resources of one profile. At first it has only the listeners, and for AUTO_PASSTHROUGH gateways the
    clusters."""

    def __init__(self, mesh: Mesh, profile: OutboundProfile, hosts: tuple[str, ...], memo: Memo) -> None:
        super().__init__(mesh, profile, hosts, memo)
        self._update_static_clusters()
        if hosts:
            self._update_clusters(frozenset(service.key for service in self.scope.services), frozenset())
        if not profile.is_router:
            self._update_listeners(None, self.builder)

    def resource(self, type_url: str, name: str) -> Resource | None:
        """Return a resource, making it first if necessary; None if there is none with this name."""
        if type_url == type_urls.ROUTE:
            if name in self._fetched and name not in self.routes:
                self._update_routes({name: self._fetched[name]})
            return self.routes.resources.get(name)
        if type_url == type_urls.LISTENER:
            return self.listeners.resources.get(name)
        parsed = parse_cluster_name(name)
        service = self.scope.service(parsed.hostname) if parsed is not None else None
        if service is not None and service.key not in self.served:
            many = len(self.served) >= _FEW
            self._make([each.key for each in self.scope.services] if many else [service.key])
        found = self.clusters if type_url == type_urls.CLUSTER else self.endpoints
        return found.resources.get(name)

    def all(self, type_url: str) -> Mapping[str, Resource]:
        """Return all resources of a type by name, making missing ones first."""
        if type_url == type_urls.LISTENER:
            return self.listeners.resources
        if type_url == type_urls.ROUTE:
            missing = {name: fact for name, fact in self._fetched.items() if name not in self.routes}
            self._update_routes(missing)
            return self.routes.resources
        self._make(service.key for service in self.scope.services)
        return (self.clusters if type_url == type_urls.CLUSTER else self.endpoints).resources

    def later(self, mesh: Mesh) -> tuple[_OutboundOnDemand, tuple[Difference, ...]]:
        """Return the resources of a later mesh with the same settings, and the differences."""
        # First make the resources that the update will replace, to compare with them.
        difference = self.difference(mesh)
        self._make(difference.services_of(Served) | difference.services_of(Pool))
        before = [*self.clusters.resources.values(), *self.endpoints.resources.values()]
        made = self.copy()
        step = made.update(mesh)
        after = [*made.clusters.resources.values(), *made.endpoints.resources.values()]
        routes = {*made.routes.resources, *step.gone}
        before += [each for name in routes if (each := self.resource(type_urls.ROUTE, name)) is not None]
        before += self.listeners.resources.values()
        after += [*made.listeners.resources.values(), *made.routes.resources.values()]
        return made, tuple(_differences(before, after))

    def copy(self) -> _OutboundOnDemand:
        """Return a copy that can be updated separately."""
        made = super().copy()
        assert isinstance(made, _OutboundOnDemand)
        made.__dict__.pop("_fetched", None)
        return made

    def _make(self, services: Iterable[ServiceKey]) -> None:
        missing = frozenset(key for key in services if key not in self.served)
        if missing:
            self._update_clusters(missing, frozenset())

    @cached_property
    def _fetched(self) -> dict[str, Routed]:
        """The route configurations that listeners fetch, each with the fact that it reads."""
        return self.builder.fetched(self.ports, self.ports)

    def build(self) -> Iterator[None]:
        """Do nothing: resources are made on demand."""
        yield from ()
