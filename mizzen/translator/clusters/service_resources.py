"""The clusters and load assignments of services. Clients that need the same ones share them."""

from __future__ import annotations

from typing import NamedTuple

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.destination_rules import MergedDestinationRule
from mizzen.mesh.rules.peer_authentication import ServicePeers
from mizzen.mesh.service import EndpointPool, Service
from mizzen.translator.base.by_identity import ByIdentity
from mizzen.translator.base.client import Client
from mizzen.translator.base.memo import Memo
from mizzen.translator.clusters.outbound import ServiceClusters, outbound_clusters
from mizzen.translator.endpoints.assignments import ServiceAssignments, load_assignments
from mizzen.translator.endpoints.service_destinations import service_destinations
from mizzen.translator.endpoints.viewpoint import SeenEndpoints, Viewpoints
from mizzen.translator.tls.secret_references import SecretNames
from mizzen.translator.tls.upstream import NOT_ASKED, Servers
from mizzen.xds.resource import Resource


class ServiceResources(NamedTuple):
    """The clusters of a service and their load assignments; `passthrough` are those that an AUTO_PASSTHROUGH
    gateway has in addition.

    The resources that proxies of a class share hold a reference to it. While one does, the memo finds the
    same object for other kinds too.
    """

    clusters: ServiceClusters
    assignments: ServiceAssignments
    passthrough: ServiceResources | None = None

    @property
    def service(self) -> Service:
        """The service."""
        return self.clusters.of.service

    @property
    def rule(self) -> MergedDestinationRule | None:
        """The DestinationRule of the service."""
        return self.clusters.of.rule

    @property
    def all_clusters(self) -> tuple[Resource, ...]:
        """All clusters."""
        own = self.clusters.resources
        return own if self.passthrough is None else own + self.passthrough.all_clusters

    @property
    def all_assignments(self) -> tuple[Resource, ...]:
        """All load assignments."""
        own = self.assignments.resources
        return own if self.passthrough is None else own + self.passthrough.all_assignments

    @property
    def secrets(self) -> tuple[tuple[str, SecretNames], ...]:
        """The secrets of each cluster that needs any, by the cluster's name."""
        own = self.clusters.secrets
        return own if self.passthrough is None else own + self.passthrough.secrets


class ServiceTranslator:
    """Makes the resources of services for the proxies of one profile.

    The resources depend only on the parts of the profile that `Client` and `Viewpoint` hold.
    """

    def __init__(self, profile: OutboundProfile, mesh_config: MeshConfig, memo: Memo) -> None:
        self.profile = profile
        self._mesh_config = ByIdentity(mesh_config)
        self._client = Client.of(profile, mesh_config)
        self._viewpoints = Viewpoints(profile, mesh_config)
        self._memo = memo

    def resources(
        self,
        service: Service,
        rule: MergedDestinationRule | None,
        pool: EndpointPool,
        peers: ServicePeers,
        *,
        sni_dnat: bool = False,
    ) -> ServiceResources:
        """Return the clusters of `service` under its DestinationRule, and their load assignments.

        `peers` has the mTLS modes that PeerAuthentications set for the endpoints in `pool`. `sni_dnat` gives
        the clusters of AUTO_PASSTHROUGH gateways.
        """
        memo, mesh_config = self._memo, self._mesh_config
        of = memo(service_destinations, service, rule, mesh_config, self._client.is_router, sni_dnat)
        seen = SeenEndpoints(pool, peers, self._viewpoints.on(of, pool))
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
        clusters = memo(outbound_clusters, of, servers, self._client, seen if of.is_inline else None)
        return ServiceResources(clusters, memo(load_assignments, of, seen))
