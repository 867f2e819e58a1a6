"""A client of any xDS server that keeps to the protocol, in all four variants, and remembers what it heard.

It accepts each response as soon as it comes, as the harness does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from mizzen import xds
from mizzen.xds.services import METHODS
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.conformance.adapter import MESSAGES

TYPES = {"CDS": CLUSTER, "EDS": ENDPOINT, "LDS": LISTENER, "RDS": ROUTE}


@dataclass(frozen=True)
class Variant:
    delta: bool
    aggregated: bool

    def __str__(self) -> str:
        return f"{'incremental' if self.delta else 'sotw'}-{'aggregated' if self.aggregated else 'separate'}"

    def path(self, type_url: str) -> str:
        wanted = None if self.aggregated else type_url
        return next(each.path for each in METHODS if each.delta == self.delta and each.type_url == wanted)


SOTW = (Variant(delta=False, aggregated=False), Variant(delta=False, aggregated=True))
INCREMENTAL = (Variant(delta=True, aggregated=False), Variant(delta=True, aggregated=True))
AGGREGATED = (SOTW[1], INCREMENTAL[1])
ALL = SOTW + INCREMENTAL


@dataclass(frozen=True)
class Told:
    """One response: names and, for the incremental variants, what is gone."""

    type_url: str
    version: str
    nonce: str
    names: frozenset[str]
    removed: frozenset[str] = frozenset()


class Peer:
    """One stream.

    Attributes:
        told: all responses in their order.
        requests: how many requests it sent.
        holds: by type and name, the version of the response that brought it, unless it was taken away.
        refuse: what is wrong with a response; nothing unless a test says so.
    """

    def __init__(self, channel: grpc.aio.Channel, variant: Variant, type_url: str) -> None:
        self.variant = variant
        self.told: list[Told] = []
        self.requests = 0
        self.holds: dict[tuple[str, str], str] = {}
        self.refuse: Callable[[Told], str] = lambda told: ""
        self._names: dict[str, list[str]] = {}
        self._nonces: dict[str, tuple[str, str]] = {}
        self._call = channel.stream_stream(variant.path(type_url))()
        self._writing = asyncio.Lock()
        self._came = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    # Asking

    async def subscribe(self, type_url: str, *names: str, **more: Any) -> None:
        """Ask for these names: in state of the world for no others, incrementally for these besides."""
        if self.variant.delta:
            await self._send(type_url, resource_names_subscribe=names, **more)
        else:
            self._names[type_url] = list(names)
            version, nonce = self._nonces.get(type_url, ("", ""))
            more = {"version_info": version, "response_nonce": nonce} | more
            await self._send(type_url, resource_names=names, **more)

    async def unsubscribe(self, type_url: str, *names: str) -> None:
        """Ask for these names no longer (incremental)."""
        for name in names:
            self.holds.pop((type_url, name), None)
        await self._send(type_url, resource_names_unsubscribe=names)

    async def _send(self, type_url: str, **fields: Any) -> None:
        kind = discovery_pb2.DeltaDiscoveryRequest if self.variant.delta else discovery_pb2.DiscoveryRequest
        request = kind(type_url=type_url, **fields)
        if not self.requests:
            request.node.id = "test-id"
        self.requests += 1
        async with self._writing:  # gRPC allows one write at a time
            await self._call.write(request.SerializeToString())

    # Being told

    async def _read(self) -> None:
        while (data := await self._call.read()) is not grpc.aio.EOF:
            told = self._take_delta(data) if self.variant.delta else self._take_sotw(data)
            error = self.refuse(told)
            if not error:
                self._accept(told)
            self.told.append(told)
            self._came.set()
            if error:
                await self._answer(told, error_detail={"code": 3, "message": error})
            else:
                await self._answer(told)

    @staticmethod
    def _take_sotw(data: bytes) -> Told:
        message = discovery_pb2.DiscoveryResponse.FromString(data)
        parse = MESSAGES[message.type_url].FromString
        resources = [parse(each.value) for each in message.resources]
        names = [getattr(each, "cluster_name", "") or each.name for each in resources]
        assert len(names) == len(set(names)), f"the same name twice: {names}"
        return Told(message.type_url, message.version_info, message.nonce, frozenset(names))

    @staticmethod
    def _take_delta(data: bytes) -> Told:
        message = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
        names = [each.name for each in message.resources]
        assert len(names) == len(set(names)), f"the same name twice: {names}"
        removed = frozenset(message.removed_resources)
        return Told(message.type_url, message.system_version_info, message.nonce, frozenset(names), removed)

    def _accept(self, told: Told) -> None:
        if not self.variant.delta and told.type_url in (CLUSTER, LISTENER):
            for key in [key for key in self.holds if key[0] == told.type_url and key[1] not in told.names]:
                del self.holds[key]  # a response of these types says all that there is
        for name in told.names:
            self.holds[told.type_url, name] = told.version
        for name in told.removed:
            self.holds.pop((told.type_url, name), None)

    async def _answer(self, told: Told, **more: Any) -> None:
        version = self._nonces.get(told.type_url, ("", ""))[0] if more else told.version
        self._nonces[told.type_url] = (version, told.nonce)
        if self.variant.delta:
            await self._send(told.type_url, response_nonce=told.nonce, **more)
        else:
            names = self._names.get(told.type_url, [])
            await self._send(
                told.type_url, resource_names=names, version_info=version, response_nonce=told.nonce, **more
            )

    def held(self, type_url: str) -> dict[str, str]:
        """Names of a type with their versions."""
        return {name: version for (url, name), version in self.holds.items() if url == type_url}

    async def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for a response that makes it true."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._came.clear()
                await self._came.wait()

    async def until_held(self, type_url: str, versions: dict[str, str]) -> None:
        """Wait until exactly this is held."""
        try:
            await self.until(lambda: self.held(type_url) == versions)
        except TimeoutError:
            raise AssertionError(f"{self.held(type_url)} instead of {versions}: {self.told}") from None

    async def ended(self) -> None:
        """Wait for the end of the stream; raises what ended it."""
        async with asyncio.timeout(60):
            await asyncio.shield(self._reader)

    def close(self) -> None:
        """End the stream."""
        self._reader.cancel()
        self._call.cancel()


async def quiet(server: xds.Server, *peers: Peer) -> None:
    """Wait until the server has every answer and nothing more to say; what it says needlessly it has said."""
    async with asyncio.timeout(60):
        while True:
            before = [(len(peer.told), peer.requests) for peer in peers]
            clients = server.clients()
            pending = any(each.pending for client in clients for each in client.types.values())
            sent = sum(each.responses for client in clients for each in client.types.values())
            await asyncio.sleep(0.03)
            after = [(len(peer.told), peer.requests) for peer in peers]
            if before == after and not pending and sent == sum(told for told, _ in after):
                return
