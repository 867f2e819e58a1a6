"""The parts of a proxy that decide which endpoints of a service it gets, and in which order."""

from __future__ import annotations

from typing import Final, NamedTuple

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.hosts import is_subset_of, specificity
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.peer_authentication import ServicePeers
from mizzen.mesh.service import Endpoint, EndpointPool, Service
from mizzen.translator.endpoints.localities import NOWHERE, ProxyLocation, proxy_location
from mizzen.translator.endpoints.service_destinations import ServiceDestinations


class Reach(NamedTuple):
    """Limits for the endpoints that a proxy gets: to one node, to some networks, to one cluster.

    None and an empty tuple are no limit. Compared by value: proxies with equal limits get the same endpoints.
    """

    node: str | None = None
    networks: tuple[str, ...] = ()
    cluster: str | None = None

    def holds(self, endpoint: Endpoint) -> bool:
        """Return whether the endpoint is within the limits. Endpoints of unknown networks are in all of
        them."""
        if self.node is not None and endpoint.node_name != self.node:
            return False
        if self.cluster is not None and endpoint.cluster_id != self.cluster:
            return False
        return not self.networks or not endpoint.network or endpoint.network in self.networks


ANYWHERE: Final = Reach()


class Viewpoint(NamedTuple):
    """The parts of a proxy that its endpoints of a service may depend on.

    Compared by value: proxies with equal viewpoints get the same endpoints in the same order. `network` is
    the proxy's own; it stays empty if the mesh has no network gateways. With `is_dual_stack` the proxy calls
    addresses of both families.
    """

    reach: Reach = ANYWHERE
    location: ProxyLocation = NOWHERE
    network: str = ""
    is_dual_stack: bool = False


class SeenEndpoints(NamedTuple):
    """The endpoints of a service, the mTLS modes of their PeerAuthentications, and the viewpoint of the
    proxies that get them."""

    pool: EndpointPool
    peers: ServicePeers
    viewpoint: Viewpoint


class Viewpoints:
    """The viewpoints that the proxies of one profile have on services."""

    def __init__(self, profile: OutboundProfile, mesh_config: MeshConfig) -> None:
        self._profile = profile
        self._mesh_config = mesh_config
        self._common = Viewpoint(
            Reach(None, profile.requested_network_view),
            NOWHERE,
            profile.network if mesh_config.mesh_networks.table.gateways(names=True) else "",
            profile.ip_family == "DUAL_STACK",
        )

    def on(self, of: ServiceDestinations, pool: EndpointPool) -> Viewpoint:
        """Return the viewpoint on the endpoints of one service."""
        reach = self._reach(of.service)
        if reach is self._common.reach and not of.reads_location:
            return self._common
        location = proxy_location([policy for _, policy in of.each], self._profile, pool)
        return self._common._replace(reach=reach, location=location)

    def _reach(self, service: Service) -> Reach:
        """Return the limits for endpoints of `service`: to the proxies' node (internalTrafficPolicy), to the
        networks that they ask for, and to their cluster (the mesh's serviceSettings)."""
        common, on_node = self._common.reach, service.internal_traffic_policy_local
        in_cluster = _is_cluster_local(service.hostname, self._mesh_config)
        if not on_node and not in_cluster:
            return common
        return common._replace(
            node=self._profile.node_name if on_node else None,
            cluster=self._profile.cluster_id if in_cluster else None,
        )


def _is_cluster_local(hostname: str, mesh_config: MeshConfig) -> bool:
    """Return whether serviceSettings make the host cluster-local; their most specific host decides."""
    if not mesh_config.service_settings:
        return False
    named = [
        (specificity(host), settings.settings is not None and settings.settings.cluster_local)
        for settings in mesh_config.service_settings
        for host in settings.hosts
        if is_subset_of(hostname, host)
    ]
    return bool(named) and min(named)[1]
