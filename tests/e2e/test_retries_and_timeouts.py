"""Requests tried again, and requests given up in time."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.workloads import Respond
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

URL = "http://reviews:9080/"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    await mesh.workload("reviews", version="v1")
    return await mesh.client()


def rule(settings: str) -> str:
    """Return a VirtualService for `reviews` with these settings of its only route."""
    return f"""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: reviews}}
        spec:
          hosts: [reviews]
          http:
            - route: [{{destination: {{host: reviews}}}}]
              {settings}
    """


def failing(times: int, status: int = 500) -> Respond:
    """Return an answer that fails so many times, and then succeeds, telling which attempt it was."""
    left = times

    async def respond(request: Request) -> Response:
        nonlocal left
        left -= 1
        attempt = request.headers.get("x-envoy-attempt-count", "")
        return JSONResponse({"attempt": attempt}, status_code=status if left >= 0 else 200)

    return respond


async def ask(mesh: LiveMesh, client: Caller, respond: Respond) -> tuple[httpx.Response, int]:
    """Return the answer, and how many requests reached the server."""
    [workload] = mesh.workloads
    workload.requests.clear()
    workload.respond = respond
    answer = await client.get(URL)
    return answer, len(workload.requests)


async def test_without_a_rule_an_answer_of_500_is_an_answer(mesh: LiveMesh, client: Caller) -> None:
    await mesh.settled()
    answer, attempts = await ask(mesh, client, failing(1))
    assert (answer.status_code, attempts) == (500, 1)


async def test_a_failed_request_is_tried_again(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    await rules(rule('retries: {attempts: 3, retryOn: "5xx", backoff: 1ms}'))
    answer, attempts = await ask(mesh, client, failing(2))
    assert (answer.status_code, attempts) == (200, 3)
    assert answer.json()["attempt"] == "3"


async def test_attempts_are_limited(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    await rules(rule('retries: {attempts: 2, retryOn: "5xx", backoff: 1ms}'))
    answer, attempts = await ask(mesh, client, failing(9))
    assert (answer.status_code, attempts) == (500, 3)


async def test_a_status_code_may_be_a_reason(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    await rules(rule('retries: {attempts: 1, retryOn: "connect-failure,418", backoff: 1ms}'))
    assert (await ask(mesh, client, failing(1, 418)))[1] == 2
    assert (await ask(mesh, client, failing(1, 500)))[1] == 1


async def test_no_attempts_means_no_retries(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    """A connection that is refused is tried again by default; not with `attempts: 0`."""
    await rules(rule("retries: {attempts: 0}"))
    before = await client.stat("outbound.9080..reviews.*upstream_rq_retry$")
    [workload] = mesh.workloads
    await workload.stop()
    try:
        assert (await client.get(URL)).status_code == 503
        assert await client.stat("outbound.9080..reviews.*upstream_rq_retry$") == before
        await rules(rule("timeout: 50s"))
        assert (await client.get(URL)).status_code == 503
        assert await client.stat("outbound.9080..reviews.*upstream_rq_retry$") == before + 2
    finally:
        await workload.start()


async def test_a_timeout(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    """The server does not answer until the client has been answered."""
    released = asyncio.Event()

    async def held(request: Request) -> Response:
        await released.wait()
        return JSONResponse({})

    await rules(rule("timeout: 0.2s"))
    timeouts = "outbound.9080..reviews.*upstream_rq_timeout$"
    before = await client.stat(timeouts)
    try:
        answer, _ = await ask(mesh, client, held)
    finally:
        released.set()
    assert answer.status_code == 504
    assert answer.elapsed.total_seconds() >= 0.15
    assert await client.stat(timeouts) == before + 1


async def test_a_timeout_for_each_try(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    """The first try is never answered. Of the others some may come too late, on a machine that is busy."""
    calls = 0
    released = asyncio.Event()

    async def held_at_first(request: Request) -> Response:
        nonlocal calls
        calls += 1
        if calls == 1:
            await released.wait()
        return JSONResponse({})

    await rules(rule("retries: {attempts: 50, perTryTimeout: 0.3s, retryOn: gateway-error, backoff: 1ms}"))
    timeouts = "outbound.9080..reviews.*upstream_rq_per_try_timeout$"
    before = await client.stat(timeouts)
    try:
        answer, attempts = await ask(mesh, client, held_at_first)
    finally:
        released.set()
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() >= 0.25
    assert attempts > 1
    assert await client.stat(timeouts) > before
