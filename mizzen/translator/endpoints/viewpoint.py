"""Where the endpoints of a service are seen from: what of a proxy decides which it gets, in which order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.hosts import is_subset_of, specificity
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.peer_authentication import NO_PEERS, ServicePeers
from mizzen.mesh.service import Endpoint, EndpointPool, Service
from mizzen.translator.endpoints.localities import NOWHERE, Place, place_among
from mizzen.translator.endpoints.service_destinations import ServiceDestinations


@dataclass(frozen=True, slots=True)
class Reach:
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


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """All that the endpoints of a service may depend on of the proxies that are given them. Compared by
    value: from equal viewpoints a service has the same endpoints, in the same order.

    `network` is the proxies' own, empty if no gateway leads from one network to another. With
    `is_dual_stack` they dial the addresses of both families.
    """

    reach: Reach = ANYWHERE
    place: Place = NOWHERE
    network: str = ""
    is_dual_stack: bool = False

    @classmethod
    def on(cls, of: ServiceDestinations, profile: OutboundProfile, mesh_config: MeshConfig) -> Viewpoint:
        """Return from where the proxies of a profile see the endpoints of a service."""
        return cls(
            _reach(of.service, profile, mesh_config),
            place_among([policy for _, policy in of.each], profile),
            profile.network if mesh_config.mesh_networks.table.gateways(names=True) else "",
            profile.ip_family == "DUAL_STACK",
        )


@dataclass(frozen=True, slots=True)
class SeenEndpoints:
    """The endpoints of a service, what PeerAuthentications say of them, and from where they are seen."""

    pool: EndpointPool | None
    peers: ServicePeers = NO_PEERS
    viewpoint: Viewpoint = field(default_factory=Viewpoint)


def _reach(service: Service, profile: OutboundProfile, mesh_config: MeshConfig) -> Reach:
    """Return which endpoints of `service` are for proxies of `profile`: those on their node
    (internalTrafficPolicy), in the networks that they ask for, or in their cluster (the mesh's
    serviceSettings)."""
    return Reach(
        profile.node_name if service.internal_traffic_policy_local else None,
        profile.requested_network_view,
        profile.cluster_id if _is_cluster_local(service.hostname, mesh_config) else None,
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
