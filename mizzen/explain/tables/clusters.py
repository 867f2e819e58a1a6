"""The table of clusters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mizzen.explain.route_words import short_host
from mizzen.explain.tables.row import Row, of_cluster
from mizzen.explain.tables.sent import Sent
from mizzen.explain.upstream_connection import upstream_tls
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
                "TLS": tls(cluster) or "-",
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
    """Return the TLS that a Cluster speaks: `mutual TLS`, `TLS`, empty for none; `to some endpoints` where
    each endpoint's metadata decides."""
    spoken = upstream_tls(cluster, None)
    if spoken is not None:
        return "mutual TLS" if spoken.certificate else "TLS"
    for match in cluster.transport_socket_matches:
        if "tls" in match.transport_socket.name:
            return "mutual TLS to some endpoints"
    return ""
