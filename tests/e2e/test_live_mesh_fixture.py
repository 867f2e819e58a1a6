"""The fixture of the plugin: a server, real Envoys and workloads, without a line of asyncio."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.testing.running_mesh import RunningMesh

pytestmark = pytest.mark.envoy

RULES = """
    apiVersion: networking.istio.io/v1
    kind: DestinationRule
    metadata: {name: reviews}
    spec:
      host: reviews
      subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
    ---
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: reviews}
    spec:
      hosts: [reviews]
      http:
      - match: [{headers: {end-user: {exact: jason}}}]
        route: [{destination: {host: reviews, subset: v2}}]
      - route: [{destination: {host: reviews, subset: v1}}]
"""


def test_requests_go_where_the_rules_say(tmp_path: Path) -> None:
    with RunningMesh(tmp_path) as mesh:
        mesh.workload("reviews", version="v1")
        mesh.workload("reviews", version="v2")
        client = mesh.client()
        mesh.apply("rules.yaml", RULES)
        answer = client.request("GET http://reviews/", headers={"end-user": "jason"})
        assert answer.json()["version"] == "v2"
        assert client.count("http://reviews/", 5, lambda each: each.json()["version"]) == {"v1": 5}
        assert mesh.status()["proxies"]
