"""ClusterLoadAssignments: the endpoints of each cluster.

Sources: pilot/pkg/xds/endpoints of Istio; envoy.config.endpoint.v3 of Envoy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.rules.peer_authentication import ServicePeers
from mizzen.mesh.service import Endpoint, HealthStatus
from mizzen.translator.base.destinations import Destination, Discovery
from mizzen.translator.endpoints.localities import (
    LocalityGroup,
    LocalityPolicy,
    arrange,
    bounded,
    group_by_locality,
)
from mizzen.translator.endpoints.mutual_tls import tls_mode
from mizzen.translator.endpoints.networks import by_network_gateways
from mizzen.translator.endpoints.selection import UNIX_SCHEME, selected_endpoints, with_all_addresses
from mizzen.translator.endpoints.service_destinations import ServiceDestinations
from mizzen.translator.endpoints.viewpoint import SeenEndpoints
from mizzen.xds.resource import Resource

_CANONICAL_NAME = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
_CANONICAL_REVISION = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")

_HEALTH = {
    HealthStatus.UNHEALTHY: health_check_pb2.UNHEALTHY,
    HealthStatus.DRAINING: health_check_pb2.DRAINING,
}


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ServiceAssignments:
    """The load assignments of a service."""

    resources: tuple[Resource, ...]


def load_assignments(of: ServiceDestinations, seen: SeenEndpoints) -> ServiceAssignments:
    """Return a load assignment for every EDS cluster of a service, for the clients that `seen` describes.

    Without endpoints, a load assignment has only its name: then Envoy answers 503 at once and does not wait.
    """
    made = [
        Resource.of(cluster_load_assignment(destination, policy, seen, of.mesh_config), origins=of.origins)
        for destination, policy in of.each
        if destination.discovery is Discovery.EDS
    ]
    return ServiceAssignments(tuple(made))


def empty_load_assignment(name: str) -> Resource:
    """Return an assignment without endpoints, the answer to EDS requests for an unknown cluster."""
    return Resource.of(endpoint_pb2.ClusterLoadAssignment(cluster_name=name))


def cluster_load_assignment(
    destination: Destination, policy: LocalityPolicy, seen: SeenEndpoints, mesh_config: MeshConfig
) -> Any:
    """Return the ClusterLoadAssignment of one cluster: its endpoints by locality and priority."""
    peers, viewpoint = seen.peers, seen.viewpoint
    members = selected_endpoints(destination, seen.pool, viewpoint.reach, peers)
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=destination.name)
    if not members:
        return message
    dual_stack = viewpoint.is_dual_stack and destination.discovery is Discovery.EDS
    if dual_stack:
        members = with_all_addresses(members)
    groups = group_by_locality(members)
    reached = by_network_gateways(groups, destination, viewpoint.network, mesh_config, peers)
    for group in bounded(arrange(reached, policy, viewpoint.location)):
        _add_group(message.endpoints.add(), group, destination, peers, dual_stack=dual_stack)
    return message


def _add_group(
    message: Any, group: LocalityGroup, destination: Destination, peers: ServicePeers, *, dual_stack: bool
) -> None:
    locality = message.locality
    locality.SetInParent()
    if group.locality.region:
        locality.region = group.locality.region
    if group.locality.zone:
        locality.zone = group.locality.zone
    if group.locality.subzone:
        locality.sub_zone = group.locality.subzone
    message.load_balancing_weight.value = group.weight
    if group.priority:
        message.priority = group.priority
    for endpoint in group.endpoints:
        _add_endpoint(message.lb_endpoints.add(), endpoint, destination, peers)
        if dual_stack:
            _add_addresses(message.lb_endpoints[-1].endpoint, endpoint)


def _add_endpoint(message: Any, endpoint: Endpoint, destination: Destination, peers: ServicePeers) -> None:
    address = message.endpoint.address
    if endpoint.address.startswith(UNIX_SCHEME):
        address.pipe.path = endpoint.address.removeprefix(UNIX_SCHEME)
    else:
        socket = address.socket_address
        socket.address = endpoint.address
        socket.port_value = endpoint.port_named(destination.port.name) or 0
    message.load_balancing_weight.value = endpoint.weight or 1
    if endpoint.health is not HealthStatus.HEALTHY and endpoint.health in _HEALTH:
        message.health_status = _HEALTH[endpoint.health]
    metadata = message.metadata.filter_metadata
    metadata["istio"].fields["workload"].string_value = workload_text(endpoint)
    mode = tls_mode(endpoint, destination, peers)
    if mode:
        metadata["envoy.transport_socket_match"].fields["tlsMode"].string_value = mode


def _add_addresses(message: Any, endpoint: Endpoint) -> None:
    """Add the workload's further addresses, which Envoy tries too (RFC 8305, Happy Eyeballs)."""
    for other in endpoint.addresses[1:]:
        socket = message.additional_addresses.add().address.socket_address
        socket.address = other
        socket.port_value = message.address.socket_address.port_value


def workload_text(endpoint: Endpoint) -> str:
    """Return the description of an endpoint for telemetry: `workload;namespace;service;revision;cluster`. The
    revision is empty if it is `latest`."""
    labels = dict(endpoint.labels)
    service = _first(labels, _CANONICAL_NAME) or endpoint.workload_name
    revision = _first(labels, _CANONICAL_REVISION)
    if revision == "latest":
        revision = ""
    return ";".join((endpoint.workload_name, endpoint.namespace, service, revision, endpoint.cluster_id))


def _first(labels: Mapping[str, str], keys: Iterable[str]) -> str:
    for key in keys:
        value = labels.get(key)
        if value:
            return value
    return ""
