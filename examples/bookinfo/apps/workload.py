"""What every program of the shop has in common: counting, calling others, and paths to try a mesh with.

A program of the shop is an ordinary HTTP server that knows nothing of the mesh. Its environment says:

    LISTEN         where to listen, `host:port` (default 0.0.0.0:9080)
    VERSION        its version, told in each answer (default v1)
    MESH_EGRESS    an IP address that every call to another service goes to, its name kept in the Host header,
                   as if DNS had given that address for every name; not needed where the traffic is captured
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PROPAGATED_HEADERS = (
    "x-request-id",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "b3",
    "traceparent",
    "tracestate",
    "end-user",
    "x-demo-marker",
)
"""What a program hands on from the request that it answers to the requests that it makes: a proxy cannot."""

UNCOUNTED_PATHS = frozenset({"/health", "/stats", "/markers"})
"""Questions about the program itself, no part of the traffic."""


@dataclass(slots=True)
class Traffic:
    """The requests that this program has answered since it began."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    markers: deque[str] = field(default_factory=lambda: deque(maxlen=1000))

    def as_json(self) -> dict[str, object]:
        """Return the counts as `/stats` tells them."""
        statuses = {str(status): count for status, count in sorted(self.statuses.items())}
        return {"requests": self.requests, "statuses": statuses}


class Counting:
    """ASGI middleware: counts the requests, and says in each answer which version gave it."""

    def __init__(self, app: ASGIApp, traffic: Traffic, version: str) -> None:
        self.app = app
        self.traffic = traffic
        self.version = version.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the program, counted."""
        if scope["type"] != "http" or scope["path"] in UNCOUNTED_PATHS:
            await self.app(scope, receive, send)
            return
        self.traffic.requests += 1
        for name, value in scope["headers"]:
            if name == b"x-demo-marker":
                self.traffic.markers.append(value.decode("latin-1"))

        async def count_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.traffic.statuses[message["status"]] += 1
                message["headers"] = [*message["headers"], (b"x-shop-version", self.version)]
            await send(message)

        await self.app(scope, receive, count_and_send)


class Workload:
    """One running program: its name, its version, its traffic, and its way to call others."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = os.environ.get("VERSION", "v1")
        self.traffic = Traffic()
        self._failures: Counter[str] = Counter()
        self._egress = os.environ.get("MESH_EGRESS")
        # trust_env: a proxy meant for the internet must not get the shop's own calls.
        self._client = httpx.AsyncClient(
            timeout=10.0, trust_env=False, event_hooks={"request": [self._call_the_egress_instead]}
        )

    async def _call_the_egress_instead(self, request: httpx.Request) -> None:
        # The Host header was made from the URL already, and stays.
        if self._egress:
            request.url = request.url.copy_with(host=self._egress)

    async def get(self, url: str, asked: Request) -> httpx.Response:
        """Call another service on behalf of the request `asked`. Raises httpx.HTTPError if nobody answers."""
        return await self._client.get(url, headers=propagated(asked))

    async def get_json(self, url: str, asked: Request) -> dict[str, object] | None:
        """Call another service for a JSON object, or return None if it gives none: the shop does without."""
        try:
            answer = await self.get(url, asked)
            content = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def serve(self, routes: Sequence[BaseRoute]) -> None:
        """Serve `routes` and those that every program has, until a signal ends the program."""
        app = Starlette(
            routes=[
                *routes,
                Route("/health", self._health),
                Route("/stats", self._stats),
                Route("/markers", self._markers),
                Route("/echo{rest:path}", self._echo),
                Route("/slow", self._slow),
                Route("/flaky{key:path}", self._flaky),
            ]
        )
        host, _, port = os.environ.get("LISTEN", "0.0.0.0:9080").rpartition(":")
        uvicorn.run(
            Counting(app, self.traffic, self.version),
            host=host,
            port=int(port),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
            # Longer than a sidecar keeps an idle connection: it must not use one that is just being closed.
            timeout_keep_alive=7200,
        )

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"workload": self.name, "version": self.version, "status": "healthy"})

    async def _stats(self, request: Request) -> Response:
        return JSONResponse({"workload": self.name, "version": self.version, **self.traffic.as_json()})

    async def _markers(self, request: Request) -> Response:
        """Tell the latest values of the header x-demo-marker that arrived here."""
        return JSONResponse(list(self.traffic.markers))

    async def _echo(self, request: Request) -> Response:
        """Tell the caller what arrived."""
        return JSONResponse(
            {
                "workload": self.name,
                "version": self.version,
                "method": request.method,
                "path": request.url.path,
                "headers": dict(request.headers),
            }
        )

    async def _slow(self, request: Request) -> Response:
        """Answer after `?seconds=` (2 if not said, 10 at most)."""
        await asyncio.sleep(min(float(request.query_params.get("seconds", "2")), 10.0))
        return await self._echo(request)

    async def _flaky(self, request: Request) -> Response:
        """Answer 503 the first `?failures=` times (2 if not said) that this path is asked for, then 200."""
        key = request.path_params["key"]
        self._failures[key] += 1
        attempt = self._failures[key]
        failed = attempt <= int(request.query_params.get("failures", "2"))
        return JSONResponse({"workload": self.name, "attempt": attempt}, status_code=503 if failed else 200)


def propagated(asked: Request) -> dict[str, str]:
    """Return the headers that a call made on behalf of the request `asked` must carry too."""
    headers = {name: asked.headers[name] for name in PROPAGATED_HEADERS if name in asked.headers}
    # Who signed in at the page is known to the browser by a cookie, and to the other services by a header.
    if user := asked.cookies.get("end-user"):
        headers["end-user"] = user
    return headers
