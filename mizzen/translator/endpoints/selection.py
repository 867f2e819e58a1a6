"""Which endpoints of a service a cluster gets.

Source: pilot/pkg/xds/endpoints/endpoint_builder.go of Istio.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.hosts import is_subset_of, specificity
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.peer_authentication import NO_PEERS, ServicePeers
from mizzen.mesh.service import Endpoint, EndpointPool, HealthStatus, Service
from mizzen.translator.base.destinations import Destination, Discovery
from mizzen.translator.endpoints.mutual_tls import takes_mutual_tls

UNIX_SCHEME = "unix://"
_DRAINING = {"istio.io/draining": "true"}
_PERSISTENT_SESSION_LABEL = "istio.io/persistent-session"


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


def reach(service: Service, profile: OutboundProfile, mesh_config: MeshConfig) -> Reach:
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


def selected_endpoints(
    destination: Destination, pool: EndpointPool | None, within: Reach, peers: ServicePeers = NO_PEERS
) -> list[Endpoint]:
    """Return the endpoints of a destination: those that serve its port, take traffic and bear its labels.

    One without an address is kept if its network is known, whose gateways may lead to it. An address that is
    a name is of use only to the clusters that resolve it. With sni_dnat names only those
    that take mTLS are kept: the gateway passes their connections on as they are. Where one name is resolved
    for the whole cluster (LOGICAL_DNS) the first counts, as Envoy takes no second.
    """
    if pool is None:
        return []
    port_name = destination.port.name
    labels: Mapping[str, str] = {} if destination.subset is None else destination.subset.labels
    named = destination.discovery.is_inline
    outliers = destination.policy.outlier_detection
    keep_unhealthy = outliers is None or not outliers.min_health_percent
    keep_draining = _PERSISTENT_SESSION_LABEL in destination.service.labels
    only_mtls = destination.is_sni_dnat
    anywhere = within == Reach()
    found = [
        endpoint
        for endpoint in pool.endpoints
        if endpoint.port_named(port_name) is not None
        and _takes_traffic(endpoint, keep_unhealthy, keep_draining)
        and endpoint.has_labels(labels)
        and (named or _is_dialable(endpoint))
        and (not only_mtls or takes_mutual_tls(endpoint, destination, peers))
        and (anywhere or within.holds(endpoint))
    ]
    return found[:1] if destination.discovery is Discovery.LOGICAL_DNS else found


def with_all_addresses(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """Return the endpoints as a proxy with dual stack gets them: a workload with several addresses is one
    endpoint, at its first address, however many of them were listed (Kubernetes keeps EndpointSlices of each
    family)."""
    found: dict[object, Endpoint] = {}
    for endpoint in endpoints:
        if len(endpoint.addresses) > 1:
            whole = replace(endpoint, address=endpoint.addresses[0])
            found.setdefault((whole.addresses, whole.ports), whole)
        else:
            found[len(found)] = endpoint
    return list(found.values())


def _takes_traffic(endpoint: Endpoint, keep_unhealthy: bool, keep_draining: bool) -> bool:
    """Unhealthy endpoints are sent, marked as such, unless a panic threshold would use them all the same."""
    if endpoint.health is HealthStatus.TERMINATING:
        return False
    if endpoint.health is HealthStatus.UNHEALTHY:
        return keep_unhealthy
    draining = endpoint.health is HealthStatus.DRAINING or endpoint.has_labels(_DRAINING)
    return keep_draining or not draining


def _is_dialable(endpoint: Endpoint) -> bool:
    address = endpoint.address
    if not address:
        return bool(endpoint.network)
    if address.startswith(UNIX_SCHEME):
        return True
    try:
        ip_address(address)
    except ValueError:
        return False
    return True
