"""The resources that a resource waits for while a client warms it, and whether it has any endpoint.

Both are read from the message when the resource is made, so that its bytes need not be parsed later.
"""

from typing import Any

from mizzen.xds.type_urls import ENDPOINT

_EDS = 3  # Cluster.DiscoveryType.EDS


def children(message: Any) -> tuple[tuple[str, str], ...]:
    """(type URL, name) of the resources that must be sent again whenever this message changes.

    A changed EDS cluster becomes warm only when its ClusterLoadAssignment arrives again ("Resource warming",
    note on Envoy). A changed listener does not need its RouteConfiguration again: Envoy uses the one that it
    has (same note).
    """
    if message.DESCRIPTOR.full_name != "envoy.config.cluster.v3.Cluster":
        return ()
    if message.WhichOneof("cluster_discovery_type") != "type" or message.type != _EDS:
        return ()
    return ((ENDPOINT, message.eds_cluster_config.service_name or message.name),)


def is_empty(message: Any) -> bool:
    """True for a ClusterLoadAssignment without an endpoint: every call to its cluster fails."""
    if message.DESCRIPTOR.full_name != "envoy.config.endpoint.v3.ClusterLoadAssignment":
        return False
    return not any(locality.lb_endpoints for locality in message.endpoints)
