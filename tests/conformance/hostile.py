"""What clients that mean harm do to the server: `python -m tests.conformance.hostile [seconds]`.

A server in a process of its own serves a thousand clusters and their endpoints. One client after the other
attacks it for some seconds. Meanwhile a good client answers a change every 20 ms. Printed are the requests
that the attacker got rid of, the server's memory before, at most and after it, and how long the good client
had to wait, at the median and at worst. All three are processes of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from mizzen import xds
from mizzen.xds.type_urls import CLUSTER, ENDPOINT

SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
Attack = Callable[[grpc.aio.Channel, asyncio.Event], Awaitable[int]]
_numbers = count()


async def serve() -> None:
    """The server: says its port, then changes one endpoint every 20 ms."""
    server = xds.Server(lambda node, peer: node.cluster or "all")
    names = [xds.Resource(ENDPOINT, f"service-{n}", b"x" * 200) for n in range(1000)]
    clusters = [xds.Resource(CLUSTER, f"service-{n}", b"x" * 500) for n in range(1000)]
    server.set_snapshot("all", xds.Snapshot.of(names + clusters))
    print(await server.start("127.0.0.1:0"), flush=True)
    for number in count():
        await asyncio.sleep(0.02)
        server.update("all", [xds.Resource(ENDPOINT, "pulse", f"{time.monotonic()} {number}".encode())])


def first(type_url: str, **fields: Any) -> discovery_pb2.DeltaDiscoveryRequest:
    """A first request of a new node."""
    request = discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, **fields)
    request.node.id = f"hostile-{next(_numbers)}"
    return request


def more(type_url: str, **fields: Any) -> bytes:
    """A later request."""
    return bytes(discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, **fields).SerializeToString())


async def read(call: Any) -> None:
    """Whatever comes."""
    while await call.read() is not grpc.aio.EOF:
        pass


async def names_come_and_go(channel: grpc.aio.Channel, over: asyncio.Event) -> int:
    """100,000 names at a time, again and again; what is said to it, it reads and does not answer."""
    call = channel.stream_stream(SERVICE + "DeltaAggregatedResources")()
    sent = 0
    await call.write(first(ENDPOINT, resource_names_subscribe=["service-1"]).SerializeToString())
    reading = asyncio.create_task(read(call))
    while not over.is_set():
        names = [f"{sent}-{n}" for n in range(100_000)]
        await call.write(more(ENDPOINT, resource_names_subscribe=names))
        await call.write(more(ENDPOINT, resource_names_unsubscribe=names))
        sent += 2
    reading.cancel()
    call.cancel()
    return sent


async def small_requests(channel: grpc.aio.Channel, over: asyncio.Event) -> int:
    """As many as can be, with nothing in them."""
    call = channel.stream_stream(SERVICE + "DeltaAggregatedResources")()
    await call.write(first(ENDPOINT, resource_names_subscribe=["service-1"]).SerializeToString())
    sent = 0
    request = more(ENDPOINT)
    while not over.is_set():
        await call.write(request)
        sent += 1
    call.cancel()
    return sent


async def never_reads(channel: grpc.aio.Channel, over: asyncio.Event) -> int:
    """Asks for everything again, on twenty streams, and reads nothing."""
    calls = [channel.stream_stream(SERVICE + "DeltaAggregatedResources")() for _ in range(20)]
    for call in calls:
        await call.write(first(CLUSTER).SerializeToString())
    sent = 0

    async def flood(call: Any) -> None:
        nonlocal sent
        while True:
            await call.write(more(CLUSTER, resource_names_subscribe=["*"]))
            sent += 1

    floods = [asyncio.create_task(flood(call)) for call in calls]
    await over.wait()
    for each in floods:
        each.cancel()
    for call in calls:
        call.cancel()
    return sent


async def come_and_go(channel: grpc.aio.Channel, over: asyncio.Event) -> int:
    """A new node with a new group and a new type each time, which refuses what it gets, at great length."""
    sent = 0

    async def one() -> None:
        nonlocal sent
        while not over.is_set():
            call = channel.stream_stream(SERVICE + "DeltaAggregatedResources")()
            request = first(ENDPOINT, resource_names_subscribe=[f"missing-{sent}"])
            await call.write(request.SerializeToString())
            data = discovery_pb2.DeltaDiscoveryResponse.FromString(await call.read())
            nack = discovery_pb2.DeltaDiscoveryRequest(type_url=ENDPOINT, response_nonce=data.nonce)
            nack.error_detail.message = f"{sent} " + "no " * 300_000
            await call.write(nack.SerializeToString())
            await call.write(more(f"type.googleapis.com/{sent}"))
            other = channel.stream_stream(SERVICE + "DeltaAggregatedResources")()
            unknown = first(CLUSTER)
            unknown.node.cluster = f"group-{sent}"
            await other.write(unknown.SerializeToString())
            call.cancel()
            other.cancel()
            sent += 1

    await asyncio.gather(*(one() for _ in range(10)))
    return sent


async def silent_streams(channel: grpc.aio.Channel, over: asyncio.Event) -> int:
    """Opens streams and says nothing."""
    calls = []
    while not over.is_set():
        call = channel.stream_stream(SERVICE + "StreamAggregatedResources")()
        await call.wait_for_connection() if not calls else None
        calls.append(call)
        await asyncio.sleep(0.002)
    for call in calls:
        call.cancel()
    return len(calls)


async def a_thousand_at_once(channel: grpc.aio.Channel, over: asyncio.Event) -> int:
    """A thousand clients that hold nothing come in the same moment, as after an outage, and read late. Each
    is owed 0.5 MB.
    """
    calls = [channel.stream_stream(SERVICE + "DeltaAggregatedResources")() for _ in range(1000)]
    for call in calls:
        await call.write(first(CLUSTER).SerializeToString())
    await asyncio.sleep(1)
    for call in calls:
        response = discovery_pb2.DeltaDiscoveryResponse.FromString(await call.read())
        assert len(response.resources) == 1000
        await call.write(more(CLUSTER, response_nonce=response.nonce))
    await over.wait()
    for call in calls:
        call.cancel()
    return len(calls)


ATTACKS: dict[str, Attack] = {
    each.__name__: each
    for each in (
        names_come_and_go,
        small_requests,
        never_reads,
        come_and_go,
        silent_streams,
        a_thousand_at_once,
    )
}


class Good:
    """A client that answers each change; remembers how late it was told."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.delays: list[float] = []
        self._call = channel.stream_stream(SERVICE + "DeltaAggregatedResources")()

    async def run(self) -> None:
        await self._call.write(first(ENDPOINT, resource_names_subscribe=["pulse"]).SerializeToString())
        while (data := await self._call.read()) is not grpc.aio.EOF:
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
            for each in response.resources:
                self.delays.append(time.monotonic() - float(each.resource.value.split()[0]))
            await self._call.write(more(ENDPOINT, response_nonce=response.nonce))


