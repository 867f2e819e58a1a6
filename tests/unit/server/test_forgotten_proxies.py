"""Proxies of invented namespaces come to a server and go again, and nothing of them is left in its memory."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.server import control_plane, process
from mizzen.translator.shared.outbound import OutboundResources
from mizzen.xds import type_urls
from mizzen.xds.accepted import Accepted
from mizzen.xds.connection import StreamConnection
from mizzen.xds.group import Group
from mizzen.xds.response import ResponseContent
from mizzen.xds.served_group import ServedGroup
from mizzen.xds.snapshot import Collection, Snapshot
from mizzen.xds.stream import Stream
from tests.unit.server.running_process import SERVICE, Running, options, served

DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
PROXIES = 60
COUNTED = (
    *(Accepted, ResponseContent, Collection, StreamConnection, Group, OutboundResources),
    *(ServedGroup, SidecarScope, Snapshot, Stream),
)


@pytest.fixture(autouse=True)
def without_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What waits for the cycle collector waits for up to an hour, so it does not count as gone."""
    monkeypatch.setattr(process, "LINGER", timedelta(milliseconds=1))
    monkeypatch.setattr(control_plane, "FORGET_SECONDS", 0.0)
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> Counter[str]:
    return Counter(type(each).__name__ for each in gc.get_objects() if type(each) in COUNTED)


async def accept_everything(channel: grpc.aio.Channel, namespace: str) -> None:
    """Connect as a proxy of this namespace, and accept its clusters and listeners."""
    call = channel.stream_stream(DELTA)()
    for type_url in (type_urls.CLUSTER, type_urls.LISTENER):
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=type_url)
        request.node.id = f"sidecar~10.9.0.1~client.{namespace}~{namespace}.svc.cluster.local"
        request.node.metadata["NAMESPACE"] = namespace
        await call.write(request.SerializeToString())
        said = discovery_pb2.DeltaDiscoveryResponse.FromString(await asyncio.wait_for(call.read(), 60))
        assert said.resources
        reply = discovery_pb2.DeltaDiscoveryRequest(type_url=said.type_url, response_nonce=said.nonce)
        await call.write(reply.SerializeToString())


async def crowd(running: Running, proxies: AsyncExitStack, namespaces: list[str]) -> None:
    for namespace in namespaces:
        address = running.process.about()["grpc_addresses"][0]
        channel = await proxies.enter_async_context(grpc.aio.insecure_channel(address))
        await accept_everything(channel, namespace)
    # What was accepted is kept: it must all be there before anything is counted.
    await running.until(lambda: all(each.synced for each in running.process.discovery.clients()))


async def test_sixty_proxies_that_have_gone_leave_nothing_though_the_mesh_stays_as_it_is(
    tmp_path: Path,
) -> None:
    for number in range(10):
        (tmp_path / f"{number}.yaml").write_text(SERVICE % (f"s{number}", 8000 + number))
    others = alive()  # what this process keeps of other tests
    async with served(options(tmp_path)) as running, AsyncExitStack() as stays:
        await crowd(running, stays, ["default"])
        before = alive()
        assert (before - others)["OutboundResources"] == 1
        for number in range(2):
            async with AsyncExitStack() as proxies:
                await crowd(running, proxies, [f"invented-{number}-{each}" for each in range(PROXIES)])
                assert (alive() - before)["OutboundResources"] == PROXIES
            await running.until(lambda: not alive() - before)
