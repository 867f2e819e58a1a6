"""One gRPC stream: reads requests into a `Stream`, writes what it says is due."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from itertools import islice
from typing import Any

import grpc

from mizzen.xds.batch import Response
from mizzen.xds.events import Event
from mizzen.xds.stream import Stream
from mizzen.xds.turns import LARGE, NAMES_AT_ONCE, Turns
from mizzen.xds.wire import Request, SotwRequest

log = logging.getLogger("mizzen.xds")


async def _fail(error: Exception) -> None:
    raise error


async def uncancelled(operation: Awaitable[None]) -> None:
    """Let an operation come to its end before this task may be cancelled.

    The first message of a stream brings the headers. If it were cancelled in flight, grpc.aio would not know
    that they are sent, would send them again with the status, and fail: then the client never hears of the
    end.
    """
    running = asyncio.ensure_future(operation)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        with contextlib.suppress(grpc.aio.BaseError, asyncio.InvalidStateError):
            await running
        raise


def _refuses(request: Request) -> bool:
    return request.error is not None


async def in_parts(request: Request) -> Request:
    """The same request with its names as sets, made in parts between which the event loop does other things:
    a stream asks for many names at once, and what is left to do for them is little.
    """
    if isinstance(request, SotwRequest):
        return request._replace(names=await _set_of(request.names))
    return request._replace(
        subscribe=await _set_of(request.subscribe), unsubscribe=await _set_of(request.unsubscribe)
    )


async def _set_of(names: Collection[str]) -> frozenset[str]:
    found: set[str] = set()
    waiting = iter(names)
    while part := tuple(islice(waiting, NAMES_AT_ONCE)):
        found.update(part)
        await asyncio.sleep(0)
    return frozenset(found)


class Connection:
    """The transport of one stream.

    There is one task for each stream, the one that reads. A task that writes is started when there is
    something to write, inside the task group of the stream, and there is never more than one.
    """

    __slots__ = (
        "_context",
        "_greeted",
        "_loop",
        "_neighbours",
        "_on_events",
        "_parse",
        "_tasks",
        "_timer",
        "_turns",
        "_writer",
        "_writing",
        "connected_at",
        "node",
        "stream",
    )

    def __init__(
        self,
        context: Any,
        stream: Stream,
        parse: Callable[[bytes], Request],
        on_events: Callable[[list[Event]], None],
        neighbours: Mapping[int, "Connection"],
        node: bytes,
        turns: Turns,
    ) -> None:
        self.stream = stream
        self.node = node
        self.connected_at = time.time()
        self._context = context
        self._parse = parse
        self._on_events = on_events
        self._neighbours = neighbours
        self._turns = turns
        self._loop = asyncio.get_running_loop()
        self._tasks: asyncio.TaskGroup | None = None
        self._writer: asyncio.Task[None] | None = None
        self._writing = False
        self._greeted = False
        self._timer: asyncio.TimerHandle | None = None

    async def begin(self, first: Request) -> None:
        """Answer the first request.

        Raises:
            BadRequest: the client broke the protocol.
        """
        self._receive(first)
        await self._answer()

    async def run(self) -> None:
        """Serve the stream until the client ends it.

        Raises:
            BadRequest: the client broke the protocol; in a group.
        """
        try:
            async with asyncio.TaskGroup() as self._tasks:
                if not self.stream.quiet:  # it may have changed since the first answer, but seldom has
                    self.wake()
                while (data := await self._context.read()) is not grpc.aio.EOF:
                    await self._take(data)
                if self._writer is not None:
                    self._writer.cancel()
        except asyncio.CancelledError as error:
            # Up to Python 3.12 the task group keeps the error in a frame that the error's traceback keeps:
            # all of the stream would wait for the cycle collector.
            raise error.with_traceback(None) from None
        finally:
            self._tasks = None
            if self._timer is not None:
                self._timer.cancel()

    async def _take(self, data: bytes) -> None:
        """Take a request and answer it; one that costs much in a turn of its own."""
        if len(data) < LARGE:
            request = self._parse(data)
            if _refuses(request) or self.stream.costly:
                async with self._turns.turn():
                    self._receive(request)
            else:
                self._receive(request)
                if self.stream.quiet:
                    return
        else:
            async with self._turns.turn():
                self._receive(await in_parts(self._parse(data)))
        await self._answer()

    def _receive(self, request: Request) -> None:
        before = self.stream.group.effective
        self.stream.receive(request, self._loop.time())
        self._tell()
        if self.stream.group.effective is not before:
            for each in self._neighbours.values():
                if each is not self:
                    each.wake()  # something was refused, and is taken back from all

    def wake(self, now: float | None = None) -> None:
        """Send what has become due; returns at once. `now` is the loop's time, if it is at hand.

        A task is started only if there is something to send. When all clients of a group are woken, their
        responses are made before the first is written: written right behind each other, those that share
        a connection share its packets.
        """
        if self._tasks is None or self._writing:
            return  # whoever is writing asks again before it ends
        if self.stream.costly:
            self._start(self._send_in_turn())
            return
        try:
            response = self.stream.poll(self._loop.time() if now is None else now)
        except Exception as error:  # must not hinder whoever wakes all streams
            sending = _fail(error)
        else:
            if response is None:
                self._rest()
                return
            sending = self._send(response)
        self._start(sending)

    def _start(self, sending: Coroutine[Any, Any, None]) -> None:
        assert self._tasks is not None
        self._writing = True
        try:
            self._writer = self._tasks.create_task(sending)
        except RuntimeError:
            sending.close()  # the client is just going

    async def _answer(self) -> None:
        if self._writing:
            return
        if self.stream.costly:
            self._writing = True
            await self._send_in_turn()
            return
        response = self.stream.poll(self._loop.time())
        if response is None:
            self._rest()
            return
        self._writing = True
        await self._send(response)

    async def _send_in_turn(self) -> None:
        try:
            response = await self._next()
        except BaseException:
            self._writing = False
            raise
        await self._send(response)

    async def _next(self) -> Response | None:
        """The next response; if it costs much, in a turn of its own."""
        if not self.stream.costly:
            return None if self.stream.quiet else self.stream.poll(self._loop.time())
        async with self._turns.turn():
            return self.stream.poll(self._loop.time())

    async def _send(self, response: Response | None) -> None:
        """Write this, and what becomes due in the meantime."""
        try:
            while response is not None:
                if self._greeted:
                    await self._context.write(response.data)
                else:
                    self._greeted = True  # a client that is owed nothing is sent no headers
                    await uncancelled(self._context.write(response.data))
                response = await self._next()
        except (grpc.aio.BaseError, asyncio.InvalidStateError) as error:
            log.debug(
                "%s: the stream ended while a response was written: %s", self.stream.client.node_id, error
            )
        finally:
            self._writing = False
            self._writer = None
        self._rest()

    def _rest(self) -> None:
        """Nothing is due now."""
        self._tell()
        self._set_timer()

    def _tell(self) -> None:
        events = self.stream.events()
        if events:
            self._on_events(events)

    def _set_timer(self) -> None:
        deadline = self.stream.deadline
        if deadline is None:
            return
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return  # it comes early, finds nothing, and is set again
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.wake()
