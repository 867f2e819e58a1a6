"""How requests are shared among the endpoints of a service."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import httpx
import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import Response

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

URL = "http://reviews:9080/"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    for version in ("v1", "v2", "v3"):
        await mesh.workload("reviews", version=version)
    return await mesh.client(locality="eu/eu-1/a")


@pytest.fixture(autouse=True)
def well(mesh: LiveMesh) -> Iterator[None]:
    """Who failed in a test is well again after it."""
    yield
    for workload in mesh.workloads:
        workload.respond = None


def policy(load_balancer: str, more: str = "") -> str:
    """Return a DestinationRule for `reviews` with this way to balance."""
    return f"""
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {{name: reviews}}
        spec:
          host: reviews
          trafficPolicy:
            loadBalancer: {load_balancer}
            {more}
    """


async def versions(client: Caller, times: int, path: str = "", **arguments: object) -> dict[str, int]:
    return dict(await client.count(URL + path, times, lambda answer: answer.json()["version"], **arguments))


async def test_round_robin_calls_one_after_the_other(client: Caller, rules: Rules) -> None:
    await rules(policy("{simple: ROUND_ROBIN}"))
    assert await versions(client, 30) == {"v1": 10, "v2": 10, "v3": 10}


async def test_random_calls_all_but_not_in_turn(client: Caller, rules: Rules) -> None:
    await rules(policy("{simple: RANDOM}"))
    order = [(await client.get(URL)).json()["version"] for _ in range(90)]
    assert set(order) == {"v1", "v2", "v3"}
    assert any(first == second for first, second in itertools.pairwise(order))


async def test_a_header_decides(client: Caller, rules: Rules) -> None:
    await rules(policy("{consistentHash: {httpHeaderName: x-user}}"))
    found = set()
    for user in range(20):
        [version] = await versions(client, 5, headers={"x-user": f"user-{user}"})
        found.add(version)
    assert len(found) > 1, "different users come to different versions"


async def test_a_query_parameter_decides(client: Caller, rules: Rules) -> None:
    await rules(policy("{consistentHash: {httpQueryParameterName: user, maglev: {tableSize: 97}}}"))
    found = set()
    for user in range(20):
        [version] = await versions(client, 5, f"?user={user}")
        found.add(version)
    assert len(found) > 1


async def test_a_cookie_is_given_and_then_decides(client: Caller, rules: Rules) -> None:
    await rules(policy("{consistentHash: {httpCookie: {name: session, ttl: 60s, path: /}}}"))
    client.http.cookies.clear()
    first = await client.get(URL)
    cookie = first.headers["set-cookie"]
    assert cookie.startswith('session="')
    assert "Max-Age=60" in cookie
    assert "Path=/" in cookie
    client.http.cookies.clear()
    sent = {"cookie": cookie.partition(";")[0]}
    assert await versions(client, 20, headers=sent) == {first.json()["version"]: 20}
    found = {
        (await client.get(URL, headers={"cookie": f"session=s{n}"})).json()["version"] for n in range(20)
    }
    assert len(found) > 1
    client.http.cookies.clear()


async def test_endpoints_have_weights(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    addresses = [workload.address for workload in mesh.workloads[:2]]
    await rules(
        policy("{simple: ROUND_ROBIN}").replace("host: reviews", "host: weighted.test")
        + f"""
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: weighted}}
        spec:
          hosts: [weighted.test]
          ports: [{{number: 9080, name: http, protocol: HTTP}}]
          resolution: STATIC
          endpoints:
            - {{address: {addresses[0]}, weight: 3}}
            - {{address: {addresses[1]}, weight: 1}}
    """
    )
    counts = await client.count("http://weighted.test/", 40, lambda answer: answer.json()["version"])
    assert counts == {"v1": 30, "v2": 10}


async def test_the_nearest_locality_is_called_and_the_next_when_it_fails(
    mesh: LiveMesh, client: Caller, rules: Rules
) -> None:
    near, middle, far = mesh.workloads[:3]
    await rules(f"""
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {{name: spread}}
        spec:
          host: spread.test
          trafficPolicy:
            outlierDetection:
              {{consecutive5xxErrors: 1, interval: 0.1s, baseEjectionTime: 600s, maxEjectionPercent: 100}}
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: spread}}
        spec:
          hosts: [spread.test]
          ports: [{{number: 9080, name: http, protocol: HTTP}}]
          resolution: STATIC
          endpoints:
            - {{address: {far.address}, locality: us/us-1/a}}
            - {{address: {near.address}, locality: eu/eu-1/a}}
            - {{address: {middle.address}, locality: eu/eu-2/a}}
    """)
    url = "http://spread.test/"

    def version(answer: httpx.Response) -> str:
        return str(answer.json().get("version")) if answer.is_success else "failure"

    assert await client.count(url, 20, version) == {"v1": 20}
    for workload, following in ((near, "v2"), (middle, "v3")):
        workload.respond = unwell
        await client.eventually(url, lambda answer, following=following: version(answer) == following)
        assert await client.count(url, 20, version) == {following: 20}


async def test_shares_of_localities(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    one, two, three = mesh.workloads[:3]
    await rules(f"""
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {{name: shared}}
        spec:
          host: shared.test
          trafficPolicy:
            loadBalancer:
              localityLbSetting:
                distribute: [{{from: eu/eu-1/*, to: {{"eu/eu-1/*": 70, "eu/eu-2/*": 30}}}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: shared}}
        spec:
          hosts: [shared.test]
          ports: [{{number: 9080, name: http, protocol: HTTP}}]
          resolution: STATIC
          endpoints:
            - {{address: {one.address}, locality: eu/eu-1/a}}
            - {{address: {two.address}, locality: eu/eu-2/a}}
            - {{address: {three.address}, locality: us/us-1/a}}
    """)
    counts = await client.count("http://shared.test/", 200, lambda answer: answer.json()["version"])
    assert set(counts) == {"v1", "v2"}
    # 60 are expected; if the dice were thrown each time, with a standard deviation of 6.5: six are allowed.
    assert 21 <= counts["v2"] <= 99


async def unwell(request: Request) -> Response:
    """Fail as a broken server does."""
    return Response(status_code=500)
