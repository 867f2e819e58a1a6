"""An endpoint that fails is left out for a while."""

from __future__ import annotations

from collections import Counter

import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import Response

from tests.e2e.conftest import Rules
from tests.e2e.live_mesh import Caller, LiveMesh

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


async def test_a_failing_endpoint_is_ejected_and_comes_back(
    mesh: LiveMesh, client: Caller, rules: Rules
) -> None:
    await rules(
        policy("{consecutive5xxErrors: 3, interval: 0.1s, baseEjectionTime: 0.5s, maxEjectionPercent: 100}")
    )
    mesh.workloads[1].respond = unwell
    counts = await statuses(client, 20)
    assert counts == {"500": 3, "200": 17}
    mesh.workloads[1].respond = None
    await client.eventually(URL, lambda answer: answer.json()["version"] == "v2")


async def test_other_counts_of_errors(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    await rules(
        policy("{consecutive5xxErrors: 6, interval: 60s, baseEjectionTime: 60s, maxEjectionPercent: 100}")
    )
    mesh.workloads[1].respond = unwell
    assert await statuses(client, 40) == {"500": 6, "200": 34}
    mesh.workloads[1].respond = None


async def test_without_detection_a_failing_endpoint_is_called_on(
    mesh: LiveMesh, client: Caller, rules: Rules
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
    mesh.workloads[1].respond = unwell
    assert await statuses(client, 20) == {"500": 10, "200": 10}
    mesh.workloads[1].respond = None
