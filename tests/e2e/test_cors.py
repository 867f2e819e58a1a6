"""Browsers may call from other origins: `corsPolicy`."""

from __future__ import annotations

import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

URL = "http://reviews:9080/"
RULE = """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: reviews}
    spec:
      hosts: [reviews]
      http:
        - corsPolicy:
            allowOrigins: [{exact: "https://shop.example.com"}, {regex: "https://[a-z]+[.]dev[.]example[.]com"}]
            allowMethods: [GET, POST]
            allowHeaders: [x-token]
            exposeHeaders: [x-total]
            maxAge: 24h
            allowCredentials: true
          route: [{destination: {host: reviews}}]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    await mesh.workload("reviews", version="v1")
    mesh.write("cors.yaml", RULE)
    client = await mesh.client()
    await mesh.settled()
    return client


def preflight(origin: str) -> dict[str, str]:
    return {"origin": origin, "access-control-request-method": "POST"}


@pytest.mark.parametrize("origin", ["https://shop.example.com", "https://ann.dev.example.com"])
async def test_a_preflight_is_answered_by_the_proxy(mesh: LiveMesh, client: Caller, origin: str) -> None:
    [workload] = mesh.workloads
    workload.requests.clear()
    answer = await client.request("OPTIONS", URL, headers=preflight(origin))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-methods"] == "GET,POST"
    assert answer.headers["access-control-allow-headers"] == "x-token"
    assert answer.headers["access-control-max-age"] == "86400"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert workload.requests == []


async def test_the_answer_to_a_request_names_what_may_be_read(client: Caller) -> None:
    answer = await client.get(URL, headers={"origin": "https://shop.example.com"})
    assert answer.json()["workload"] == "reviews-v1"
    assert answer.headers["access-control-allow-origin"] == "https://shop.example.com"
    assert answer.headers["access-control-expose-headers"] == "x-total"


async def test_another_origin_is_not_allowed(client: Caller) -> None:
    answer = await client.get(URL, headers={"origin": "https://evil.example.com"})
    assert "access-control-allow-origin" not in answer.headers
    answer = await client.request("OPTIONS", URL, headers=preflight("https://evil.example.com"))
    assert "access-control-allow-origin" not in answer.headers
    assert answer.json()["method"] == "OPTIONS", "as in Istio, the service itself is asked"


async def test_unmatched_preflights_may_be_ignored(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: a-other}
        spec:
          hosts: [other.test]
          http:
            - corsPolicy: {allowOrigins: [{exact: "https://a.example.com"}], unmatchedPreflights: IGNORE}
              route: [{destination: {host: reviews.default.svc.cluster.local}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: other}
        spec:
          hosts: [other.test]
          ports: [{number: 9080, name: http, protocol: HTTP}]
          resolution: STATIC
    """)
    answer = await client.request(
        "OPTIONS", "http://other.test/", headers=preflight("https://evil.example.com")
    )
    assert answer.status_code == 200
    assert not answer.content
