"""Proxies that proved who they are and mean harm all the same: others are served as before."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from mizzen import xds
from tests.unit.server.running_process import SERVICE, SOTW
from tests.unit.server.test_channel import Channel, channel

DELTA = SOTW.replace("StreamAggregated", "DeltaAggregated")
MILLION = 1_000_000


def node_of(request: Any, namespace: str) -> Any:
    request.node.id = f"sidecar~10.0.0.7~proxy.{namespace}~{namespace}.svc.cluster.local"
    request.node.metadata.update({"NAMESPACE": namespace})
    return request


def stream_of(control: Channel, connection: grpc.aio.Channel, namespace: str, method: str) -> Any:
    token = control.token(namespace, "account")
    return connection.stream_stream(method)(metadata=(("authorization", f"Bearer {token}"),))


async def asks_for_a_million_names(control: Channel) -> str:
    async with control.connect() as connection:
        call = stream_of(control, connection, "greedy", DELTA)
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=xds.type_urls.ENDPOINT)
        request.resource_names_subscribe.extend(map(str, range(MILLION)))
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(node_of(request, "greedy").SerializeToString())
        return (await call.code()).name


async def never_reads(control: Channel) -> None:
    async with control.connect() as connection:
        call = stream_of(control, connection, "deaf", SOTW)
        request = node_of(discovery_pb2.DiscoveryRequest(type_url=xds.type_urls.CLUSTER), "deaf")
        await call.write(request.SerializeToString())
        await asyncio.Event().wait()


async def floods(control: Channel) -> None:
    async with control.connect() as connection:
        call = stream_of(control, connection, "loud", SOTW)
        request = node_of(discovery_pb2.DiscoveryRequest(type_url=xds.type_urls.CLUSTER), "loud")
        reading = asyncio.create_task(call.read())
        try:
            while True:
                await call.write(request.SerializeToString())
        finally:
            reading.cancel()


async def test_a_good_proxy_is_served_beside_hostile_ones(tmp_path: Path) -> None:
    def prepare(folder: Path) -> None:
        (folder / "service.yaml").write_text(SERVICE % ("before", 80))

    async with channel(tmp_path, prepare=prepare) as control, control.connect() as connection:
        good = stream_of(control, connection, "shop", SOTW)
        request = node_of(discovery_pb2.DiscoveryRequest(type_url=xds.type_urls.CLUSTER), "shop")
        await good.write(request.SerializeToString())
        first = discovery_pb2.DiscoveryResponse.FromString(await asyncio.wait_for(good.read(), 60))
        assert any(b"before" in each.value for each in first.resources)
        answer = discovery_pb2.DiscoveryRequest(
            type_url=first.type_url, version_info=first.version_info, response_nonce=first.nonce
        )
        await good.write(answer.SerializeToString())
        hostile = [
            *(asyncio.create_task(never_reads(control)) for _ in range(5)),
            *(asyncio.create_task(floods(control)) for _ in range(2)),
        ]
        try:
            assert await asyncio.wait_for(asks_for_a_million_names(control), 60) == "INVALID_ARGUMENT"
            (tmp_path / "mesh" / "service.yaml").write_text(SERVICE % ("after", 80))
            async with asyncio.timeout(60):
                while not any(
                    b"after" in each.value
                    for each in discovery_pb2.DiscoveryResponse.FromString(await good.read()).resources
                ):
                    pass
        finally:
            for each in hostile:
                each.cancel()
            await asyncio.gather(*hostile, return_exceptions=True)