def memory(process: subprocess.Popen[str]) -> float:
    """Megabytes that the server holds."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def start(*arguments: str) -> subprocess.Popen[str]:
    """A server or an attacker in a process of its own."""
    command = [sys.executable, "-m", "tests.conformance.hostile", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def attack(name: str, target: str, seconds: float) -> None:
    """One attack; says how many requests it sent."""
    async with grpc.aio.insecure_channel(target) as channel:
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, over.set)
        print(await ATTACKS[name](channel, over))


@dataclass(frozen=True)
class Damage:
    """What an attack did. Memory is the server's, in megabytes; `delays` are the good client's, in
    seconds.
    """

    requests: int
    before: float
    most: float
    after: float
    delays: list[float]


async def measure(name: str, seconds: float) -> Damage:
    """One attack on a new server."""
    server = start("--serve")
    assert server.stdout is not None
    target = f"127.0.0.1:{int(server.stdout.readline())}"
    attacker = None
    try:
        async with grpc.aio.insecure_channel(target) as channel:
            good = Good(channel)
            running = asyncio.create_task(good.run())
            await asyncio.sleep(1)
            before, quiet = memory(server), len(good.delays)
            attacker = start("--attack", name, target, str(seconds))
            most = before
            while attacker.poll() is None:
                await asyncio.sleep(0.1)
                most = max(most, memory(server))
            during = good.delays[quiet:]
            await asyncio.sleep(1)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            assert attacker.stdout is not None
            sent = int(attacker.stdout.read())
            return Damage(sent, before, most, memory(server), during)
    finally:
        for process in (attacker, server):
            if process is not None:
                process.kill()
                process.wait()


async def main(seconds: float) -> None:
    """All attacks, one after the other."""
    print(
        f"{'attack':20s} {'requests':>9s} {'MB':>8s} {'at most':>8s} {'after':>8s} {'ms':>8s} {'worst':>8s}"
    )
    for name in ATTACKS:
        damage = await measure(name, seconds)
        sizes = f"{damage.before:8.0f} {damage.most:8.0f} {damage.after:8.0f}"
        waits = f"{1000 * median(damage.delays):8.1f} {1000 * max(damage.delays):8.1f}"
        print(f"{name:20s} {damage.requests:9d} {sizes} {waits}", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--serve"]:
            asyncio.run(serve())
        case ["--attack", name, target, seconds]:
            asyncio.run(attack(name, target, float(seconds)))
        case _:
            asyncio.run(main(float(sys.argv[1]) if sys.argv[1:] else 5.0))
