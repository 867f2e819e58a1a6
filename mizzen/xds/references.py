"""The resources that a resource waits for while a client warms it, and whether it has any endpoint.

Both are read from the message when the resource is made, so that its bytes need not be parsed later.
"""

from typing import Any, Final

from mizzen.xds.type_urls import ENDPOINT

CLUSTER: Final = "envoy.config.cluster.v3.Cluster"
"""The messages that have children."""

LOAD_ASSIGNMENT: Final = "envoy.config.endpoint.v3.ClusterLoadAssignment"
"""The messages that may be empty."""

_EDS = 3  # Cluster.DiscoveryType.EDS


def children(cluster: Any) -> tuple[tuple[str, str], ...]:
    """(type URL, name) of the resources that must be sent again whenever this Cluster changes.

    A changed EDS cluster becomes warm only when its ClusterLoadAssignment arrives again ("Resource warming",
    note on Envoy). A changed listener does not need its RouteConfiguration again: Envoy uses the one that it
    has (same note).
    """
    if cluster.type != _EDS:
        return ()
    return ((ENDPOINT, cluster.eds_cluster_config.service_name or cluster.name),)


def is_empty(assignment: Any) -> bool:
    """True for a ClusterLoadAssignment without an endpoint: every call to its cluster fails."""
    return not any(locality.lb_endpoints for locality in assignment.endpoints)
