"""A client that goes while a change comes: the change reaches everyone else."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from mizzen.xds.connection import StreamConnection
from mizzen.xds.turns import Turns


class Silence:
    """A client that says nothing, and takes nothing after the first answer until its stream is cancelled."""

    def __init__(self) -> None:
        self.writing = asyncio.Event()
        self._greeted = False

    async def read(self) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    async def write(self, _: bytes) -> None:
        if not self._greeted:
            # The first answer carries the headers; gRPC, not we, breaks it off.
            self._greeted = True
            return
        self.writing.set()
        await asyncio.Event().wait()


class Chatter:
    """A stream that always has something to send."""

    quiet = False
    costly = False
    deadline = None

    class _Response:
        data = b"x"

    def poll(self, _: float) -> Any:
        return self._Response()

    def events(self) -> list[Any]:
        return []


async def test_waking_a_stream_that_just_ends_does_not_raise() -> None:
    context = Silence()
    connection = StreamConnection(
        context, cast("Any", Chatter()), cast("Any", None), lambda _: None, {}, b"", Turns()
    )
    running = asyncio.create_task(connection.run())
    await context.writing.wait()
    running.cancel()
    # Between the end of what was being written and the end of the stream lie a few turns of the loop.
    while not running.done():
        connection.wake()
        await asyncio.sleep(0)
    assert running.cancelled()
    connection.wake()
