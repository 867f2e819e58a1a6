"""Forwarding the Envoy's aggregated stream to the control plane, with the agent's credentials.

Stock Envoy cannot read a token for its control plane from a file, so the agent adds it, as Istio's does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHODS: Final = ("StreamAggregatedResources", "DeltaAggregatedResources")

Upstream = Callable[[], tuple[Any, tuple[tuple[str, str], ...]]]
"""Returns the channel to the control plane, and the metadata that a call needs."""


def attach(grpc_server: Any, upstream: Upstream) -> None:
    """Add the aggregated service to a server; it must be added before the service that serves secrets."""
    handlers = {name: grpc.stream_stream_rpc_method_handler(_handler(name, upstream)) for name in METHODS}
    grpc_server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


def _handler(name: str, upstream: Upstream) -> Any:
    async def serve(_: Any, context: Any) -> None:
        channel, metadata = upstream()
        call = channel.stream_stream(f"/{SERVICE}/{name}")(metadata=metadata)
        asking = asyncio.ensure_future(_ask(context, call))
        try:
            while (response := await call.read()) is not grpc.aio.EOF:
                await context.write(response)
            code, details = await call.code(), await call.details()
        except grpc.aio.AioRpcError as error:
            code, details = error.code(), error.details() or ""
        finally:
            asking.cancel()
            call.cancel()
        if code is not grpc.StatusCode.OK:
            await context.abort(code, details)

    return serve


async def _ask(context: Any, call: Any) -> None:
    """Forward the Envoy's requests until the Envoy or the control plane closes the stream."""
    try:
        while (request := await context.read()) is not grpc.aio.EOF:
            await call.write(request)
        await call.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return  # reading the responses reports the reason
