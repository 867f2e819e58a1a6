"""The transport of one gRPC stream: reads requests into a `Stream`, and writes the responses that are due."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import islice
from math import inf
from typing import Any

import grpc

from mizzen.xds.events import Event
from mizzen.xds.response import Response
from mizzen.xds.stream import Stream
from mizzen.xds.turns import LARGE, NAMES_AT_ONCE, Turns
from mizzen.xds.wire import Request, SotwRequest

log = logging.getLogger("mizzen.xds")


_Due = Response | Exception | None
"""What the writing task does: write a response, fail, or (None) make the response in a turn."""


async def uncancelled(operation: Awaitable[None]) -> None:
    """Finish an operation even if this task is cancelled meanwhile.

    The first message of a stream carries the headers. If its write were cancelled, grpc.aio would not know
    that the headers were sent. It would send them again with the status and fail, and the client would never
    learn that the stream has ended.
    """
    running = asyncio.ensure_future(operation)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        with contextlib.suppress(grpc.aio.BaseError, asyncio.InvalidStateError):
            await running
        raise


async def in_parts(request: Request) -> Request:
    """The same request with its names as sets. The sets are built in parts, and the event loop runs other
    tasks in between: a request may have very many names, and building the sets is most of their cost.
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


class StreamConnection:
    """The transport of one stream.

    Each stream has one task that reads, and answers what it reads. A second task, which writes what a change
    makes due, starts in the stream's task group with the first change and then waits for the next: a task for
    each response would cost more than the response.
    """

    __slots__ = (
        "_context",
        "_due",
        "_fires_at",
        "_headers_sent",
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
        neighbours: Mapping[int, "StreamConnection"],
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
        self._due: asyncio.Future[_Due] | None = None
        self._writing = False
        self._headers_sent = False
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = inf

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
            BadRequest: the client broke the protocol; inside an `ExceptionGroup`.
        """
        try:
            async with asyncio.TaskGroup() as self._tasks:
                if not self.stream.quiet:  # rare: something changed since the first answer
                    self.wake()
                while (data := await self._context.read()) is not grpc.aio.EOF:
                    await self._take(data)
                if self._writer is not None:
                    self._writer.cancel()
        except asyncio.CancelledError as error:
            # Up to Python 3.12 the error's traceback refers to a frame of the task group, which refers to
            # the error. That cycle would keep the whole stream until the cycle collector runs.
            raise error.with_traceback(None) from None
        finally:
            self._tasks = None
            if self._timer is not None:
                self._timer.cancel()

    async def _take(self, data: bytes) -> None:
        """Handle a request and answer it. A costly request waits for a turn (`Turns`)."""
        if len(data) < LARGE:
            request = self._parse(data)
            if request.error is not None or self.stream.costly:
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
        group_changes = self.stream.receive(request, time.monotonic())
        self._tell()
        if group_changes:
            for each in self._neighbours.values():
                if each is not self:
                    each.wake()  # a resource was rejected: take it back from all clients

    def wake(self, now: float | None = None) -> None:
        """Start to send what is due; return at once. `now` is the monotonic time, if the caller has it.

        Nothing is scheduled if there is nothing to send. When all clients of a group are woken, all their
        responses are made before the first is written. Responses on the same connection are then written
        right after each other, and share packets.
        """
        if self._tasks is None or self._writing:
            return  # the writing task polls again before it ends
        due: _Due = None
        if not self.stream.costly:
            try:
                due = self.stream.poll(time.monotonic() if now is None else now)
            except Exception as error:  # must not stop the caller from waking the other streams
                due = error
            if due is None:
                self._rest()
                return
        self._writing = True
        if self._due is not None:
            if not self._due.done():  # else the client is disconnecting
                self._due.set_result(due)
            return
        writing = self._keep_writing(due)
        try:
            self._writer = self._tasks.create_task(writing)
        except RuntimeError:
            writing.close()  # the client is disconnecting

    async def _keep_writing(self, due: _Due) -> None:
        while True:
            if isinstance(due, Exception):
                raise due
            if due is None:
                await self._send_in_turn()
            else:
                await self._send(due)
            self._due = self._loop.create_future()
            due = await self._due

    async def _answer(self) -> None:
        if self._writing:
            return
        if self.stream.costly:
            self._writing = True
            await self._send_in_turn()
            return
        response = self.stream.poll(time.monotonic())
        if response is None:
            self._rest()
            return
        self._writing = True
        await self._send(response)

    async def _send_in_turn(self) -> None:
        try:
            response = None if self.stream.rests(time.monotonic()) else await self._next()
        except BaseException:
            self._writing = False
            raise
        await self._send(response)

    async def _next(self) -> Response | None:
        """The next response; if it is costly, made in a turn (`Turns`)."""
        if not self.stream.costly:
            return self.stream.poll(time.monotonic())
        async with self._turns.turn():
            return self.stream.poll(time.monotonic())

    async def _send(self, response: Response | None) -> None:
        """Write this response, and those that become due meanwhile."""
        try:
            while response is not None:
                if self._headers_sent:
                    await self._context.write(response.data)
                else:
                    self._headers_sent = True  # not before: a client that is owed nothing gets no headers
                    await uncancelled(self._context.write(response.data))
                if self.stream.quiet:
                    break
                response = await self._next()
        except (grpc.aio.BaseError, asyncio.InvalidStateError) as error:
            log.debug(
                "%s: the stream ended while a response was written: %s", self.stream.client.node_id, error
            )
        finally:
            self._writing = False
        self._rest()

    def _rest(self) -> None:
        """Nothing is due now: pass on the events, and set the timer for the next deadline."""
        self._tell()
        deadline = self.stream.deadline
        if deadline < self._fires_at:  # else the timer fires early, finds nothing due, and is set again
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(deadline - time.monotonic(), self._tick)
            self._fires_at = deadline

    def _tell(self) -> None:
        if self.stream.untold:
            self._on_events(self.stream.events())

    def _tick(self) -> None:
        self._timer = None
        self._fires_at = inf
        self.wake()
