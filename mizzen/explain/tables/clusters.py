"""The table of clusters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mizzen.explain.route_words import short_host
from mizzen.explain.tables.row import Row, of_cluster
from mizzen.explain.tables.sent import Sent
from mizzen.explain.upstream_connection import upstream_tls
from mizzen.simulate import ClientTls
from mizzen.translator.base.cluster_names import parse_cluster_name


def cluster_rows(sent: Sent) -> Iterator[Row]:
    """Yield a row for each cluster."""
    for resource, cluster, state in sent.of("clusters"):
        name = str(cluster.name)
        parsed = parse_cluster_name(name)
        host = parsed.hostname if parsed is not None else ""
        yield Row(
            {
                "SERVICE": short_host(host) or ("this workload" if parsed is not None else name),
                "PORT": str(parsed.port) if parsed is not None else "-",
                "SUBSET": (parsed.subset if parsed is not None else "") or "-",
                "DIRECTION": parsed.direction if parsed is not None else "-",
                "DISCOVERY": discovery(cluster),
                "TLS": _tls_to_endpoints(sent, cluster) or "-",
            },
            sent.places(resource, lambda origins, name=name: origins.cluster(name)),  # type: ignore[misc]
            name,
            state,
            **of_cluster(parsed),
        )


def discovery(cluster: Any) -> str:
    """Return how a Cluster's endpoints are found: `EDS`, `STRICT_DNS`, or the name of a cluster type."""
    if cluster.HasField("cluster_type"):
        return str(cluster.cluster_type.name.rpartition(".")[2])
    return str(cluster.DiscoveryType.Name(cluster.type))


def tls(cluster: Any) -> str:
    """Return the TLS that a Cluster speaks: `mutual TLS`, `TLS`, empty for none; if each endpoint decides,
    `mutual TLS where the endpoint accepts it`."""
    spoken = _words(upstream_tls(cluster, None))
    if spoken:
        return spoken
    decides = any("tls" in match.transport_socket.name for match in cluster.transport_socket_matches)
    return "mutual TLS where the endpoint accepts it" if decides else ""


def _tls_to_endpoints(sent: Sent, cluster: Any) -> str:
    """Return the TLS that a Cluster speaks to its present endpoints."""
    if not cluster.transport_socket_matches:
        return tls(cluster)
    assignment = sent.message("endpoints", cluster.eds_cluster_config.service_name or cluster.name)
    if assignment is None:
        assignment = cluster.load_assignment
    endpoints = (endpoint for locality in assignment.endpoints for endpoint in locality.lb_endpoints)
    spoken = {_words(upstream_tls(cluster, endpoint)) for endpoint in endpoints}
    if not spoken:
        return tls(cluster)
    some = " to some endpoints" if "" in spoken and len(spoken) > 1 else ""
    return " or ".join(sorted(spoken - {""})) + some


def _words(spoken: ClientTls | None) -> str:
    if spoken is None:
        return ""
    return "mutual TLS" if spoken.certificate else "TLS"
