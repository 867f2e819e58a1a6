"""Faults injected on purpose: delays and aborted requests."""

from __future__ import annotations

import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

URL = "http://reviews:9080/"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    await mesh.workload("reviews", version="v1")
    return await mesh.client()


def rule(fault: str) -> str:
    """Return a VirtualService with a fault for the user `tester`."""
    return f"""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: reviews}}
        spec:
          hosts: [reviews]
          http:
            - match: [{{headers: {{end-user: {{exact: tester}}}}}}]
              fault: {fault}
              route: [{{destination: {{host: reviews}}}}]
            - route: [{{destination: {{host: reviews}}}}]
    """


TESTER = {"end-user": "tester"}


async def test_an_abort_hits_the_matching_requests_only(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    await rules(rule("{abort: {httpStatus: 418, percentage: {value: 100}}}"))
    [workload] = mesh.workloads
    workload.requests.clear()
    answer = await client.get(URL, headers=TESTER)
    assert (answer.status_code, answer.text) == (418, "fault filter abort")
    assert workload.requests == []
    assert (await client.get(URL)).status_code == 200


async def test_an_abort_of_a_share_of_the_requests(client: Caller, rules: Rules) -> None:
    await rules(rule("{abort: {httpStatus: 503, percentage: {value: 25}}}"))
    counts = await client.count(URL, 300, lambda answer: str(answer.status_code), headers=TESTER)
    # 75 are expected with a standard deviation of 7.5: six of them are allowed.
    assert 30 <= counts["503"] <= 120
    assert counts["503"] + counts["200"] == 300


async def test_an_abort_with_a_grpc_status(client: Caller, rules: Rules) -> None:
    await rules(rule("{abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}}"))
    answer = await client.get(URL, headers={**TESTER, "content-type": "application/grpc"})
    assert answer.headers["grpc-status"] == "14"


async def test_a_delay(client: Caller, rules: Rules) -> None:
    await rules(rule("{delay: {fixedDelay: 0.4s, percentage: {value: 100}}}"))
    delays = r"^http\..*\.fault\.delays_injected$"
    before = await client.stat(delays)
    assert (await client.get(URL)).status_code == 200
    assert await client.stat(delays) == before
    answer = await client.get(URL, headers=TESTER)
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() >= 0.35
    assert await client.stat(delays) == before + 1
