"""Which endpoints of a cluster Envoy calls with the mesh's mutual TLS.

Source: pilot/pkg/xds/endpoints/mtls_checker.go of Istio.
"""

from __future__ import annotations

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import ClientTLSMode
from mizzen.mesh.rules.peer_authentication import ServicePeers
from mizzen.mesh.service import Endpoint
from mizzen.translator.base.destinations import Destination

MUTUAL = "istio"
"""The tlsMode of endpoints that speak the mesh's mutual TLS."""


def tls_mode(endpoint: Endpoint, destination: Destination, peers: ServicePeers) -> str:
    """Return the mode by which a cluster picks the endpoint's transport socket; empty for plain text.

    A rule with TLS settings decides for all endpoints. Without such a rule, the endpoint must support mutual
    TLS, and its PeerAuthentication must accept it on this port.
    """
    tls = destination.policy.tls
    if tls is not None:
        speaks = tls.mode == ClientTLSMode.ISTIO_MUTUAL and endpoint.tls_mode != "disabled"
    else:
        speaks = takes_mutual_tls(endpoint, destination, peers)
    return endpoint.tls_mode if speaks else ""


def takes_mutual_tls(endpoint: Endpoint, destination: Destination, peers: ServicePeers) -> bool:
    """Return whether the endpoint supports the mesh's mutual TLS and accepts it on the destination's port."""
    return endpoint.tls_mode == MUTUAL and not peers.refuses_mutual_tls(endpoint, destination.port.name)


def is_called_by_mutual_tls(
    endpoint: Endpoint, destination: Destination, mesh_config: MeshConfig, peers: ServicePeers
) -> bool:
    """Return whether connections of the cluster to `endpoint` are mutual TLS of the mesh.

    The endpoint must support it, and the cluster must use it: by a rule's ISTIO_MUTUAL or by automatic mTLS.
    (Istio ignores here that automatic mTLS may be off; its clients then send plain text to gateways that
    expect TLS.) Connections through an AUTO_PASSTHROUGH gateway count as mutual TLS.
    """
    if destination.is_sni_dnat:
        return takes_mutual_tls(endpoint, destination, peers)
    settings = destination.policy.tls
    if tls_mode(endpoint, destination, peers) != MUTUAL:
        return False
    automatic = (
        mesh_config.enable_auto_mtls
        and not destination.service.mesh_external
        and peers.are_called_by_mutual_tls
    )
    return settings is not None or automatic
