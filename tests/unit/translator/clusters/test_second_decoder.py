"""A second, independent implementation of Envoy's API reads the same in our bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.endpoint import v3 as load_assignment

from mizzen.mesh.service import Locality
from mizzen.xds.resource import Resource
from tests.unit.translator.clusters.cluster_scenes import Scene, endpoint, plain, service

# The other implementation warns of every deprecated field; those are Istio's choice.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

POLICIES: list[dict[str, Any]] = [
    {},
    {"tls": {"mode": "ISTIO_MUTUAL"}},
    {"outlierDetection": {"consecutive5xxErrors": 0, "outlierDetectionHttpErrorCodes": [503]}},
    {"connectionPool": {"tcp": {"maxConnections": 5, "connectTimeout": "1.5s"}, "http": {"maxRetries": 2}}},
    {"loadBalancer": {"simple": "LEAST_REQUEST", "warmup": {"duration": "10s"}}},
    {"loadBalancer": {"zoneAwareLbSetting": {"minClusterSize": 3}}},
]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("resolution", ["STATIC", "NONE", "DNS"])
def test_it_writes_what_it_read(policy: dict[str, Any], resolution: str) -> None:
    pool = [endpoint("10.0.0.1", locality=Locality("eu"), tls_mode="istio"), endpoint("10.0.0.2", weight=3)]
    scene = Scene(service(resolution), pool).ruled(json.dumps({"trafficPolicy": policy}))

    for resource in (*scene.resources(), *scene.raw_assignments()):
        other = (
            cluster.Cluster
            if resource.type_url.endswith(".Cluster")
            else load_assignment.ClusterLoadAssignment
        )

        written = bytes(other.parse(resource.value))

        assert plain(Resource(resource.type_url, resource.name, written)) == plain(resource)
