"""A copy of the traffic for another service, whose answers nobody waits for."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.waiting import eventually
from mizzen.testing.workloads import Workload
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

URL = "http://reviews:9080/"
MIRROR = r"^cluster\.outbound\|9080\|v2\|reviews\..*upstream_rq"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    await mesh.workload("reviews", version="v1")
    await mesh.workload("reviews", version="v2")
    mesh.write(
        "subsets.yaml",
        """
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: reviews}
        spec:
          host: reviews
          subsets:
            - {name: v1, labels: {version: v1}}
            - {name: v2, labels: {version: v2}}
        """,
    )
    return await mesh.client()


async def sent(client: Caller) -> int:
    """Return how many requests the client's Envoy has sent to the mirror, all of them answered by now."""

    async def answered() -> bool:
        return await client.stat(f"{MIRROR}_active$") == 0

    await eventually(answered, "the mirror has answered all that it was sent")
    return await client.stat(f"{MIRROR}_total$")


@pytest_asyncio.fixture(loop_scope="module")
async def mirror(mesh: LiveMesh, client: Caller) -> Workload:
    """The workload that is the mirror; what it was sent before has come and is forgotten."""
    _, second = mesh.workloads
    second.respond = None
    await sent(client)
    second.requests.clear()
    return second


def rule(settings: str) -> str:
    """Return a VirtualService that sends to v1, with a mirror to v2."""
    return f"""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: reviews}}
        spec:
          hosts: [reviews]
          http:
            - route: [{{destination: {{host: reviews, subset: v1}}}}]
              {settings}
    """


async def test_every_request_is_mirrored(client: Caller, rules: Rules, mirror: Workload) -> None:
    await rules(rule("mirror: {host: reviews, subset: v2}"))
    for number in range(20):
        assert (await client.get(f"{URL}{number}")).json()["version"] == "v1"

    async def mirrored() -> bool:
        return {seen["path"] for seen in mirror.requests} == {f"/{number}" for number in range(20)}

    await eventually(mirrored, "each request has come to the mirror")
    assert mirror.requests[0]["headers"]["host"] == "reviews:9080", "without Envoy's suffix -shadow"


async def test_a_share_of_the_requests_is_mirrored(client: Caller, rules: Rules, mirror: Workload) -> None:
    await rules(rule("mirrors: [{destination: {host: reviews, subset: v2}, percentage: {value: 50}}]"))
    before = await sent(client)
    for _ in range(200):
        assert (await client.get(URL)).json()["version"] == "v1"
    # 100 are expected with a standard deviation of 7: six of them are allowed.
    mirrored = await sent(client) - before
    assert 58 <= mirrored <= 142
    assert len(mirror.requests) == mirrored


async def test_a_mirror_of_0_percent_is_none(client: Caller, rules: Rules, mirror: Workload) -> None:
    await rules(rule("mirror: {host: reviews, subset: v2}\n              mirrorPercentage: {value: 0}"))
    before = await sent(client)
    for _ in range(20):
        assert (await client.get(URL)).status_code == 200
    assert await sent(client) == before
    assert mirror.requests == []


async def test_a_slow_or_failing_mirror_hurts_nobody(client: Caller, rules: Rules, mirror: Workload) -> None:
    released = asyncio.Event()

    async def slow(request: Request) -> Response:
        await released.wait()
        return JSONResponse({}, status_code=500)

    async def mirrored() -> bool:
        return len(mirror.requests) == 5

    await rules(rule("mirror: {host: reviews, subset: v2}"))
    mirror.respond = slow
    try:
        for _ in range(5):
            assert (await client.get(URL)).status_code == 200
        await eventually(mirrored, "each request has come to the mirror, and none is answered")
    finally:
        released.set()
    await sent(client)
    assert (await client.get(URL)).status_code == 200
