"""Networks: endpoints on another network than the proxy's are called by the gateways that lead there.

The connection is the mesh's mutual TLS from end to end; the gateway (a server with AUTO_PASSTHROUGH) reads in
its SNI which cluster it is for. So endpoints that are called in plain text cannot be reached across networks.

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

_MAX_WEIGHT = 2**32 - 1
"""What Envoy can hold, of an endpoint and of all endpoints of a locality."""


def by_network_gateways(
    groups: Sequence[LocalityGroup],
    destination: Destination,
    network: str,
    mesh_config: MeshConfig,
    peers: ServicePeers,
) -> list[LocalityGroup]:
    """Return `groups` as a proxy on `network` can reach them.

    Endpoints of its own network, of an unknown one, and of one without gateways stay as they are. In place of
    the others stand the gateways of their network: once in each locality, with the weights of all that is
    behind them, which are shared evenly. All weights are multiplied by the least common multiple of how many
    gateways the networks have, so that the shares are whole numbers. Endpoints behind a gateway that are
    called without mutual TLS are left out. Gateways that are host names serve clusters that resolve names.
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
            weight = min((endpoint.weight or 1) * scale, _MAX_WEIGHT)
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
    # Where one name is resolved for the whole cluster Envoy takes no second endpoint.
    if destination.discovery is Discovery.LOGICAL_DNS and found:
        return list(_regrouped(found[0], list(found[0].endpoints[:1])))
    return found


def _gateways_to(
    endpoint: Endpoint, network: str, gateways: Mapping[str, tuple[NetworkGateway, ...]]
) -> tuple[NetworkGateway, ...]:
    """Return by which gateways the endpoint is called; none if it is called itself."""
    if not endpoint.network or not network or endpoint.network == network:
        return ()
    return gateways.get(endpoint.network, ())


def _with_addresses(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Leave out those of which only the network is known: nothing but a gateway leads to them."""
    return [endpoint for endpoint in endpoints if endpoint.address]


def _gateway_endpoint(
    gateway: NetworkGateway, weight: int, group: LocalityGroup, destination: Destination
) -> Endpoint:
    """Return the endpoint that a gateway is for a cluster. It counts as being where those behind it are."""
    return Endpoint(
        address=gateway.address,
        ports=((destination.port.name, gateway.port),),
        labels=((NETWORK_LABEL, gateway.network),),
        locality=group.locality,
        weight=max(1, min(weight, _MAX_WEIGHT)),
        network=gateway.network,
        tls_mode=MUTUAL,
    )


def _regrouped(group: LocalityGroup, members: list[Endpoint]) -> Sequence[LocalityGroup]:
    """Return the locality with other members and their weight; nothing without members."""
    if not members:
        return ()
    weight = min(sum(endpoint.weight or 1 for endpoint in members), _MAX_WEIGHT)
    return (replace(group, endpoints=tuple(members), weight=weight),)
