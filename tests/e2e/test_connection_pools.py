"""Limits of connections and requests, and endpoints that are left out while they fail."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    await mesh.workload("reviews", version="v1")
    return await mesh.client()


class Held:
    """A server that answers nothing until it is told to."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._released = asyncio.Event()

    async def at_once(self, client: Caller, number: int, *, through: int) -> Counter[int]:
        """Send so many requests at the same time; count the answers by status.

        `through` of them are to reach the server or wait for their turn; they are answered last.
        """
        # A connection that stands: while one is being made, its request counts as one that waits.
        assert (await client.get(URL)).status_code == 200
        self._workload.respond = self._answer
        self._workload.requests.clear()
        asked = [asyncio.create_task(client.get(URL)) for _ in range(number)]

        async def refused() -> bool:
            return sum(each.done() for each in asked) == number - through

        async def all_came() -> bool:
            return len(self._workload.requests) == number

        try:
            if through == number:
                await eventually(all_came, "all requests are at the server at the same time")
            else:
                await eventually(refused, f"{number - through} of {number} requests are answered")
        finally:
            self._released.set()
            answers = await asyncio.gather(*asked)
        for answer in answers:
            if answer.status_code == 503:
                assert "overflow" in answer.text
                assert answer.headers["x-envoy-overloaded"] == "true"
        return Counter(answer.status_code for answer in answers)

    async def _answer(self, request: Request) -> Response:
        await self._released.wait()
        return JSONResponse({})


def limits(pool: str) -> str:
    """Return a DestinationRule with this connection pool, and a route that never tries again."""
    return f"""
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {{name: reviews}}
        spec:
          host: reviews
          trafficPolicy:
            connectionPool: {pool}
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: reviews}}
        spec:
          hosts: [reviews]
          http: [{{retries: {{attempts: 0}}, route: [{{destination: {{host: reviews}}}}]}}]
    """


@pytest_asyncio.fixture(loop_scope="module")
async def held(mesh: LiveMesh, client: Caller) -> AsyncIterator[Held]:
    [workload] = mesh.workloads
    yield Held(workload)
    workload.respond = None


async def test_without_limits_all_get_through(mesh: LiveMesh, client: Caller, held: Held) -> None:
    await mesh.settled()
    assert await held.at_once(client, 10, through=10) == {200: 10}


async def test_one_connection_and_one_that_waits(client: Caller, rules: Rules, held: Held) -> None:
    await rules(limits("{tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}"))
    before = await client.stat("outbound.9080..reviews.*upstream_rq_pending_overflow$")
    assert await held.at_once(client, 10, through=2) == {200: 2, 503: 8}
    assert await client.stat("outbound.9080..reviews.*upstream_rq_pending_overflow$") == before + 8


async def test_requests_at_once_are_limited(client: Caller, rules: Rules, held: Held) -> None:
    await rules(limits("{http: {http2MaxRequests: 3}}"))
    assert await held.at_once(client, 10, through=3) == {200: 3, 503: 7}


async def test_a_limit_of_another_port_is_none(client: Caller, rules: Rules, held: Held) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: reviews}
        spec:
          host: reviews
          trafficPolicy:
            portLevelSettings:
              - port: {number: 7777}
                connectionPool: {http: {http2MaxRequests: 1}}
    """)
    assert await held.at_once(client, 5, through=5) == {200: 5}


async def test_requests_of_one_connection_are_limited(client: Caller, rules: Rules) -> None:
    await rules(limits("{http: {maxRequestsPerConnection: 1}}"))
    before = await client.stat("outbound.9080..reviews.*upstream_cx_total$")
    for _ in range(5):
        assert (await client.get(URL)).status_code == 200
    assert await client.stat("outbound.9080..reviews.*upstream_cx_total$") >= before + 5
