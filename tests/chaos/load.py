"""Steady requests through Envoys, and every one that fails."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

RATE = 300
"""Requests in a second, over all targets."""
_CONNECTIONS = 3
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """An address of an Envoy, and the host to ask there."""

    name: str
    address: str
    port: int
    host: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 and the error's words if nothing did."""

    status: int
    body: str


class Connection:
    """A connection to a target that is kept until it breaks."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, *, close: bool = False) -> Answer:
        """Ask for `/`. With `close` the connection is not kept."""
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._get(close=close)
        except TimeoutError:
            self.close()
            return Answer(0, f"no answer in {_SECONDS:g} s")
        except (OSError, EOFError, ValueError) as error:
            self.close()
            return Answer(0, f"{type(error).__name__}: {error}")

    async def _get(self, *, close: bool) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._target.address, self._target.port)
        reader, writer = self._streams
        kept = "close" if close else "keep-alive"
        writer.write(f"GET / HTTP/1.1\r\nhost: {self._target.host}\r\nconnection: {kept}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        if close or fields.get("connection") == "close":
            self.close()
        return Answer(int(head.split(" ", 2)[1]), body.decode())

    def close(self) -> None:
        """Close it; the next request opens a new one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass
class Load:
    """Requests to some targets until the end of `running`. Those that are not answered with 200 are kept."""

    targets: tuple[Target, ...]
    sent: int = 0
    failures: list[tuple[float, str]] = field(default_factory=list)
    """When each failed (`time.monotonic`), and how."""
    answered: Counter[str] = field(default_factory=Counter)
    """Bodies of the answers."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send requests as long as the block runs; those on their way at its end are waited for."""
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for target in self.targets:
                for number in range(_CONNECTIONS):
                    group.create_task(self._send(target, number, stopping))
            try:
                yield
            finally:
                stopping.set()

    async def _send(self, target: Target, number: int, stopping: asyncio.Event) -> None:
        period = len(self.targets) * _CONNECTIONS / RATE
        connection = Connection(target)
        due = time.monotonic() + period * number / _CONNECTIONS
        while not stopping.is_set():
            # Who is late goes on from now: a pause is no reason for a flood.
            due = max(due + period, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            # One of them opens a connection for each request, as a new listener matters to it only.
            answer = await connection.get(close=number == 0)
            self.sent += 1
            if answer.status == 200:
                self.answered[answer.body] += 1
            else:
                reason = f"{target.name}: {answer.status or ''} {answer.body}".replace(":  ", ": ")
                self.failures.append((time.monotonic(), reason))
        connection.close()

    def reasons(self, ignored: Iterable[tuple[float, float]] = ()) -> Counter[str]:
        """Count the failures by reason, but for those within the spans of time `ignored`."""
        spans = tuple(ignored)
        return Counter(
            reason for when, reason in self.failures if not any(start <= when <= end for start, end in spans)
        )


async def serve_name(name: str, address: str, port: int) -> asyncio.Server:
    """Start an HTTP server that answers every request with its name."""
    body = name.encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(EOFError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, address, port)
