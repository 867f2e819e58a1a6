"""Servers inside a test: HTTP servers that return their name and the request, and TCP servers that echo."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Respond = Callable[[Request], Awaitable[Response]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]


class Workload:
    """An HTTP server inside the test that returns its name and the request.

    It listens on `address` and `port`, or on the Unix socket `path`. `respond`, if given, makes the answers
    instead.
    """

    def __init__(
        self, name: str, labels: Mapping[str, str], address: str = "", port: int = 0, *, path: str = ""
    ) -> None:
        self.name = name
        self.labels = dict(labels)
        self.address = address
        self.port = port
        self.path = path
        self.requests: list[dict[str, Any]] = []
        self.respond: Respond | None = None
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; raises if the address is taken."""
        application = Starlette(routes=[Route("/{path:path}", self._answer, methods=_METHODS)])
        place: dict[str, Any] = {"uds": self.path} if self.path else {"host": self.address, "port": self.port}
        server = uvicorn.Server(
            uvicorn.Config(application, **place, log_level="error", lifespan="off", timeout_keep_alive=600)
        )
        # pytest handles the signals; uvicorn must not replace its handlers
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        self._server = server
        self._task = asyncio.create_task(server.serve())
        while not server.started:
            if self._task.done():
                await self._task
                raise AssertionError(f"{self.name} cannot listen on {place}")
            await asyncio.sleep(0.01)

    async def _answer(self, request: Request) -> Response:
        seen = {
            "workload": self.name,
            "version": self.labels.get("version", ""),
            "method": request.method,
            "path": request.url.path,
            "query": request.url.query,
            "headers": dict(request.headers),
        }
        self.requests.append(seen)
        if self.respond is not None:
            return await self.respond(request)
        return JSONResponse(seen)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            self._server.force_exit = True
            await self._task
            self._server = None


class TcpWorkload:
    """A TCP server that sends its name in one line and then echoes every line.

    With `context` it speaks TLS. `serve`, if given, handles the connections instead.
    """

    def __init__(self, name: str, address: str, port: int, context: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.address = address
        self.port = port
        self.connections = 0
        self.serve: Serve = self._echo
        self._context = context
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; raises if the address is taken."""
        self._server = await asyncio.start_server(self._serve, self.address, self.port, ssl=self._context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError):
            await self.serve(reader, writer)
        writer.close()

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{self.name}\n".encode())
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()


async def greeting(
    address: str, port: int, *, context: ssl.SSLContext | None = None, server_name: str | None = None
) -> str:
    """Connect and return the name that a TcpWorkload sends; "" if the connection is refused or closed."""
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(
                address, port, ssl=context, server_hostname=server_name
            )
    except (OSError, ssl.SSLError):
        return ""
    try:
        writer.write(b"hello\n")
        async with asyncio.timeout(60):
            name = (await reader.readline()).decode().strip()
            if name:
                assert await reader.readline() == b"hello\n"
            return name
    except ConnectionError:
        return ""
    finally:
        writer.close()
