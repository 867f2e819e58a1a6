"""Where the endpoints of a service are seen from: what of a proxy decides which it gets, in which order."""

from __future__ import annotations

from typing import Final, NamedTuple

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.hosts import is_subset_of, specificity
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.peer_authentication import ServicePeers
from mizzen.mesh.service import Endpoint, EndpointPool, Service
from mizzen.translator.endpoints.localities import NOWHERE, Place, place_among
from mizzen.translator.endpoints.service_destinations import ServiceDestinations


class Reach(NamedTuple):
    """The endpoints that a proxy may be given: those of one node, of some networks, of one cluster.

    None and no networks: anywhere. Compared by value: proxies of the same reach get the same endpoints.
    """

    node: str | None = None
    networks: tuple[str, ...] = ()
    cluster: str | None = None

    def holds(self, endpoint: Endpoint) -> bool:
        """Return whether the endpoint is within reach; one of an unknown network is."""
        if self.node is not None and endpoint.node_name != self.node:
            return False
        if self.cluster is not None and endpoint.cluster_id != self.cluster:
            return False
        return not self.networks or not endpoint.network or endpoint.network in self.networks


ANYWHERE: Final = Reach()


class Viewpoint(NamedTuple):
    """All that the endpoints of a service may depend on of the proxies that are given them. Compared by
    value: from equal viewpoints a service has the same endpoints, in the same order.

    `network` is the proxies' own, empty if no gateway leads from one network to another. With
    `is_dual_stack` they dial the addresses of both families.
    """

    reach: Reach = ANYWHERE
    place: Place = NOWHERE
    network: str = ""
    is_dual_stack: bool = False


class SeenEndpoints(NamedTuple):
    """The endpoints of a service, what PeerAuthentications say of them, and from where they are seen."""

    pool: EndpointPool
    peers: ServicePeers
    viewpoint: Viewpoint


class Viewpoints:
    """From where the proxies of one profile see the endpoints of services."""

    def __init__(self, profile: OutboundProfile, mesh_config: MeshConfig) -> None:
        self._profile = profile
        self._mesh_config = mesh_config
        self._common = Viewpoint(
            Reach(None, profile.requested_network_view),
            NOWHERE,
            profile.network if mesh_config.mesh_networks.table.gateways(names=True) else "",
            profile.ip_family == "DUAL_STACK",
        )

    def on(self, of: ServiceDestinations) -> Viewpoint:
        """Return from where they see those of a service."""
        reach = self._reach(of.service)
        if reach is self._common.reach and not of.reads_place:
            return self._common
        place = place_among([policy for _, policy in of.each], self._profile)
        return self._common._replace(reach=reach, place=place)

    def _reach(self, service: Service) -> Reach:
        """Return which endpoints of `service` are for the proxies: those on their node
        (internalTrafficPolicy), in the networks that they ask for, or in their cluster (the mesh's
        serviceSettings)."""
        common, on_node = self._common.reach, service.internal_traffic_policy_local
        in_cluster = _is_cluster_local(service.hostname, self._mesh_config)
        if not on_node and not in_cluster:
            return common
        return common._replace(
            node=self._profile.node_name if on_node else None,
            cluster=self._profile.cluster_id if in_cluster else None,
        )


def _is_cluster_local(hostname: str, mesh_config: MeshConfig) -> bool:
    """The most specific host of serviceSettings decides."""
    if not mesh_config.service_settings:
        return False
    named = [
        (specificity(host), settings.settings is not None and settings.settings.cluster_local)
        for settings in mesh_config.service_settings
        for host in settings.hosts
        if is_subset_of(hostname, host)
    ]
    return bool(named) and min(named)[1]
