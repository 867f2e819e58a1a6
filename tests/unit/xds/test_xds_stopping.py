"""Stopping: every stream ends at once and well, wherever its handler is just then."""

import asyncio

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.status.v3 import csds_pb2

from mizzen import xds
from mizzen.xds.services import CLIENT_STATUS_SERVICE
from mizzen.xds.type_urls import CLUSTER, ENDPOINT
from tests.unit.xds.test_xds_server import DELTA, SOTW, answer, request, running, until
from tests.unit.xds.xds_driver import cluster, endpoint

GRACE = 600.0
"""Longer than a test may take: whoever needs it fails."""

LARGE = "x" * 3_000_000
"""More than gRPC takes from the server before the client reads."""


@pytest.mark.parametrize(
    ("path", "first"),
    [(SOTW, discovery_pb2.DiscoveryRequest()), (DELTA, discovery_pb2.DeltaDiscoveryRequest())],
)
async def test_a_stream_whose_first_response_is_in_flight(path, first) -> None:
    first.node.id = "node-1"
    first.type_url = CLUSTER
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a", LARGE)]))
        call = channel.stream_stream(path)()
        await call.write(first.SerializeToString())
        await until(lambda: any(client.types[CLUSTER].pending for client in server.clients()))
        stopping = asyncio.create_task(server.stop(GRACE))
        await asyncio.sleep(0)
        assert len(await call.read()) > len(LARGE)  # what was being sent arrives whole
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
        await stopping
        assert server.clients() == []


@pytest.mark.parametrize("turns", range(6))
async def test_a_stream_at_each_moment_of_its_beginning(turns) -> None:
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a", LARGE)]))
        call = channel.stream_stream(SOTW)()
        await call.write(request())
        while not server.clients():
            await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        stopping = asyncio.create_task(server.stop(GRACE))
        while await call.read() is not grpc.aio.EOF:
            pass
        assert await call.code() is grpc.StatusCode.OK
        await stopping


async def test_a_stream_whose_later_response_is_in_flight() -> None:
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([endpoint("a")]))
        call = channel.stream_stream(SOTW)()
        await call.write(request(ENDPOINT, resource_names=["a"]))
        first = await answer(call)
        await call.write(request(ENDPOINT, None, resource_names=["a"], response_nonce=first.nonce))
        await until(lambda: server.clients()[0].synced)
        server.update("all", [endpoint("a", LARGE)])
        await until(lambda: server.clients()[0].types[ENDPOINT].pending)
        stopping = asyncio.create_task(server.stop(GRACE))
        await asyncio.sleep(0)
        assert len(await call.read()) > len(LARGE)
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
        await stopping


async def test_a_stream_that_waits_for_its_group() -> None:
    asked = asyncio.Event()

    async def on_group(key, node):
        asked.set()
        await asyncio.Event().wait()

    async with running(on_group=on_group) as (server, channel):
        call = channel.stream_stream(SOTW)()
        await call.write(request())
        await asked.wait()
        await server.stop(GRACE)
        assert await call.code() is grpc.StatusCode.OK


async def test_a_stream_that_has_said_nothing() -> None:
    async with running() as (server, channel):
        silent, talking = channel.stream_stream(SOTW)(), channel.stream_stream(SOTW)()
        await talking.write(request())
        await until(server.clients)
        # A silent stream is no client yet, and one that gRPC has not handed over would be refused as late.
        await until(lambda: len(server._handlers) == 2)
        await server.stop(GRACE)
        assert await silent.code() is grpc.StatusCode.OK
        assert await talking.code() is grpc.StatusCode.OK


async def test_a_stream_of_the_client_status_service() -> None:
    async with running() as (server, channel):
        call = channel.stream_stream(f"/{CLIENT_STATUS_SERVICE}/StreamClientStatus")()
        await call.write(csds_pb2.ClientStatusRequest().SerializeToString())
        await call.read()
        await server.stop(GRACE)
        assert await call.code() is grpc.StatusCode.OK
