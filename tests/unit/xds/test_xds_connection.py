"""The transport of one stream, with a peer that is no network: who is written to, when, and by whom."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc
import pytest
import uvloop
from envoy.service.discovery.v3 import discovery_pb2

from mizzen.xds import Acked, Client, Event, Rejected, Snapshot, Stuck, Unordered
from mizzen.xds.connection import StreamConnection
from mizzen.xds.group import Group
from mizzen.xds.response import Dialect
from mizzen.xds.stream import Stream
from mizzen.xds.turns import Turns
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, ROUTE
from mizzen.xds.wire import ErrorDetail, SotwRequest, parse_sotw
from tests.unit.xds.xds_driver import POLICY, cluster, endpoint, route


class Wire:
    """The two directions of a stream. It takes a response only when `ready` is set."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[object] = asyncio.Queue()
        self.responses: asyncio.Queue[discovery_pb2.DiscoveryResponse] = asyncio.Queue()
        self.ready = asyncio.Event()
        self.ready.set()
        self.writing = 0

    async def read(self) -> object:
        return await self.requests.get()

    async def write(self, data: bytes) -> None:
        self.writing += 1
        assert self.writing == 1, "gRPC refuses a second writer"
        await asyncio.sleep(0)
        await self.ready.wait()
        self.writing -= 1
        self.responses.put_nowait(discovery_pb2.DiscoveryResponse.FromString(data))

    def say(self, nonce: str = "", error: str = "", type_url: str = CLUSTER) -> None:
        message = discovery_pb2.DiscoveryRequest(type_url=type_url, response_nonce=nonce)
        if error:
            message.error_detail.message = error
        self.requests.put_nowait(message.SerializeToString())

    async def answer(self) -> discovery_pb2.DiscoveryResponse:
        return await self.responses.get()

    async def accept(self) -> discovery_pb2.DiscoveryResponse:
        response = await self.answer()
        self.say(response.nonce, type_url=response.type_url)
        return response


class Peers:
    """Clients of one group, each with its connection."""

    def __init__(self, policy: Unordered | None = None) -> None:
        self.group = Group("all", Snapshot.of([cluster("a")]))
        self.connections: dict[int, StreamConnection] = {}
        self.events: list[Event] = []
        self.turns = Turns()
        self.policy = policy if policy is not None else POLICY

    def connection(self, wire: Wire) -> StreamConnection:
        number = len(self.connections)
        stream = Stream(Client(number, "node", "all"), self.group, Dialect(False), self.policy)
        connection = StreamConnection(
            wire, stream, parse_sotw, self.events.extend, self.connections, b"", self.turns
        )
        self.connections[number] = connection
        return connection

    @asynccontextmanager
    async def connected(self, *, before_run: Callable[[], object] = lambda: None) -> AsyncIterator[Wire]:
        wire = Wire()
        connection = self.connection(wire)
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            await connection.begin(SotwRequest(CLUSTER))
            before_run()
            tasks.create_task(connection.run())
            yield wire
            wire.ready.set()
            wire.requests.put_nowait(grpc.aio.EOF)

    def change(self, text: str) -> None:
        self.group.update([cluster("a", text)])
        for connection in self.connections.values():
            connection.wake()


def values(response: discovery_pb2.DiscoveryResponse) -> list[bytes]:
    return [resource.value for resource in response.resources]


async def test_what_changes_is_sent_without_a_request() -> None:
    peers = Peers()
    async with peers.connected() as wire:
        assert values(await wire.accept()) == [b"a 1"]
        while not any(isinstance(event, Acked) for event in peers.events):
            await asyncio.sleep(0)
        peers.change("2")
        assert values(await wire.answer()) == [b"a 2"]


def test_a_wait_is_measured_right_by_a_loop_that_has_whole_milliseconds() -> None:
    async def scene() -> None:
        peers = Peers()
        async with peers.connected() as wire:
            await wire.accept()
            for number in range(100):
                before = time.monotonic()
                peers.change(f"{number}")
                await wire.accept()
                while len(peers.events) < number + 3:
                    await asyncio.sleep(0)
                last = peers.events[-1]
                assert isinstance(last, Acked)
                assert last.waited <= time.monotonic() - before

    uvloop.run(scene())


