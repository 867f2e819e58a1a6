"""A server of tests that runs in this process, on free ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
from envoy.service.discovery.v3 import discovery_pb2

from mizzen.server.address import Address
from mizzen.server.faults import Faults
from mizzen.server.metrics import Metrics
from mizzen.server.options import ServeOptions
from mizzen.server.process import Process

FREE = Address("127.0.0.1", 0)
NODE_ID = "router~10.0.0.7~ingress.edge~edge.svc.cluster.local"
SOTW = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{name: http, port: %s}]}\n"
GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["*"]
    tls: {mode: SIMPLE, credentialName: shop}
"""


def options(path: Path, **changes: Any) -> ServeOptions:
    return replace(ServeOptions((path,), grpc_address=FREE, admin_address=FREE, tls_address=FREE), **changes)


class Running:
    """A server that runs on this loop."""

    def __init__(self, chosen: ServeOptions) -> None:
        self.stopping = asyncio.Event()
        metrics = Metrics("test")
        self.process = Process(chosen, metrics, Faults(metrics.faults.inc))

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://{self.process.about()['admin_address']}{path}")

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.002)

    @asynccontextmanager
    async def stream(
        self, type_url: str, node_id: str = NODE_ID
    ) -> AsyncIterator[discovery_pb2.DiscoveryResponse]:
        """What a gateway is sent of a type, while it stays connected."""
        async with grpc.aio.insecure_channel(self.process.about()["grpc_addresses"][0]) as channel:
            call = channel.stream_stream(SOTW)()
            request = discovery_pb2.DiscoveryRequest(type_url=type_url)
            request.node.id = node_id
            request.node.metadata.update({"NAMESPACE": "edge", "LABELS": {"istio": "ingressgateway"}})
            await call.write(request.SerializeToString())
            yield discovery_pb2.DiscoveryResponse.FromString(await asyncio.wait_for(call.read(), 60))


@asynccontextmanager
async def served(chosen: ServeOptions, *, wait: bool = True) -> AsyncIterator[Running]:
    running = Running(chosen)
    task = asyncio.create_task(running.process.run(running.stopping))
    try:
        if wait:
            await running.until(lambda: running.process.ready or task.done())
        yield running
    finally:
        running.stopping.set()
        await asyncio.wait_for(task, 60)
