"""A bare server that gives one Envoy prepared resources and can exchange its routes: the floor of (c)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
from envoy.config.route.v3 import route_pb2
from envoy.service.discovery.v3 import discovery_pb2

from benchmarks.xds_exchange import PATH
from mizzen.translator.translation import ProxyResources
from mizzen.xds import type_urls


class EnvoyFloor:
    """Answers each type once with everything, and then only what it is told to send."""

    def __init__(self, resources: ProxyResources) -> None:
        self._resources = resources
        self._context: Any = None
        self._nonce = 0
        self._waiting: dict[str, asyncio.Event] = {}
        self._server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
        handler = grpc.stream_stream_rpc_method_handler(self._stream)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(PATH[0], {PATH[1]: handler}),)
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def stop(self) -> None:
        """End the stream and stop listening."""
        await self._server.stop(0)

    async def _stream(self, _requests: Any, context: Any) -> None:
        self._context = context
        while (data := await context.read()) is not grpc.aio.EOF:
            request = discovery_pb2.DiscoveryRequest.FromString(data)
            assert not request.error_detail.message, request.error_detail.message
            waiting = self._waiting.pop(request.response_nonce, None)
            if waiting is not None:
                waiting.set()
            # An empty nonce opens a type; more names than before are a new question.
            held = self._resources.get(request.type_url, {})
            names = [name for name in request.resource_names if name in held] or list(held)
            asks = not request.response_nonce or (request.type_url == type_urls.ENDPOINT and waiting is None)
            if asks:
                await self._send(request.type_url, [held[name].value for name in names])

    async def _send(self, type_url: str, values: list[bytes]) -> asyncio.Event:
        self._nonce += 1
        nonce = str(self._nonce)
        message = discovery_pb2.DiscoveryResponse(version_info=nonce, nonce=nonce, type_url=type_url)
        for value in values:
            message.resources.add(type_url=type_url, value=value)
        event = self._waiting[nonce] = asyncio.Event()
        await self._context.write(message.SerializeToString())
        return event

    async def seconds_to_ack(self, routes: list[route_pb2.RouteConfiguration]) -> float:
        """Send route configurations and return the seconds until Envoy has accepted them."""
        values = [route.SerializeToString() for route in routes]
        began = time.perf_counter()
        event = await self._send(type_urls.ROUTE, values)
        await event.wait()
        return time.perf_counter() - began