async def test_what_changes_while_the_answer_is_awaited_comes_behind_it() -> None:
    peers = Peers()
    async with peers.connected() as wire:
        first = await wire.answer()
        for number in range(5):
            peers.change(str(number))
        wire.say(first.nonce)
        assert values(await wire.answer()) == [b"a 4"]


async def test_what_changes_before_the_stream_is_read_further_is_sent_too() -> None:
    peers = Peers(Unordered(answer_timeout=timedelta(days=1)))
    peers.group = Group("all")

    async with peers.connected(before_run=lambda: peers.group.set(Snapshot.of([cluster("a")]))) as wire:
        assert values(await wire.answer()) == [b"a 1"]


async def test_there_is_never_more_than_one_writer() -> None:
    peers = Peers()
    async with peers.connected() as wire:
        first = await wire.answer()
        wire.ready.clear()
        peers.change("2")
        wire.say(first.nonce)
        while not wire.writing:
            await asyncio.sleep(0)
        for _ in range(3):  # requests and changes, while a response is being written
            wire.say()
            peers.change("3")
            await asyncio.sleep(0)
        wire.ready.set()
        second = await wire.accept()
        assert values(second) == [b"a 2"]
        assert values(await wire.answer()) == [b"a 3"]


async def test_other_types_do_not_bring_a_second_writer_either() -> None:
    peers = Peers(Unordered())
    peers.group.update([endpoint("a"), route("r")])
    async with peers.connected() as wire:
        await wire.accept()
        wire.say(type_url=ENDPOINT)
        await wire.accept()
        while sum(isinstance(event, Acked) for event in peers.events) < 2:
            await asyncio.sleep(0)
        wire.ready.clear()
        peers.change("2")
        while not wire.writing:
            await asyncio.sleep(0)
        peers.group.update([endpoint("a", "2")])
        peers.connections[0].wake()
        wire.say(type_url=ROUTE)
        for _ in range(5):
            await asyncio.sleep(0)
        wire.ready.set()
        sent = [values(await wire.answer()) for _ in range(3)]
        assert sent == [[b"a 2"], [b"a 2"], [b"r 1"]]


async def test_nor_does_a_change_while_a_request_is_answered() -> None:
    peers = Peers(Unordered())
    peers.group.update([route("r")])
    async with peers.connected() as wire:
        await wire.accept()
        while not any(isinstance(event, Acked) for event in peers.events):
            await asyncio.sleep(0)
        wire.ready.clear()
        wire.say(type_url=ROUTE)
        while not wire.writing:
            await asyncio.sleep(0)
        peers.change("2")
        for _ in range(5):
            await asyncio.sleep(0)
        wire.ready.set()
        assert [values(await wire.answer()) for _ in range(2)] == [[b"r 1"], [b"a 2"]]


async def test_who_goes_does_not_wait_for_what_is_being_written() -> None:
    peers = Peers()
    wire = Wire()
    connection = peers.connection(wire)
    await connection.begin(SotwRequest(CLUSTER))
    running = asyncio.ensure_future(connection.run())
    await wire.accept()
    while not any(isinstance(event, Acked) for event in peers.events):
        await asyncio.sleep(0)
    wire.ready.clear()
    peers.change("2")
    while not wire.writing:
        await asyncio.sleep(0)
    wire.requests.put_nowait(grpc.aio.EOF)
    await asyncio.wait_for(running, 30)
    assert wire.responses.empty()


async def test_the_clock_is_set_to_what_comes_first() -> None:
    day, short = timedelta(days=1), timedelta(milliseconds=20)
    peers = Peers(Unordered(warm_timeout=day, stuck_timeout=day, answer_timeout=short))
    peers.group.update([endpoint("a")])
    async with asyncio.timeout(30), peers.connected() as wire:
        await wire.answer()  # which may take a day
        wire.say(type_url=ENDPOINT)
        await wire.answer()
        while not any(isinstance(event, Stuck) for event in peers.events):
            await asyncio.sleep(0.005)


