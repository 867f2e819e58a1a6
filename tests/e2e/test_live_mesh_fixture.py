"""The fixture of the plugin: a server, real Envoys and workloads, without a line of asyncio."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mizzen.testing.live_mesh import GATEWAY_PORT, SERVICE_PORT, LiveMesh
from mizzen.testing.own_network import own_network
from mizzen.testing.running_mesh import RunningMesh
from tests.e2e import torn_mizzen

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


REFUSED = {
    "rules.yaml": """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - rout: [{destination: {host: reviews}}]
""",
    "broken.yaml": "kind: [",
}
GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: ["*"]
  gateways: [edge]
  http: [{route: [{destination: {host: reviews}}]}]
"""


@pytest.fixture
def taken_ports() -> Iterator[None]:
    """Programs that listen on the usual ports of every address, in a network of the test's own. Without the
    right to have one, the ports of this machine stay as they are."""
    namespace = Path("/proc/thread-self/ns/net")
    of_the_machine = namespace.readlink()
    with own_network(), contextlib.ExitStack() as listening:
        for port in (GATEWAY_PORT, SERVICE_PORT) if namespace.readlink() != of_the_machine else ():
            listening.enter_context(socket.create_server(("0.0.0.0", port)))
        yield


@pytest.mark.usefixtures("taken_ports")
def test_usual_ports_may_be_taken_and_what_is_refused_is_told(mizzen_live_mesh: RunningMesh) -> None:
    mizzen_live_mesh.workload("reviews", version="v1")
    client = mizzen_live_mesh.client()
    gateway = mizzen_live_mesh.gateway()
    mizzen_live_mesh.apply("edge.yaml", GATEWAY)
    assert client.request("GET http://reviews/").json()["workload"] == "reviews-v1"
    assert gateway.request("GET http://shop.example/").json()["workload"] == "reviews-v1"
    for file, words in (
        ("rules.yaml", ":8: spec.http[0].rout: unknown field; did you mean `route`?"),
        ("broken.yaml", ":1: the document ends in an open bracket or brace"),
    ):
        with pytest.raises(AssertionError) as refused:
            mizzen_live_mesh.apply(file, REFUSED[file])
        assert f"{file}{words}" in str(refused.value)


TEAPOT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http: [{directResponse: {status: 418}}]
"""


async def test_what_is_applied_is_in_force_whatever_the_server_reads_first(tmp_path: Path) -> None:
    async with LiveMesh(tmp_path, launch=torn_mizzen.launch) as mesh:
        await mesh.workload("reviews", version="v1")
        client = await mesh.client()
        await mesh.apply("rules.yaml", TEAPOT)
        assert (await client.get("http://reviews/")).status_code == 418
