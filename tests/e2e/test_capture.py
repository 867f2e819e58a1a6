"""Programs that know nothing of proxies, on two machines whose traffic is captured as Istio captures it.

A request goes: client program, iptables, client's Envoy (virtualOutbound), network, iptables, server's Envoy
(virtualInbound), server program.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.captured_mesh import SERVER, CapturedMesh, why_not

_REASON = why_not()
pytestmark = [
    pytest.mark.envoy,
    pytest.mark.root,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(_REASON), reason=_REASON),
]

WEB = "10.96.0.10"
DATABASE = "10.96.0.11"
MESH = f"""
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: default}}
spec:
  selector: {{app: server}}
  clusterIP: {WEB}
  ports: [{{name: http, port: 80, targetPort: 9080}}]
---
apiVersion: v1
kind: Service
metadata: {{name: database, namespace: default}}
spec:
  selector: {{app: server}}
  clusterIP: {DATABASE}
  ports: [{{name: tcp, port: 3306, targetPort: 3306}}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: server}}
spec: {{address: {SERVER}, labels: {{app: server}}}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh() -> AsyncIterator[CapturedMesh]:
    async with CapturedMesh() as running:
        await running.apply("mesh.yaml", MESH)
        yield running


async def test_a_call_to_a_service_goes_through_both_envoys(mesh: CapturedMesh) -> None:
    outbound = await mesh.client.stat("outbound.80..web.*upstream_rq_total$")
    inbound = await mesh.server.stat("inbound.9080...*upstream_rq_total$")
    answer = await mesh.client.get(WEB, 80, "/a", name="web")
    assert answer["status"] == 200
    seen = json.loads(answer["body"])
    assert (seen["path"], seen["port"]) == ("/a", 9080)
    assert seen["from"] == "127.0.0.6", "the server's Envoy calls from an address of its own"
    assert seen["headers"]["host"] == "web"
    assert seen["headers"]["x-envoy-attempt-count"] == "1"
    assert seen["headers"]["x-forwarded-proto"] == "http"
    assert "x-request-id" in seen["headers"]
    assert "x-envoy-upstream-service-time" in answer["headers"]
    assert await mesh.client.stat("outbound.80..web.*upstream_rq_total$") == outbound + 1
    assert await mesh.server.stat("inbound.9080...*upstream_rq_total$") == inbound + 1


@pytest.mark.parametrize("name", ["web.default.svc.cluster.local", "web.default", WEB, "web:80"])
async def test_every_name_of_a_service_will_do(mesh: CapturedMesh, name: str) -> None:
    assert (await mesh.client.get(WEB, 80, name=name))["status"] == 200


async def test_rules_are_followed(mesh: CapturedMesh) -> None:
    await mesh.apply(
        "rules.yaml",
        """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
    - match: [{uri: {prefix: /old}}]
      rewrite: {uri: /new}
      route: [{destination: {host: web}}]
    - match: [{uri: {prefix: /stop}}]
      fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
      route: [{destination: {host: web}}]
    - route: [{destination: {host: web}}]
""",
    )
    assert json.loads((await mesh.client.get(WEB, 80, "/old/a"))["body"])["path"] == "/new/a"
    assert (await mesh.client.get(WEB, 80, "/stop"))["status"] == 418


async def test_a_tcp_service(mesh: CapturedMesh) -> None:
    outbound = await mesh.client.stat("outbound.3306..database.*upstream_cx_total$")
    inbound = await mesh.server.stat("inbound.3306...*upstream_cx_total$")
    assert await mesh.client.say(DATABASE, 3306) == "3306 hello"
    assert await mesh.client.stat("outbound.3306..database.*upstream_cx_total$") == outbound + 1
    assert await mesh.server.stat("inbound.3306...*upstream_cx_total$") == inbound + 1


async def test_what_nobody_knows_passes_through_both(mesh: CapturedMesh) -> None:
    out = await mesh.client.stat("^cluster.PassthroughCluster;.upstream_cx_total$")
    inward = await mesh.server.stat("^cluster.InboundPassthroughCluster;.upstream_cx_total$")
    assert await mesh.client.say(SERVER, 7777) == "7777 hello"
    assert await mesh.client.stat("^cluster.PassthroughCluster;.upstream_cx_total$") == out + 1
    assert await mesh.server.stat("^cluster.InboundPassthroughCluster;.upstream_cx_total$") == inward + 1


async def test_an_unknown_http_host_on_a_known_port_passes_through(mesh: CapturedMesh) -> None:
    """It goes where the client was going: not to the service of that port."""
    before = await mesh.client.stat("^cluster.PassthroughCluster;.upstream_rq_total$")
    await mesh.apply("http.yaml", _http_service_on_8080("10.96.0.99"))
    answer = await mesh.client.get(SERVER, 8080, name="elsewhere.example.com")
    assert json.loads(answer["body"])["headers"]["host"] == "elsewhere.example.com"
    assert await mesh.client.stat("^cluster.PassthroughCluster;.upstream_rq_total$") == before + 1


def _http_service_on_8080(address: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: other}}
spec:
  hosts: [other.test]
  addresses: [{address}]
  ports: [{{number: 8080, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: {address}}}]
