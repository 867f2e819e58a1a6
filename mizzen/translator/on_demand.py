"""What proxies are sent, with clusters, endpoints and routes made only when somebody asks for them by name.

    translation = TranslationOnDemand(Translation(mesh))
    translation.resource(proxy, type_urls.ROUTE, "9080")     # made of the services of that port alone

A call meets all listeners of a proxy, one route configuration and some clusters: to follow it is much less
work than to translate the mesh (docs/decisions/0155). What is made is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Protocol

from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.scope.egress_listener import EgressListener
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.cluster_names import parse_cluster_name
from mizzen.translator.base.memo import Memo
from mizzen.translator.kinds import Kind
from mizzen.translator.outbound import OutboundResources
from mizzen.translator.own_resources import OwnResources, gateway_resources
from mizzen.translator.part_origins import OutboundParts
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource


class Translates(Protocol):
    """A whole `Translation`, or one on demand."""

    @property
    def mesh(self) -> Mesh:
        """The mesh that resources are of."""

    @property
    def memo(self) -> Memo:
        """What was built already, by what it was built from."""

    def profile(self, proxy: Proxy) -> OutboundProfile:
        """Return all that may matter of a proxy to what it shares with others."""

    def own(self, proxy: Proxy) -> OwnResources:
        """Return what a proxy is sent of its own, without what it shares with others."""

    def parts(self, proxy: Proxy, route_configuration: str = "") -> OutboundParts:
        """Return what the outbound resources of a proxy are made of."""

    def resource(self, proxy: Proxy, type_url: str, name: str) -> Resource | None:
        """Return one resource that a proxy is sent; None if there is none of this name."""

    def listeners(self, proxy: Proxy) -> Iterable[Resource]:
        """Return all listeners that a proxy is sent."""


class TranslationOnDemand:
    """The resources of a mesh as it stands, each made when it is first asked for. It has no secrets."""

    def __init__(self, translation: Translation) -> None:
        self._translation = translation
        self._outbound: dict[Kind, _OutboundOnDemand] = {}
        self._own: dict[Proxy, OwnResources] = {}

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

    def own(self, proxy: Proxy) -> OwnResources:
        """Return what a proxy is sent of its own, without what it shares with others."""
        if proxy not in self._own:
            self._own[proxy] = (
                self._gateway(proxy) if proxy.type == "router" else self._translation.own(proxy)
            )
        return self._own[proxy]

    def _gateway(self, proxy: Proxy) -> OwnResources:
        servers, policies = self.mesh.gateways_for(proxy), self.mesh.policies_for(proxy)
        shared = self._shared(proxy)
        whole = (shared.scope, shared.mesh_config, shared.passed, self.memo)
        return gateway_resources(self.mesh, servers, policies, *whole)

    def parts(self, proxy: Proxy, route_configuration: str = "") -> OutboundParts:
        """Return what the outbound resources of a proxy are made of."""
        return self._shared(proxy).parts

    def _shared(self, proxy: Proxy) -> _OutboundOnDemand:
        kind = self._translation.kind(proxy)
        shared = self._outbound.get(kind)
        if shared is None:
            made = _OutboundOnDemand(self.mesh, kind.profile, kind.hosts, self.memo)
            shared = self._outbound[kind] = made
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
        shared, own = self._shared(proxy), self.own(proxy)
        hidden = own.hidden_listeners
        below = {name: each for name, each in shared.listeners.resources.items() if name not in hidden}
        return {**below, **{each.name: each for each in own.listeners}}.values()


class _OutboundOnDemand(OutboundResources):
    """The resources of one profile. At first it has the listeners, and all that a gateway passes on."""

    def __init__(self, mesh: Mesh, profile: OutboundProfile, hosts: tuple[str, ...], memo: Memo) -> None:
        super().__init__(mesh, profile, hosts, memo)
        self._update_static_clusters()
        if hosts:
            self._update_clusters(frozenset(service.key for service in self.scope.services), frozenset())
        if not profile.is_router:
            self._update_listeners(None)

    def resource(self, type_url: str, name: str) -> Resource | None:
        """Return a resource, and make it first if need be; None if there is none of this name."""
        if type_url == type_urls.ROUTE:
            if name in self._egress_of and name not in self.routes:
                self._update_routes([(name, self._egress_of[name])])
            return self.routes.resources.get(name)
        if type_url == type_urls.LISTENER:
            return self.listeners.resources.get(name)
        parsed = parse_cluster_name(name)
        service = self.scope.service(parsed.hostname) if parsed is not None else None
        if service is not None and service.key not in self.served:
            self._update_clusters(frozenset([service.key]), frozenset())
        found = self.clusters if type_url == type_urls.CLUSTER else self.endpoints
        return found.resources.get(name)

    @cached_property
    def _egress_of(self) -> dict[str, EgressListener]:
        """The route configurations that listeners fetch, each with the egress listener that it is of."""
        return dict(self.builder.names_on(self.ports, self.ports))

    def build(self) -> Iterator[None]:
        """Make nothing before it is asked for."""
        yield from ()
