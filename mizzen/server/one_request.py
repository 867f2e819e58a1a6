"""Calls with one request and one answer, whose caller is checked before the request is read.

For such calls gRPC reads the request before it calls the handler, so any client could send many large ones.
A streaming handler that reads one request looks the same to the client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError

LARGEST: Final = 65536
"""Most bytes of a request."""
SECONDS: Final = 10.0
"""Longest time, in seconds, until the request arrives."""

Request = TypeVar("Request")


class RequestRefused(Exception):  # noqa: N818 - says what it does
    """A request is refused: `code` is the gRPC status, the message says why."""

    def __init__(self, code: Any, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def handler(serve: Callable[[Any], Any], encode: Callable[[Any], bytes]) -> Any:
    """Return gRPC's handler of a method; `serve` returns the answer from the context of a call."""

    async def answer(_: Any, context: Any) -> Any:
        return await serve(context)

    return grpc.stream_unary_rpc_method_handler(answer, None, encode)


async def read_request(context: Any, decode: Callable[[bytes], Request]) -> Request:
    """Return the request of a call. Raises RequestRefused if none comes in time, or it cannot be decoded."""
    try:
        async with asyncio.timeout(SECONDS):
            data = await context.read()
    except TimeoutError:
        raise RequestRefused(
            grpc.StatusCode.DEADLINE_EXCEEDED, f"no request within {SECONDS:g} s of the call"
        ) from None
    if data is grpc.aio.EOF:
        raise RequestRefused(grpc.StatusCode.INVALID_ARGUMENT, "the call has no request")
    if len(data) > LARGEST:
        raise RequestRefused(
            grpc.StatusCode.INVALID_ARGUMENT, f"the request has {len(data)} bytes; {LARGEST} are the most"
        )
    try:
        return decode(data)
    except DecodeError:
        raise RequestRefused(grpc.StatusCode.INVALID_ARGUMENT, "the request cannot be decoded") from None
