"""The admin address: readiness, metrics and status of the server (see docs/operations.md)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mizzen.explain.callers import UnknownCallerError
from mizzen.explain.describe.describe import UnknownNameError
from mizzen.explain.describe.description import Description
from mizzen.explain.question import QuestionError
from mizzen.explain.tables.rows import KINDS
from mizzen.server.admin_hosts import Hosts, KnownHosts
from mizzen.server.asked_question import asked_question
from mizzen.server.page.routes import Shown, page_routes, span


class Observed(Shown, Protocol):
    """The running server, as the admin address shows it."""

    @property
    def ready(self) -> bool:
        """True if proxies are served."""

    @property
    def waiting_for(self) -> Sequence[str]:
        """The reasons why no proxy is served yet after the start, a line for each."""

    def metrics(self) -> bytes:
        """Return the metrics in Prometheus' text form."""

    async def resources(self, proxy: str) -> Mapping[str, Any] | None:
        """Return the resources of a proxy, secrets redacted; None if no such proxy is connected."""

    @property
    def describe(self) -> Callable[[str], Awaitable[Description]]:
        """Describes a service or workload (`mizzen.server.live_description`)."""

    async def served(self) -> Mapping[str, Any]:
        """Return the served documents and the connected proxies (`mizzen.plan.served_mesh.told`); no
        secret."""

    def proxies(self) -> list[str]:
        """Return the names of the connected proxies."""

    def seconds_gone(self, proxy: str) -> float | None:
        """Return for how many seconds a proxy has been gone; None if it has not gone lately."""


_Find = Callable[[str], Awaitable[Mapping[str, Any] | None]]
"""Returns JSON values about a proxy, by its name; None if the proxy is not connected."""


class _Endpoints:
    """The answers to requests, but for the web page."""

    def __init__(self, server: Observed) -> None:
        self._server = server

    @property
    def routes(self) -> Sequence[Route]:
        """The answer for each path."""
        return (
            Route("/ready", self._ready),
            Route("/metrics", self._metrics),
            Route("/status", self._status),
            Route("/version", self._version),
            Route("/debug/resources", self._resources),
            Route("/debug/table", self._table),
            Route("/debug/served", self._served),
            Route("/debug/why", self._why),
            Route("/debug/describe", self._describe),
            Route("/debug/diff", self._difference),
        )

    async def _ready(self, _: Request) -> Response:
        if self._server.ready:
            return PlainTextResponse("ready\n")
        said = "starting: the configuration is being read\n"
        if self._server.waiting_for:
            said = "".join(f"{each}\n" for each in ("waiting for", *self._server.waiting_for))
        return PlainTextResponse(said, status_code=503)

    async def _metrics(self, _: Request) -> Response:
        return Response(self._server.metrics(), media_type=CONTENT_TYPE_LATEST)

    async def _status(self, request: Request) -> Response:
        return JSONResponse(await self._server.status(request.query_params.get("proxy")))

    async def _version(self, _: Request) -> Response:
        return JSONResponse(self._server.about())

    async def _resources(self, request: Request) -> Response:
        return await self._of_proxy(request, self._server.resources)

    async def _difference(self, request: Request) -> Response:
        return await self._of_proxy(request, self._server.difference)

    async def _table(self, request: Request) -> Response:
        kind = request.query_params.get("kind", "")
        if kind not in KINDS:
            return PlainTextResponse(f"kind is one of {', '.join(KINDS)}, not {kind!r}\n", status_code=400)
        return await self._of_proxy(request, lambda proxy: self._server.table(proxy, kind))

    async def _of_proxy(self, request: Request, find: _Find) -> Response:
        """Answer a request that names a proxy."""
        proxy = request.query_params.get("proxy", "")
        found = await find(proxy) if proxy else None
        if found is not None:
            return JSONResponse(found)
        gone = self._server.seconds_gone(proxy) if proxy else None
        if not proxy:
            said = f"name a proxy: {request.url.path}?proxy=ID"
        elif gone is not None:
            said = f"proxy {proxy!r} is gone: it disconnected {span(gone)} ago"
        else:
            said = f"no proxy {proxy!r} is connected"
        known = ", ".join(self._server.proxies()) or "none"
        return PlainTextResponse(f"{said}; connected: {known}\n", status_code=404 if proxy else 400)

    async def _why(self, request: Request) -> Response:
        try:
            asked = asked_question(request.query_params)
            answer = await self._server.why(asked.question, asked.caller, asked.gateway)
        except (QuestionError, UnknownCallerError) as error:
            return PlainTextResponse(f"{error}\n", status_code=400)
        return JSONResponse(answer.as_dict())

    async def _served(self, _: Request) -> Response:
        return JSONResponse(await self._server.served())

    async def _describe(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        if not name:
            said = "name a service or workload: /debug/describe?name=NAME"
            return PlainTextResponse(f"{said}\n", status_code=400)
        try:
            found = await self._server.describe(name)
        except UnknownNameError as error:
            return PlainTextResponse(f"{error}\n", status_code=404)
        return JSONResponse(found.as_dict())


def application(server: Observed, hosts: Hosts, closing: asyncio.Event | None = None) -> Starlette:
    """Return the ASGI application of the admin address, which answers for `hosts` alone. When `closing` is
    set, streams of live updates end."""
    return Starlette(
        routes=[*page_routes(server, closing or asyncio.Event()), *_Endpoints(server).routes],
        middleware=[Middleware(KnownHosts, hosts=hosts)],
    )


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: the process has its own, and one event loop serves everything."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class AdminServer:
    """Serves `application` on a bound socket, on the running event loop."""

    def __init__(self, server: Observed, listening: socket.socket, hosts: Hosts) -> None:
        self._closing = asyncio.Event()
        config = uvicorn.Config(
            application(server, hosts, self._closing),
            log_config=None,
            access_log=False,
            server_header=False,
            headers=[("x-content-type-options", "nosniff")],
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._socket = listening

    async def run(self) -> None:
        """Serve until `stop`."""
        await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        """Make `run` end: accept no new connections, and close the open ones within a second."""
        self._closing.set()
        self._server.should_exit = True
