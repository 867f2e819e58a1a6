"""The clusters of services and their load assignments, each made once for all clients that get the same."""

from __future__ import annotations

from typing import NamedTuple

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.destination_rules import MergedDestinationRule
from mizzen.mesh.rules.peer_authentication import CALLED_IN_PLAIN_TEXT, ServicePeers
from mizzen.mesh.service import EndpointPool, Service
from mizzen.translator.base.by_identity import ByIdentity
from mizzen.translator.base.client import Client
from mizzen.translator.base.memo import Memo
from mizzen.translator.clusters.outbound import outbound_clusters
from mizzen.translator.endpoints.assignments import load_assignments
from mizzen.translator.endpoints.service_destinations import ServiceDestinations
from mizzen.translator.endpoints.viewpoint import SeenEndpoints, Viewpoint
from mizzen.translator.tls.upstream import NOT_ASKED, Servers
from mizzen.xds.resource import Resource


class MadeResources(NamedTuple):
    """The clusters of a service and their load assignments."""

    clusters: tuple[Resource, ...]
    assignments: tuple[Resource, ...]


class ServiceTranslator:
    """Makes the resources of services for the proxies of one profile.

    What is made of a service depends on no more of a profile than `Client` and `Viewpoint` hold.
    """

    def __init__(self, profile: OutboundProfile, mesh_config: MeshConfig, memo: Memo) -> None:
        self.profile = profile
        self._mesh_config = ByIdentity(mesh_config)
        self._client = Client.of(profile, mesh_config)
        self._memo = memo

    def resources(
        self,
        service: Service,
        rule: MergedDestinationRule | None,
        pool: EndpointPool,
        peers: ServicePeers,
        *,
        sni_dnat: bool = False,
    ) -> MadeResources:
        """Return the clusters of `service` under its DestinationRule, and their load assignments.

        `peers` is what PeerAuthentications say of the endpoints in `pool`. `sni_dnat` gives the clusters of
        AUTO_PASSTHROUGH gateways.
        """
        memo, mesh_config = self._memo, self._mesh_config
        # What a gateway passes on is other clients' mutual TLS, whatever it has itself.
        if not (sni_dnat or self.profile.has_certificate):
            peers = CALLED_IN_PLAIN_TEXT
        of = memo(ServiceDestinations.of, service, rule, mesh_config, self._client.is_router, sni_dnat)
        seen = SeenEndpoints(pool, peers, Viewpoint.on(of, self.profile, mesh_config.value))
        servers = NOT_ASKED
        if not sni_dnat:
            servers = Servers.of(
                service,
                [each.policy.tls for each, _ in of.each],
                pool,
                mesh_config.value,
                take_mutual_tls=peers.are_called_by_mutual_tls,
                dialled=of.dials_original,
            )
        clusters = memo(
            outbound_clusters, of, servers, self._client, seen if of.is_inline else None, mesh_config
        )
        return MadeResources(clusters, memo(load_assignments, of, seen, mesh_config))
