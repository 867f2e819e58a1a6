"""Selecting the endpoints of a service that a cluster gets.

Source: pilot/pkg/xds/endpoints/endpoint_builder.go of Istio.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address

from mizzen.mesh.rules.peer_authentication import NO_PEERS, ServicePeers
from mizzen.mesh.service import Endpoint, EndpointPool, HealthStatus
from mizzen.translator.base.destinations import Destination, Discovery
from mizzen.translator.endpoints.mutual_tls import takes_mutual_tls
from mizzen.translator.endpoints.viewpoint import ANYWHERE, Reach

UNIX_SCHEME = "unix://"
_OCTETS = frozenset(map(str, range(256)))
"""The numbers in an IPv4 address. Comparing with them is fast: most endpoints have such an address, and each
cluster checks all endpoints."""
_DRAINING = {"istio.io/draining": "true"}
_PERSISTENT_SESSION_LABEL = "istio.io/persistent-session"


def selected_endpoints(
    destination: Destination, pool: EndpointPool | None, within: Reach, peers: ServicePeers = NO_PEERS
) -> list[Endpoint]:
    """Return the endpoints of a destination that serve its port, accept traffic and have its labels.

    An endpoint without an address is included if its network is known, because a gateway may lead to it. An
    endpoint whose address is a name is included only for clusters that resolve names. Clusters with sni_dnat
    names get only endpoints that accept mTLS, because the gateway forwards connections as they are. For
    LOGICAL_DNS only the first endpoint counts, because Envoy accepts only one.
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
    anywhere = within == ANYWHERE
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
    """Return the endpoints as a proxy with dual stack gets them.

    A workload with several addresses becomes one endpoint with its first address, even if it was listed
    several times (Kubernetes has separate EndpointSlices for each family).
    """
    found: dict[object, Endpoint] = {}
    for endpoint in endpoints:
        if len(endpoint.addresses) > 1:
            whole = replace(endpoint, address=endpoint.addresses[0])
            found.setdefault((whole.addresses, whole.ports), whole)
        else:
            found[len(found)] = endpoint
    return list(found.values())


def _takes_traffic(endpoint: Endpoint, keep_unhealthy: bool, keep_draining: bool) -> bool:
    """Return whether Envoy is sent the endpoint. Unhealthy ones are sent and marked as such, unless a panic
    threshold would let Envoy call them anyway."""
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
    numbers = address.split(".")
    if len(numbers) == 4 and all(map(_OCTETS.__contains__, numbers)):
        return True
    try:
        ip_address(address)
    except ValueError:
        return False
    return True
