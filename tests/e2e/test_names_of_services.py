"""Names of one service: in capitals, those of ExternalName Services, and a host of several documents."""

from __future__ import annotations

import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.workloads import Workload
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reviews(mesh: LiveMesh) -> Workload:
    return await mesh.workload("reviews", version="v1")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh, reviews: Workload) -> Caller:
    return await mesh.client(policy="REGISTRY_ONLY")


async def test_capitals_make_no_difference(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: capitals}
        spec:
          hosts: [Reviews]
          http:
            - match: [{uri: {prefix: /stop}}]
              fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
              route: [{destination: {host: REVIEWS.default.svc.cluster.local}}]
            - route: [{destination: {host: REVIEWS.default.svc.cluster.local}}]
    """)
    for host in ("reviews", "Reviews.Default", "REVIEWS.default.svc.cluster.local"):
        assert (await client.get(f"http://{host}/stop")).status_code == 418
        assert (await client.get(f"http://{host}/")).json()["workload"] == "reviews-v1"


async def test_an_external_name_is_called_as_its_service(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: v1
        kind: Service
        metadata: {name: front, namespace: default}
        spec: {type: ExternalName, externalName: reviews.default.svc.cluster.local}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: door, namespace: default}
        spec: {type: ExternalName, externalName: front.default.svc.cluster.local}
    """)
    for host in ("front", "front.default", "door.default.svc.cluster.local"):
        assert (await client.get(f"http://{host}/")).json()["workload"] == "reviews-v1"


async def test_a_rule_may_lead_to_an_external_name_on_any_port(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: v1
        kind: Service
        metadata: {name: front, namespace: default}
        spec: {type: ExternalName, externalName: reviews.default.svc.cluster.local, ports: [{port: 81}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: reviews}
        spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: shop}
        spec:
          hosts: [shop.example.com]
          ports: [{number: 9080, name: http, protocol: HTTP}]
          resolution: DNS
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: shop}
        spec:
          hosts: [shop.example.com]
          http: [{route: [{destination: {host: front, subset: v1, port: {number: 9080}}}]}]
    """)
    assert (await client.get("http://shop.example.com/")).json()["workload"] == "reviews-v1"


async def test_endpoints_of_all_documents_of_a_host_are_called(
    mesh: LiveMesh, client: Caller, rules: Rules
) -> None:
    servers = [await mesh.server(name) for name in ("first", "second")]
    await rules(
        "---".join(
            f"""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: {server.name}}}
        spec:
          hosts: [shared.example.com]
          ports: [{{number: 9080, name: http, protocol: HTTP}}]
          resolution: STATIC
          endpoints: [{{address: {server.address}}}]
        """
            for server in servers
        )
    )
    names = await client.count("http://shared.example.com/", 40, lambda answer: answer.json()["workload"])
    assert set(names) == {"first", "second"}
