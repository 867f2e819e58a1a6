"""Steady traffic while everything changes: no request fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import GATEWAY_PORT, LiveMesh
from mizzen.testing.waiting import eventually
from mizzen.testing.workloads import Workload
from tests.forked_mizzen import launch

pytestmark = pytest.mark.envoy

CLIENTS = 4
ROUNDS = 4


class Load:
    """Requests one after the other from several clients, on kept and on new connections."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self._turns: Counter[int] = Counter()
        self._stopping = False

    @contextlib.asynccontextmanager
    async def on(self, caller: Caller, url: str) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._client(caller, url, number)) for number in range(CLIENTS)]
        try:
            yield
        finally:
            self._stopping = True
            await asyncio.gather(*tasks)
            self._stopping = False

    async def _client(self, caller: Caller, url: str, number: int) -> None:
        while not self._stopping:
            headers = {"connection": "close"} if number % 2 else {}
            try:
                answer = await caller.get(url, headers=headers)
            except httpx.TransportError as error:
                self.answers[repr(error)] += 1
            else:
                self.answers[str(answer.status_code)] += 1
            self._turns[number] += 1
            await asyncio.sleep(0.002)

    async def goes_on(self, times: int) -> None:
        """Wait until each client has been answered so many times more."""
        enough = {number: self._turns[number] + times for number in range(CLIENTS)}

        async def answered() -> bool:
            return all(self._turns[number] >= turns for number, turns in enough.items())

        await eventually(answered, f"each client is answered {times} times more")

    def only_successes(self) -> None:
        """Fail if any request did."""
        assert set(self.answers) == {"200"}, self.answers


def weights(one: int) -> str:
    return f"""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: reviews}}
        spec:
          hosts: [reviews]
          http:
            - route:
                - {{destination: {{host: reviews, subset: v1}}, weight: {one}}}
                - {{destination: {{host: reviews, subset: v2}}, weight: {100 - one}}}
    """


def subsets(*names: str, more: str = "") -> str:
    lines = "".join(f"\n            - {{name: {name}, labels: {{version: {name[:2]}}}}}" for name in names)
    return f"""
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {{name: reviews}}
        spec:
          host: reviews
          subsets: {lines}
          {more}
    """


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
async def test_weights_subsets_and_clusters_change(tmp_path: Path, delta: bool) -> None:
    """Subsets come and go together with the routes to them: new clusters first, old ones last."""
    async with LiveMesh(tmp_path, delta=delta, launch=launch) as mesh:
        for version in ("v1", "v2"):
            await mesh.workload("reviews", version=version)
        client = await mesh.client()
        mesh.write("subsets.yaml", subsets("v1", "v2"))
        await mesh.apply("routes.yaml", weights(50))
        load = Load()
        async with load.on(client, "http://reviews/"):
            for turn in range(ROUNDS):
                await load.goes_on(6)
                await mesh.apply("routes.yaml", weights(10 + 20 * turn))
                # Saved at the same moment: a subset that is new, and the route that needs it.
                mesh.write("subsets.yaml", subsets("v1", "v2", f"v1-{turn}"))
                await mesh.apply("routes.yaml", weights(50).replace("subset: v1", f"subset: v1-{turn}"))
                pool = f"trafficPolicy: {{connectionPool: {{tcp: {{maxConnections: {100 + turn}}}}}}}"
                mesh.write("subsets.yaml", subsets("v1", "v2", more=pool))
                await mesh.apply("routes.yaml", weights(50))
        load.only_successes()


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
async def test_endpoints_come_and_go(tmp_path: Path, delta: bool) -> None:
    """A workload that is going to end is taken out first; then nobody calls it any more."""
    async with LiveMesh(tmp_path, delta=delta, launch=launch) as mesh:
        stays = await mesh.workload("reviews", version="v1")
        client = await mesh.client()
        await mesh.settled()
        load = Load()
        async with load.on(client, "http://reviews/"):
            for turn in range(ROUNDS):
                comes: Workload = await mesh.workload("reviews", version=f"n{turn}")
                await mesh.settled()
                await client.eventually("http://reviews/", lambda _, server=comes: bool(server.requests))
                mesh.remove(f"workload-{comes.name}.yaml")
                await mesh.settled()
                await load.goes_on(2)  # what was on its way has come
                called = len(comes.requests)
                await load.goes_on(10)
                assert len(comes.requests) == called
        load.only_successes()
        assert stays.requests


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
async def test_listeners_and_gateways_change(tmp_path: Path, delta: bool) -> None:
    """Another server on the same gateway, and settings that make Envoy replace its listener."""

    def gateway(turn: int) -> str:
        return f"""
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {{name: ingress}}
        spec:
          selector: {{istio: ingressgateway}}
          servers:
            - port: {{number: {GATEWAY_PORT}, name: http, protocol: HTTP}}
              hosts: [shop.example.com, extra-{turn}.example.com]
            - port: {{number: {9000 + turn}, name: http-{turn}, protocol: HTTP}}
              hosts: ["*"]
        """

    async with LiveMesh(tmp_path, delta=delta, launch=launch) as mesh:
        await mesh.workload("reviews", version="v1")
        mesh.write(
            "routes.yaml",
            """
            apiVersion: networking.istio.io/v1
            kind: VirtualService
            metadata: {name: shop}
            spec:
              hosts: [shop.example.com]
              gateways: [ingress]
              http: [{route: [{destination: {host: reviews}}]}]
            """,
        )
        await mesh.apply("gateway.yaml", gateway(0))
        caller = await mesh.gateway()
        await mesh.settled()
        load = Load()
        async with load.on(caller, "http://shop.example.com/"):
            for turn in range(ROUNDS):
                await load.goes_on(6)
                await mesh.apply("gateway.yaml", gateway(turn))
                # Idle timeouts are settings of the listener itself.
                await mesh.apply(
                    "settings.yaml",
                    f"""
                    apiVersion: v1
                    kind: ConfigMap
                    metadata: {{name: istio, namespace: istio-system}}
                    data:
                      mesh: |
                        accessLogFile: {"/dev/null" if turn % 2 else '""'}
                    """,
                )
        load.only_successes()
        assert await caller.stat(r"listener_manager.listener_(modified|in_place_updated)$") > 0
