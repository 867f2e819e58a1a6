"""The table of endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from envoy.config.core.v3 import health_check_pb2

from mizzen.explain.route_words import cluster_words
from mizzen.explain.tables.row import Row, of_cluster
from mizzen.explain.tables.sent import Sent
from mizzen.translator.base.cluster_names import parse_cluster_name
from mizzen.xds.resource import Resource


def endpoint_rows(sent: Sent) -> Iterator[Row]:
    """Yield a row for each endpoint of each cluster, including endpoints listed in the cluster itself."""
    named = (
        (resource, cluster.load_assignment, state)
        for resource, cluster, state in sent.of("clusters")
        if cluster.HasField("load_assignment")
    )
    for resource, assignment, state in chain(sent.of("endpoints"), named):
        name = str(assignment.cluster_name or resource.name)
        empty = True
        for locality in assignment.endpoints:
            for endpoint in locality.lb_endpoints:
                empty = False
                yield _row(sent, resource, name, state, locality, endpoint)
        if empty:
            yield _none(name, resource, state)


def address_words(endpoint: Any) -> str:
    """Return the address of an LbEndpoint: `10.0.0.7:9080`, or a pipe's path."""
    address = endpoint.endpoint.address
    if address.WhichOneof("address") == "socket_address":
        host = address.socket_address.address
        shown = f"[{host}]" if ":" in host else host
        port = address.socket_address.port_value
        return f"{shown}:{port}" if port else shown
    if address.WhichOneof("address") == "pipe":
        return f"unix:{address.pipe.path}"
    return "an address of another kind"


def health_words(status: int) -> str:
    """Return a HealthStatus in lower case, or `-` for UNKNOWN, which counts as healthy."""
    return "-" if not status else str(health_check_pb2.HealthStatus.Name(status)).lower()


def locality_words(locality: Any) -> str:
    """Return a locality as `region/zone/sub_zone`, `-` for none."""
    found = locality.locality
    return "/".join(each for each in (found.region, found.zone, found.sub_zone) if each) or "-"


def _row(sent: Sent, resource: Resource, name: str, state: str, locality: Any, endpoint: Any) -> Row:
    address = endpoint.endpoint.address.socket_address.address
    return Row(
        {
            "ENDPOINT": address_words(endpoint),
            "HEALTH": health_words(endpoint.health_status),
            "PRIORITY": str(locality.priority),
            "LOCALITY": locality_words(locality),
            "WEIGHT": str(endpoint.load_balancing_weight.value or 1),
            "CLUSTER": cluster_words(name),
        },
        sent.places(resource, lambda origins: origins.endpoint(name, address)),
        name,
        state,
        **of_cluster(parse_cluster_name(name)),
    )


def _none(name: str, resource: Resource, state: str) -> Row:
    cells = {"ENDPOINT": "none", "HEALTH": "-", "PRIORITY": "-", "LOCALITY": "-", "WEIGHT": "-"}
    return Row(
        {**cells, "CLUSTER": cluster_words(name)},
        tuple(dict.fromkeys(map(str, resource.origins))),
        name,
        state,
        **of_cluster(parse_cluster_name(name)),
    )