async def test_what_one_client_refuses_is_taken_back_from_all_others() -> None:
    """At once, not with the next change."""
    peers = Peers()
    async with peers.connected() as one, peers.connected() as two, peers.connected() as three:
        wires = (one, two, three)
        for wire in wires:
            await wire.accept()
        while sum(isinstance(event, Acked) for event in peers.events) < 3:
            await asyncio.sleep(0)
        peers.change("2")
        second = await two.answer()
        for wire in (one, three):
            assert values(await wire.accept()) == [b"a 2"]
        while sum(isinstance(event, Acked) for event in peers.events) < 5:
            await asyncio.sleep(0)
        two.say(second.nonce, "it is bad")
        for wire in (one, three):
            assert values(await wire.answer()) == [b"a 1"]


async def test_events_are_told_as_they_happen() -> None:
    """Though nothing is to be sent."""
    peers = Peers()
    async with peers.connected() as wire:
        response = await wire.answer()
        wire.say(response.nonce, "it is bad")
        while not any(isinstance(event, Rejected) for event in peers.events):
            await asyncio.sleep(0)


async def test_the_clock_is_looked_at_though_nobody_says_anything() -> None:
    short = timedelta(milliseconds=20)
    peers = Peers(Unordered(warm_timeout=short, stuck_timeout=short, answer_timeout=short))
    async with peers.connected() as wire:
        await wire.answer()
        while not any(isinstance(event, Stuck) for event in peers.events):
            await asyncio.sleep(0.005)
        peers.change("2")  # the answer is not worth waiting for any more
        assert values(await wire.answer()) == [b"a 2"]
        while sum(isinstance(event, Stuck) for event in peers.events) < 2:
            await asyncio.sleep(0.005)


async def test_who_has_gone_can_be_woken() -> None:
    peers = Peers()
    async with peers.connected() as wire:
        await wire.accept()
    peers.change("2")
    await asyncio.sleep(0)
    assert wire.responses.empty()


async def test_who_goes_while_it_is_written_to_is_let_go() -> None:
    peers = Peers()
    async with peers.connected() as wire:
        first = await wire.accept()
        while not any(isinstance(event, Acked) for event in peers.events):
            await asyncio.sleep(0)
        wire.ready.clear()
        peers.change("2")
        while not wire.writing:
            await asyncio.sleep(0)
        wire.requests.put_nowait(grpc.aio.EOF)
        while wire.requests.qsize():
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert wire.responses.empty()
        assert values(first) == [b"a 1"]


async def test_a_stream_that_fails_does_not_hinder_those_that_are_woken_after_it() -> None:
    """A callback of the owner may raise; that ends the stream for which it was asked."""
    peers = Peers()
    connection = peers.connection(Wire())
    await connection.begin(SotwRequest(CLUSTER))
    failing = asyncio.ensure_future(connection.run())
    async with peers.connected() as wire:
        await wire.accept()
        while not any(isinstance(event, Acked) for event in peers.events):
            await asyncio.sleep(0)

        def fail(now: float) -> None:
            raise LookupError("by the owner")

        connection.stream.poll = fail  # type: ignore[method-assign,assignment]
        peers.change("2")
        assert values(await wire.answer()) == [b"a 2"]
        with pytest.raises(ExceptionGroup) as caught:
            await failing
        assert caught.group_contains(LookupError, match="by the owner")


async def test_a_write_that_fails_ends_nothing_but_itself() -> None:
    """The reader learns of the end of the stream, and of its reason."""
    peers = Peers()
    async with peers.connected() as wire:
        first = await wire.answer()

        async def broken(_: bytes) -> None:
            raise asyncio.InvalidStateError

        working, wire.write = wire.write, broken  # type: ignore[method-assign]
        peers.group.update([cluster("a", "2")])
        wire.say(first.nonce)
        while not any(isinstance(event, Acked) for event in peers.events):
            await asyncio.sleep(0)
        wire.write = working  # type: ignore[method-assign]
        await asyncio.sleep(0)
        assert peers.connections[0].stream.channels[CLUSTER].subscription.outstanding is not None


def test_an_error_is_what_the_client_says() -> None:
    message = discovery_pb2.DiscoveryRequest(type_url=CLUSTER)
    message.error_detail.code = 3
    message.error_detail.message = "no"
    assert parse_sotw(message.SerializeToString()).error == ErrorDetail(3, "no")
