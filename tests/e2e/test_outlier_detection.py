"""An endpoint that fails is left out for a while."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import Response

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.waiting import eventually
from mizzen.testing.workloads import Workload
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

URL = "http://reviews:9080/"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    for version in ("v1", "v2"):
        await mesh.workload("reviews", version=version)
    return await mesh.client()


def policy(detection: str) -> str:
    return f"""
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {{name: reviews}}
        spec:
          host: reviews
          trafficPolicy:
            loadBalancer: {{simple: ROUND_ROBIN}}
            outlierDetection: {detection}
    """


async def unwell(request: Request) -> Response:
    return Response(status_code=500)


async def statuses(client: Caller, times: int) -> Counter[str]:
    return await client.count(URL, times, lambda answer: str(answer.status_code))


async def ejected(client: Caller) -> int:
    """Return how many endpoints are left out now."""
    return await client.stat("outbound.9080..reviews.*outlier_detection.ejections_active$")


@pytest_asyncio.fixture(loop_scope="module")
async def failing(mesh: LiveMesh, client: Caller) -> AsyncIterator[Workload]:
    """One of the two endpoints; it may fail until the end of the test."""
    second = mesh.workloads[1]
    yield second
    second.respond = None


async def test_a_failing_endpoint_is_ejected_and_comes_back(
    client: Caller, rules: Rules, failing: Workload
) -> None:
    await rules(
        policy("{consecutive5xxErrors: 3, interval: 0.1s, baseEjectionTime: 0.5s, maxEjectionPercent: 100}")
    )
    failing.respond = unwell
    ejections = "outbound.9080..reviews.*ejections_enforced_consecutive_5xx$"
    before = await client.stat(ejections)

    async def left_out() -> bool:
        await client.get(URL)
        return await client.stat(ejections) > before

    await eventually(left_out, "the failing endpoint is left out")
    failing.respond = None
    await client.eventually(URL, lambda answer: answer.json()["version"] == "v2")

    async def nobody() -> bool:
        return await ejected(client) == 0

    await eventually(nobody, "nobody is left out any more")


@pytest.mark.parametrize("errors", [3, 6])
async def test_the_count_of_errors_in_a_row(
    client: Caller, rules: Rules, failing: Workload, errors: int
) -> None:
    await rules(
        policy(
            f"{{consecutive5xxErrors: {errors}, interval: 600s, baseEjectionTime: 600s, "
            "maxEjectionPercent: 100}"
        )
    )
    failing.respond = unwell
    # The two are called in turn.
    assert await statuses(client, 2 * errors - 2) == {"500": errors - 1, "200": errors - 1}
    assert await ejected(client) == 0
    assert await statuses(client, 2) == {"500": 1, "200": 1}

    async def left_out() -> bool:
        return await ejected(client) == 1

    # Envoy's main thread decides, while its worker goes on.
    await eventually(left_out, "the failing endpoint is left out")
    assert await statuses(client, 20) == {"200": 20}


async def test_without_detection_a_failing_endpoint_is_called_on(
    client: Caller, rules: Rules, failing: Workload
) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: reviews}
        spec:
          host: reviews
          trafficPolicy:
            loadBalancer: {simple: ROUND_ROBIN}
    """)
    failing.respond = unwell
    assert await statuses(client, 20) == {"500": 10, "200": 10}
