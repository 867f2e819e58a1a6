"""A peer that vanishes without a word: its machine lost power, a firewall forgot the connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc
from test_xds_server import SOTW, request, until
from xds_driver import cluster

from mizzen import xds


class Wire:
    """Carries bytes between a client and a server until it is cut; neither of them sees its end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._whole = asyncio.Event()
        self._whole.set()
        self._writers: list[asyncio.StreamWriter] = []

    def cut(self) -> None:
        self._whole.clear()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, server_writer]
        await asyncio.gather(self._pump(reader, server_writer), self._pump(server_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._whole.wait()
            writer.write(data)

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def wire_to(port: int) -> AsyncIterator[tuple[Wire, int]]:
    wire = Wire(port)
    listening = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    try:
        yield wire, listening.sockets[0].getsockname()[1]
    finally:
        wire.cut()
        wire.close()
        listening.close()


async def test_its_stream_ends_when_it_gives_no_sign_of_life() -> None:
    events: list[xds.Event] = []
    second = timedelta(seconds=1)
    server = xds.Server(
        lambda node: "all",
        on_event=events.append,
        limits=xds.Limits(keepalive=second, keepalive_timeout=second),
    )
    server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
    port = await server.start("127.0.0.1:0")
    try:
        async with asyncio.timeout(20), wire_to(port) as (wire, entrance):
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{entrance}", options=options) as channel:
                call = channel.stream_stream(SOTW)()
                await call.write(request())
                await call.read()
                await asyncio.sleep(2.5)  # the living are asked, answer, and stay
                assert len(server.clients()) == 1
                wire.cut()
                await until(lambda: not server.clients())
                assert isinstance(events[-1], xds.Disconnected)
    finally:
        await server.stop(0)
