"""Networks: a proxy calls endpoints of a different network through the gateways of that network.

The connection is mutual TLS of the mesh from end to end. The gateway (a server with AUTO_PASSTHROUGH) reads
the cluster's name from the SNI. So plain text cannot reach an endpoint across networks.

Sources: EndpointsByNetworkFilter in pilot/pkg/xds/endpoints/ep_filters.go of Istio, and
https://istio.io/latest/docs/setup/install/multicluster/multi-primary_multi-network/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.mesh_networks import NetworkGateway
from mizzen.mesh.rules.peer_authentication import ServicePeers
from mizzen.mesh.service import Endpoint
from mizzen.mesh.topology import NETWORK_LABEL
from mizzen.translator.base.destinations import Destination, Discovery
from mizzen.translator.endpoints.localities import LocalityGroup
from mizzen.translator.endpoints.mutual_tls import MUTUAL, is_called_by_mutual_tls


def by_network_gateways(
    groups: Sequence[LocalityGroup],
    destination: Destination,
    network: str,
    mesh_config: MeshConfig,
    peers: ServicePeers,
) -> list[LocalityGroup]:
    """Return `groups` as a proxy on `network` can reach them.

    Endpoints stay as they are on the proxy's own network, on an unknown one, and on one without gateways. The
    gateways of their network replace all other endpoints. Each gateway appears once in a locality, and the
    gateways share the weights of the replaced endpoints evenly. All weights are multiplied by the least
    common multiple of the numbers of gateways, so that the shares are whole numbers. Endpoints behind a
    gateway are left out if they are called without mutual TLS. Only clusters that resolve names use gateways
    that are host names.
    """
    table = mesh_config.mesh_networks.table
    names = destination.discovery.is_inline
    gateways = table.gateways(names=names)
    if not gateways:
        if all(endpoint.address for group in groups for endpoint in group.endpoints):
            return list(groups)
        return [each for group in groups for each in _regrouped(group, _with_addresses(group.endpoints))]
    scale = table.scale(names=names)
    found: list[LocalityGroup] = []
    for group in groups:
        direct: list[Endpoint] = []
        shares: dict[NetworkGateway, int] = {}
        for endpoint in group.endpoints:
            weight = (endpoint.weight or 1) * scale
            leading = _gateways_to(endpoint, network, gateways)
            if not leading:
                direct.append(endpoint if scale == 1 else replace(endpoint, weight=weight))
            elif is_called_by_mutual_tls(endpoint, destination, mesh_config, peers):
                for gateway in leading:
                    shares[gateway] = shares.get(gateway, 0) + weight // len(leading)
        members = _with_addresses(direct)
        members += [
            _gateway_endpoint(gateway, shares[gateway], group, destination) for gateway in sorted(shares)
        ]
        found.extend(_regrouped(group, members))
    # Envoy accepts only one endpoint in LOGICAL_DNS clusters.
    if destination.discovery is Discovery.LOGICAL_DNS and found:
        return list(_regrouped(found[0], list(found[0].endpoints[:1])))
    return found


def _gateways_to(
    endpoint: Endpoint, network: str, gateways: Mapping[str, tuple[NetworkGateway, ...]]
) -> tuple[NetworkGateway, ...]:
    """Return the gateways through which the proxy calls the endpoint; none if it calls it directly."""
    if not endpoint.network or not network or endpoint.network == network:
        return ()
    return gateways.get(endpoint.network, ())


def _with_addresses(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Return the endpoints that have an address. The others can only be reached through a gateway."""
    return [endpoint for endpoint in endpoints if endpoint.address]


def _gateway_endpoint(
    gateway: NetworkGateway, weight: int, group: LocalityGroup, destination: Destination
) -> Endpoint:
    """Return a gateway as an endpoint of a cluster, in the locality of the endpoints behind it."""
    return Endpoint(
        address=gateway.address,
        ports=((destination.port.name, gateway.port),),
        labels=((NETWORK_LABEL, gateway.network),),
        locality=group.locality,
        weight=weight,
        network=gateway.network,
        tls_mode=MUTUAL,
    )


def _regrouped(group: LocalityGroup, members: list[Endpoint]) -> Sequence[LocalityGroup]:
    """Return the locality's group with new members and the sum of their weights; no group if it is empty."""
    if not members:
        return ()
    weight = sum(endpoint.weight or 1 for endpoint in members)
    return (group._replace(endpoints=tuple(members), weight=weight),)
