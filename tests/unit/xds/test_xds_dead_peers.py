"""A peer that vanishes without a word: its machine lost power, a firewall forgot the connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc

from mizzen import xds
from tests.unit.xds.test_xds_server import DEADLINE, SOTW, request, until
from tests.unit.xds.xds_driver import cluster


class Wire:
    """Carries bytes between a client and a server until it is cut; neither of them sees its end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._whole = asyncio.Event()
        self._whole.set()
        self._writers: list[asyncio.StreamWriter] = []
        self.to_client = 0
        self.to_server = 0

    def cut(self) -> None:
        self._whole.clear()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, server_writer]
        await asyncio.gather(self._to_server(reader, server_writer), self._to_client(server_reader, writer))

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._whole.wait()
            writer.write(data)
            self.to_server += len(data)

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._whole.wait()
            writer.write(data)
            self.to_client += len(data)

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


SECOND = timedelta(seconds=1)


@asynccontextmanager
async def wired(keepalive_timeout: timedelta) -> AsyncIterator[tuple[xds.Server, Wire, list[xds.Event]]]:
    """A server that asks once a second for a sign of life, and a client that has its first response."""
    events: list[xds.Event] = []
    limits = xds.Limits(keepalive=SECOND, keepalive_timeout=keepalive_timeout)
    server = xds.Server(lambda node, peer: "all", on_event=events.append, limits=limits)
    server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
    port = await server.start("127.0.0.1:0")
    try:
        async with asyncio.timeout(DEADLINE), wire_to(port) as (wire, entrance):
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{entrance}", options=options) as channel:
                call = channel.stream_stream(SOTW)()
                await call.write(request())
                await call.read()
                yield server, wire, events
    finally:
        await server.stop(0)


async def test_its_stream_ends_when_it_gives_no_sign_of_life() -> None:
    async with wired(SECOND) as (server, wire, events):
        wire.cut()
        await until(lambda: not server.clients())
        assert isinstance(events[-1], xds.Disconnected)


async def test_the_living_are_asked_answer_and_stay() -> None:
    async with wired(timedelta(minutes=10)) as (server, wire, _):
        for _ in range(2):
            asked, answered = wire.to_client, wire.to_server
            # Nothing else is said, and a PING has 17 bytes (RFC 9113, 6.7).
            await until(lambda a=asked, b=answered: wire.to_client >= a + 17 and wire.to_server >= b + 17)
        assert len(server.clients()) == 1
