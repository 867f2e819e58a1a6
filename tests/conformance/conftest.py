"""A server with the adapter beside it, and clients in every variant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from mizzen import xds
from tests.conformance import adapter
from tests.conformance.peer import Peer, Variant, quiet


class Target:
    """The server under test, told what to serve through the adapter, as the harness tells it."""

    def __init__(self, server: xds.Server, protos: Any, control: Any, channel: grpc.aio.Channel) -> None:
        self.server = server
        self._protos = protos
        self._control = control
        self._channel = channel
        self.peers: list[Peer] = []

    def peer(self, variant: Variant, type_url: str) -> Peer:
        """A new client."""
        self.peers.append(Peer(self._channel, variant, type_url))
        return self.peers[-1]

    async def serve(self, types: tuple[str, ...], names: str, version: str = "1") -> None:
        """Serve these names of each type and nothing else."""
        request = self._protos.SetStateRequest(node="test-id", version=version)
        for type_url in types:
            for name in names.split(","):
                message = adapter.MESSAGES[type_url]()
                setattr(message, "cluster_name" if hasattr(message, "cluster_name") else "name", name)
                request.resources.append(AnyMessage(type_url=type_url, value=message.SerializeToString()))
        assert (await self._control.SetState(request)).success

    def _request(self, type_url: str, name: str, version: str) -> Any:
        return self._protos.ResourceRequest(
            node="test-id", typeUrl=type_url, resourceName=name, version=version
        )

    async def update(self, type_url: str, name: str, version: str) -> None:
        """Another version of one resource."""
        assert (await self._control.UpdateResource(self._request(type_url, name, version))).success

    async def add(self, type_url: str, name: str, version: str) -> None:
        """One resource more."""
        assert (await self._control.AddResource(self._request(type_url, name, version))).success

    async def remove(self, type_url: str, name: str, version: str) -> None:
        """One resource less."""
        assert (await self._control.RemoveResource(self._request(type_url, name, version))).success

    async def heard(self, type_url: str, *names: str) -> None:
        """Wait until the server knows that the only client asks for these names and no others."""
        async with asyncio.timeout(60):
            while self.server.clients()[0].types[type_url].names != set(names):
                await asyncio.sleep(0.005)

    async def quiet(self) -> None:
        """Wait until nothing more is said; then no client was told anything in answer to its last ACK."""
        await quiet(self.server, *self.peers)
        for peer in self.peers:
            assert peer.requests > len(peer.told), "an ACK was answered"
            nonces = [told.nonce for told in peer.told]
            assert len(nonces) == len(set(nonces)), f"a nonce was used twice: {nonces}"


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    policy = xds.MakeBeforeBreak(grace=timedelta(seconds=0.05))
    server, control, port, xds_port = await adapter.start("127.0.0.1:0", "127.0.0.1:0", policy)
    protos, services = adapter.load_protocol()
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as one,
        grpc.aio.insecure_channel(f"127.0.0.1:{xds_port}") as other,
    ):
        found = Target(server, protos, services.AdapterStub(one), other)
        yield found
        for peer in found.peers:
            peer.close()
    await server.stop(0)
    await control.stop(0)
