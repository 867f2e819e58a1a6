"""Traffic split between versions of a service: by weight, by header, by subset."""

from __future__ import annotations

from collections import Counter

import httpx
import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

URL = "http://reviews:9080/"
SUBSETS = """
    apiVersion: networking.istio.io/v1
    kind: DestinationRule
    metadata: {name: reviews}
    spec:
      host: reviews
      subsets:
        - {name: v1, labels: {version: v1}}
        - {name: v2, labels: {version: v2}}
        - {name: v3, labels: {version: v3}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    for version in ("v1", "v2", "v3"):
        await mesh.workload("reviews", version=version)
    mesh.write("subsets.yaml", SUBSETS)
    return await mesh.client()


def version(answer: httpx.Response) -> str:
    answer.raise_for_status()
    return str(answer.json()["version"])


async def calls(client: Caller, times: int, **arguments: object) -> Counter[str]:
    return await client.count(URL, times, version, **arguments)


async def test_without_a_rule_every_version_is_called(client: Caller) -> None:
    assert set(await calls(client, 60)) == {"v1", "v2", "v3"}


async def test_all_traffic_goes_to_one_subset(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: reviews}
        spec:
          hosts: [reviews]
          http:
            - route: [{destination: {host: reviews, subset: v2}}]
    """)
    assert await calls(client, 20) == {"v2": 20}


async def test_weights_divide_the_traffic(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: reviews}
        spec:
          hosts: [reviews]
          http:
            - route:
                - {destination: {host: reviews, subset: v1}, weight: 80}
                - {destination: {host: reviews, subset: v2}, weight: 20}
    """)
    counts = await calls(client, 400)
    assert set(counts) == {"v1", "v2"}
    # 80 are expected with a standard deviation of 8: six of them are allowed.
    assert 32 <= counts["v2"] <= 128


async def test_weights_need_not_add_up_to_100_and_zero_means_never(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: reviews}
        spec:
          hosts: [reviews]
          http:
            - route:
                - {destination: {host: reviews, subset: v1}, weight: 1}
                - {destination: {host: reviews, subset: v2}, weight: 1}
                - {destination: {host: reviews, subset: v3}, weight: 0}
    """)
    counts = await calls(client, 200)
    assert set(counts) == {"v1", "v2"}
    assert 58 <= counts["v1"] <= 142


async def test_a_header_pins_a_user_to_a_version(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: reviews}
        spec:
          hosts: [reviews]
          http:
            - match: [{headers: {end-user: {exact: jason}}}]
              route: [{destination: {host: reviews, subset: v3}}]
            - route: [{destination: {host: reviews, subset: v1}}]
    """)
    assert await calls(client, 10, headers={"end-user": "jason"}) == {"v3": 10}
    assert await calls(client, 10, headers={"end-user": "somebody"}) == {"v1": 10}
    assert await calls(client, 10) == {"v1": 10}


async def test_a_subset_that_selects_nothing_is_unavailable(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: reviews}
        spec:
          hosts: [reviews]
          http:
            - route: [{destination: {host: reviews, subset: v9}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: reviews-v9}
        spec:
          host: reviews
          subsets: [{name: v9, labels: {version: v9}}]
    """)
    answer = await client.get(URL)
    assert answer.status_code == 503
    assert "no healthy upstream" in answer.text
