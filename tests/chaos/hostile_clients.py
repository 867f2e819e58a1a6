"""Clients that mean no good, in a process of their own: `python -m tests.chaos.hostile_clients KIND ADDRESS`.

It prints `attacking` when all of them have begun, and goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from collections.abc import Awaitable, Callable

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from mizzen.xds import type_urls

_DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_NAMES = 160_000
_LARGE = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


class Client:
    """One delta stream of an invented sidecar, on a connection of its own."""

    def __init__(self, address: str, number: int, *, region: str = "", namespace: str = "default") -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_LARGE)
        self._call = self._channel.stream_stream(
            _DELTA,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )()
        self._first = discovery_pb2.DeltaDiscoveryRequest()
        name = f"hostile-{number}"
        self._first.node.id = f"sidecar~10.9.0.{number}~{name}.{namespace}~{namespace}.svc.cluster.local"
        self._first.node.locality.region = region

    async def ask(self, type_url: str, names: tuple[str, ...] = ()) -> None:
        """Subscribe to names of a type, or to all."""
        request, self._first = self._first, discovery_pb2.DeltaDiscoveryRequest()
        request.type_url = type_url
        request.resource_names_subscribe.extend(names)
        await self._call.write(request)

    async def answer_all(self, *, refuse: bool) -> None:
        """Accept every response, or refuse every one, until the stream ends."""
        while (response := await self._call.read()) is not grpc.aio.EOF:
            request = discovery_pb2.DeltaDiscoveryRequest(
                type_url=response.type_url, response_nonce=response.nonce
            )
            if refuse:
                request.error_detail.code = 13
                request.error_detail.message = "I take nothing"
            await self._call.write(request)


async def _refuse(address: str) -> list[Awaitable[None]]:
    clients = [Client(address, number) for number in range(50)]
    for client in clients:
        await client.ask(type_urls.CLUSTER)
        await client.ask(type_urls.LISTENER)
    return [client.answer_all(refuse=True) for client in clients]


async def _ask_for_many_names(address: str) -> list[Awaitable[None]]:
    names = tuple(f"outbound|{each}||invented.internal" for each in range(_NAMES))
    clients = []
    for number in range(4):
        clients.append(Client(address, number))  # it has 5 s to ask for something
        await clients[-1].ask(type_urls.ENDPOINT, names)
    return [client.answer_all(refuse=False) for client in clients]


async def _invent_localities(address: str) -> list[Awaitable[None]]:
    clients = [Client(address, number, region=f"region-{number}") for number in range(20)]
    for client in clients:
        await client.ask(type_urls.CLUSTER)
        await client.ask(type_urls.LISTENER)
    return [client.answer_all(refuse=False) for client in clients]


async def _invent_namespaces(address: str) -> list[Awaitable[None]]:
    async def come_and_go(first: int) -> None:
        number = first
        while True:
            client = Client(address, number % 250, namespace=f"invented-{number}")
            await client.ask(type_urls.CLUSTER)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(client.answer_all(refuse=False), 0.2)
            number += 4

    return [come_and_go(first) for first in range(4)]


async def _never_read(address: str) -> list[Awaitable[None]]:
    waiting = []
    for number in range(20):
        client = Client(address, number)
        for type_url in (type_urls.CLUSTER, type_urls.LISTENER, type_urls.ROUTE):
            await client.ask(type_url)
        waiting.append(client)

    async def hold() -> None:
        await asyncio.Event().wait()
        waiting.clear()  # until then nobody may collect them

    return [hold()]


async def _send_garbage(address: str) -> list[Awaitable[None]]:
    chance = random.Random(10)
    host, _, port = address.partition(":")
    beginnings = (b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01")

    async def send() -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(chance.choice(beginnings) + chance.randbytes(chance.randrange(20_000)))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(), chance.uniform(0.0, 0.2))
                writer.transport.abort()

    return [send() for _ in range(10)]


async def _stay_half_open(address: str) -> list[Awaitable[None]]:
    host, _, port = address.partition(":")
    beginnings = (b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")

    async def hold(number: int) -> None:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(beginnings[number % 2])
        await asyncio.Event().wait()

    return [hold(number) for number in range(300)]


KINDS: dict[str, Callable[[str], Awaitable[list[Awaitable[None]]]]] = {
    "refuse-all": _refuse,
    "ask-for-many-names": _ask_for_many_names,
    "invent-localities": _invent_localities,
    "invent-namespaces": _invent_namespaces,
    "never-read": _never_read,
    "send-garbage": _send_garbage,
    "half-open": _stay_half_open,
}


async def _main(kind: str, address: str) -> None:
    clients = await KINDS[kind](address)
    print("attacking", flush=True)
    await asyncio.gather(*clients)


if __name__ == "__main__":
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
    asyncio.run(_main(*sys.argv[1:]))
