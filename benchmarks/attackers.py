"""Clients that cost a control plane as much as they can, in a process of their own.

    python -m benchmarks.attackers refusing|naming|inventing HOST:PORT

They go on until they are ended. "attacking" is printed when all of them have had their first response.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format

from mizzen.xds import type_urls

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_NAMES = 160_000
_PAUSE = 1.0

Said = Callable[[], None]


class _Stream:
    """One stream of a client that says what it likes."""

    def __init__(self, channel: grpc.aio.Channel, name: str, region: str = "") -> None:
        self._call = channel.stream_stream(
            _METHOD,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )()
        self._node: dict[str, Any] | None = {
            "id": f"sidecar~10.9.0.1~{name}.namespace-0~namespace-0.svc.cluster.local",
            "metadata": {"NAMESPACE": "namespace-0"},
            "locality": {"region": region},
        }

    async def say(self, type_url: str, **fields: Any) -> None:
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, **fields)
        if self._node is not None:
            json_format.ParseDict(self._node, request.node)
            self._node = None
        await self._call.write(request)

    async def hear(self) -> Any:
        """The next response; raises EOFError at the end of the stream."""
        response = await self._call.read()
        if response is grpc.aio.EOF:
            raise EOFError
        return response

    def leave(self) -> None:
        self._call.cancel()


async def refusing(channel: grpc.aio.Channel, number: int, said: Said) -> None:
    """Refuse every response without a word of what is wrong with it."""
    stream = _Stream(channel, f"refusing-{number}")
    await stream.say(type_urls.CLUSTER)
    await stream.say(type_urls.LISTENER)
    while True:
        response = await stream.hear()
        said()
        await stream.say(
            response.type_url,
            response_nonce=response.nonce,
            error_detail={"code": 3, "message": "Proto constraint validation failed"},
        )


async def naming(channel: grpc.aio.Channel, number: int, said: Said) -> None:
    """Ask for very many names that do not exist, give them up and ask for others, again and again."""
    stream = _Stream(channel, f"naming-{number}")
    for attempt in itertools.count():
        names = [f"outbound|80||invented-{attempt}-{each}" for each in range(_NAMES)]
        await stream.say(type_urls.ENDPOINT, resource_names_subscribe=names)
        missing = len(names)
        while missing > 0:
            response = await stream.hear()
            said()
            missing -= len(response.resources) + len(response.removed_resources)
            await stream.say(type_urls.ENDPOINT, response_nonce=response.nonce)
        await stream.say(type_urls.ENDPOINT, resource_names_unsubscribe=names)


async def inventing(channel: grpc.aio.Channel, number: int, said: Said) -> None:
    """Come from a place where no proxy ever was, go, and come from another."""
    for attempt in itertools.count():
        name = f"inventing-{number}-{attempt}"
        stream = _Stream(channel, name, region=name)
        await stream.say(type_urls.CLUSTER)
        await stream.hear()
        said()
        stream.leave()
        await asyncio.sleep(_PAUSE)


ATTACKERS: dict[str, tuple[Callable[[grpc.aio.Channel, int, Said], Awaitable[None]], int]] = {
    "refusing": (refusing, 50),
    "naming": (naming, 4),
    "inventing": (inventing, 20),
}
"""What they do, and how many of them there are."""


async def attack(kind: str, address: str) -> None:
    """Attack until cancelled."""
    behave, count = ATTACKERS[kind]
    waiting = set(range(count))

    def said(number: int) -> None:
        if number in waiting:
            waiting.discard(number)
            if not waiting:
                print("attacking", flush=True)

    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            channel = grpc.aio.insecure_channel(
                address,
                options=[
                    ("grpc.use_local_subchannel_pool", 1),
                    ("grpc.max_receive_message_length", -1),
                ],
            )
            tasks.create_task(_behave(behave, channel, number, partial(said, number)))


async def _behave(
    behave: Callable[[grpc.aio.Channel, int, Said], Awaitable[None]],
    channel: grpc.aio.Channel,
    number: int,
    said: Said,
) -> None:
    """Begin anew whenever the server ends the stream."""
    while True:
        try:
            await behave(channel, number, said)
        except (EOFError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await asyncio.sleep(_PAUSE)


if __name__ == "__main__":
    asyncio.run(attack(sys.argv[1], sys.argv[2]))