"""


async def test_a_service_without_resolution_is_called_where_the_client_was_going(mesh: CapturedMesh) -> None:
    await mesh.apply(
        "none.yaml",
        """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: none}
spec:
  hosts: [legacy.example.com]
  ports: [{number: 8080, name: http, protocol: HTTP}]
  resolution: NONE
  location: MESH_EXTERNAL
""",
    )
    answer = await mesh.client.get(SERVER, 8080, name="legacy.example.com")
    assert json.loads(answer["body"])["port"] == 8080
    assert await mesh.client.stat("outbound.8080..legacy.example.com.*upstream_cx_total$") == 1


async def test_registry_only_blocks_what_nobody_knows(mesh: CapturedMesh) -> None:
    await mesh.apply(
        "sidecar.yaml",
        """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: client}
spec:
  workloadSelector: {labels: {app: client}}
  egress: [{hosts: ["*/*"]}]
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
""",
    )
    assert (await mesh.client.get(WEB, 80, name="web"))["status"] == 200
    assert await mesh.client.say(DATABASE, 3306) == "3306 hello"
    assert (await mesh.client.get(WEB, 80, name="unknown.example.com"))["status"] == 502
    blocked = await mesh.client.stat("^cluster.BlackHoleCluster;.upstream_cx_none_healthy$")
    assert await mesh.client.say(SERVER, 7777) == ""
    assert await mesh.client.stat("^cluster.BlackHoleCluster;.upstream_cx_none_healthy$") == blocked + 1


async def test_an_external_name_is_another_name_of_the_service(mesh: CapturedMesh) -> None:
    await mesh.apply(
        "alias.yaml",
        """
apiVersion: v1
kind: Service
metadata: {name: front, namespace: default}
spec: {type: ExternalName, externalName: web.default.svc.cluster.local}
""",
    )
    before = await mesh.client.stat("outbound.80..web.*upstream_rq_total$")
    assert (await mesh.client.get(WEB, 80, name="front.default.svc.cluster.local"))["status"] == 200
    assert await mesh.client.stat("outbound.80..web.*upstream_rq_total$") == before + 1


async def test_two_documents_of_a_host_are_called_at_both_addresses(mesh: CapturedMesh) -> None:
    def entry(name: str, address: str) -> str:
        return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [twice.test]
  addresses: [{address}]
  ports: [{{number: 3306, name: tcp, protocol: TCP}}]
  resolution: STATIC
  endpoints: [{{address: {SERVER}}}]
"""

    addresses = ("10.96.0.31", "10.96.0.32")
    await mesh.apply("twice.yaml", "---".join(entry(f"twice-{each[-1]}", each) for each in addresses))
    before = await mesh.client.stat("outbound.3306..twice.*upstream_cx_total$")
    for address in addresses:
        assert await mesh.client.say(address, 3306) == "3306 hello"
    assert await mesh.client.stat("outbound.3306..twice.*upstream_cx_total$") == before + 2


async def test_a_host_with_two_resolutions_goes_where_the_older_one_says(mesh: CapturedMesh) -> None:
    def entry(name: str, year: int, resolution: str) -> str:
        return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, creationTimestamp: "{year}-01-01T00:00:00Z"}}
spec:
  hosts: [contested.test]
  ports: [{{number: 7777, name: tcp, protocol: TCP}}]
  resolution: {resolution}
"""

    await mesh.apply(
        "contested.yaml", "---".join([entry("older", 2001, "NONE"), entry("younger", 2002, "DNS")])
    )
    before = await mesh.client.stat("outbound.7777..contested.*upstream_cx_total$")
    assert await mesh.client.say(SERVER, 7777) == "7777 hello"
    assert await mesh.client.stat("outbound.7777..contested.*upstream_cx_total$") == before + 1
