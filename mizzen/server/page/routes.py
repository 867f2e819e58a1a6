"""The routes of the page; all are read-only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from mizzen.config.diagnostics import Diagnostic
from mizzen.explain.answer import Answer
from mizzen.explain.answer_text import answer_text
from mizzen.explain.callers import UnknownCallerError
from mizzen.explain.describe.describe import describe_service
from mizzen.explain.mesh_graph import MeshGraph, mesh_graph
from mizzen.explain.question import Question, QuestionError
from mizzen.explain.tables.rows import KINDS
from mizzen.mesh.snapshot import Mesh
from mizzen.server.asked_question import asked_question
from mizzen.server.grouped_rejections import grouped_rejections
from mizzen.server.page.picture import picture
from mizzen.server.page.service_rows import service_rows

ROWS: Final = 50
"""Rows on one page of a list."""

DRAWN: Final = 30
"""Most gateways and hosts in the picture."""

LISTENERS: Final = 64
"""Most browsers with live updates; further ones must reload the page by themselves."""

_LOOK_SECONDS: Final = 0.5
_ALIVE_SECONDS: Final = 15.0

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_EMPTY: Final[Mapping[str, Any]] = {"rows": ()}
_STATIC: Final = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}


class Shown(Protocol):
    """The running server, as the page shows it."""

    @property
    def mesh(self) -> Mesh:
        """The mesh in force."""

    @property
    def diagnostics(self) -> Sequence[Diagnostic]:
        """The diagnostics about the configuration."""

    @property
    def moment(self) -> object:
        """A value that differs from the one before as soon as the page has changed."""

    def about(self) -> Mapping[str, Any]:
        """Return name, version, process id and addresses of the server."""

    def recent_changes(self) -> list[dict[str, Any]]:
        """Return the latest changes, newest first (`mizzen.server.convergence.Push.as_json`)."""

    async def status(self, proxy: str | None = None) -> Mapping[str, Any]:
        """Return the status as JSON values; with `proxy`, only that proxy, with the names that it asks
        for."""

    @property
    def why(self) -> Callable[[Question, str, str], Awaitable[Answer]]:
        """Returns where a call goes that a workload makes, or that arrives at a Gateway
        (`mizzen.server.live_why.LiveWhy.answer`)."""

    async def table(self, proxy: str, kind: str) -> Mapping[str, Any] | None:
        """Return a table of a proxy's resources (`mizzen.explain.tables`); None if it is not connected."""

    async def difference(self, proxy: str) -> Mapping[str, Any] | None:
        """Return the difference between a proxy's accepted and current resources; None if not connected."""


@dataclass(frozen=True, slots=True)
class Part:
    """One page of a longer list, with links to the previous and next page (None at the ends)."""

    rows: Sequence[Any]
    total: int
    number: int
    pages: int
    before: str | None
    after: str | None


def page_routes(shown: Shown, closing: asyncio.Event) -> list[BaseRoute]:
    """Return the routes of the page. When `closing` is set, the streams of live updates end."""
    return _Page(shown, closing).routes()


class _Page:
    def __init__(self, shown: Shown, closing: asyncio.Event) -> None:
        self._shown = shown
        self._closing = closing
        self._listening = 0
        self._graph: tuple[Mesh, MeshGraph] | None = None
        self._templates = Environment(
            loader=PackageLoader("mizzen.server.page"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "path": lambda text: quote(str(text), safe=""),
            "span": span,
            "many": many,
            "moment": moment,
        }

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self._overview),
            Route("/proxies", self._proxies),
            Route("/proxies/{name:path}", self._proxy),
            Route("/services", self._services),
            Route("/services/{namespace}/{hostname}", self._service),
            Route("/changes", self._changes),
            Route("/why", self._why),
            Route("/news", self._news),
            Route("/static/{name}", self._static),
        ]

    def _answer(self, name: str, request: Request, status_code: int = 200, **values: Any) -> Response:
        text = self._templates.get_template(name).render(
            query=_words(request), about=self._shown.about(), **values
        )
        return Response(text, status_code, _HEADERS, "text/html; charset=utf-8")

    async def _overview(self, request: Request) -> Response:
        status = await self._shown.status()
        words = _words(request)

        def drawn() -> tuple[Any, int]:
            whole = self._graph_of(self._shown.mesh)
            roots = sum(not node.key.startswith("version:") for node in whole.nodes)
            return picture(whole.around(words, DRAWN)), roots

        image, roots = await asyncio.to_thread(drawn)
        return self._answer(
            "overview.html",
            request,
            status=status,
            rejections=grouped_rejections(status["rejections"]),
            picture=image,
            roots=roots,
            changes=self._shown.recent_changes(),
        )

    def _graph_of(self, mesh: Mesh) -> MeshGraph:
        if self._graph is None or self._graph[0] is not mesh:
            self._graph = (mesh, mesh_graph(mesh))
        return self._graph[1]

    async def _proxies(self, request: Request) -> Response:
        status, words = await self._shown.status(), _words(request).lower()
        found = [proxy for proxy in status["proxies"] if words in _proxy_text(proxy)]
        gone = [each for each in status["gone_proxies"] if words in f"{each['id']} {each['type']}".lower()]
        return self._answer("proxies.html", request, part=_part(request, found), gone=gone, rows=ROWS)

    async def _proxy(self, request: Request) -> Response:
        name = request.path_params["name"]
        status = await self._shown.status(name)
        if not status["proxies"]:
            said = f"No proxy {name} is connected."
            return self._answer("missing.html", request, 404, said=said)
        proxy = status["proxies"][0]
        rejected = [each for each in status["rejections"] if each["proxy"] == proxy["id"]]
        kind = request.query_params.get("table", "routes")
        kind = kind if kind in KINDS else KINDS[0]
        table = await self._shown.table(name, kind)
        difference = await self._shown.difference(name)
        words = _words(request).lower()
        found = [row for row in (table or _EMPTY)["rows"] if words in " ".join(row["cells"].values()).lower()]
        return self._answer(
            "proxy.html",
            request,
            proxy=proxy,
            rejections=grouped_rejections(rejected),
            kinds=KINDS,
            kind=kind,
            part=_part(request, found, table=kind),
            differing=(difference or _EMPTY)["rows"],
        )

    async def _services(self, request: Request) -> Response:
        rows = await asyncio.to_thread(service_rows, self._shown.mesh, _words(request))
        return self._answer("services.html", request, part=_part(request, rows))

    async def _service(self, request: Request) -> Response:
        namespace, hostname = request.path_params["namespace"], request.path_params["hostname"]
        mesh, diagnostics = self._shown.mesh, self._shown.diagnostics
        service = mesh.registry.services.get((namespace, hostname))
        if service is None:
            said = f"No service {hostname} is in the namespace {namespace}."
            return self._answer("missing.html", request, 404, said=said)
        found = await asyncio.to_thread(describe_service, mesh, service, diagnostics)
        part = _part(request, found.endpoints)
        return self._answer("service.html", request, service=found, part=part)

    async def _changes(self, request: Request) -> Response:
        part = _part(request, self._shown.recent_changes())
        return self._answer("changes.html", request, part=part)

    async def _why(self, request: Request) -> Response:
        words = request.query_params
        text, said = "", ""
        if words.get("url") or words.get("tcp"):
            try:
                asked = asked_question(words)
                text = answer_text(await self._shown.why(asked.question, asked.caller, asked.gateway))
            except (QuestionError, UnknownCallerError) as error:
                said = str(error)
        return self._answer("why.html", request, 400 if said else 200, words=words, text=text, said=said)

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            return PlainTextResponse("no such file\n", status_code=404)
        text = files("mizzen.server.page").joinpath("static", name).read_bytes()
        return Response(text, headers=_HEADERS, media_type=_STATIC[name])

    async def _news(self, _: Request) -> Response:
        if self._listening >= LISTENERS:
            return PlainTextResponse("too many browsers have live updates already\n", status_code=503)
        return StreamingResponse(self._events(), headers=_HEADERS, media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[str]:
        """Yield a server-sent event whenever the page has changed, and regularly a comment, so that the
        server notices browsers that have gone."""
        self._listening += 1
        try:
            last, quiet = self._shown.moment, 0.0
            yield "retry: 2000\n\n"
            while not self._closing.is_set():
                await _wait(self._closing, _LOOK_SECONDS)
                quiet += _LOOK_SECONDS
                now = self._shown.moment
                if now != last:
                    last, quiet = now, 0.0
                    yield "event: changed\ndata:\n\n"
                elif quiet >= _ALIVE_SECONDS:
                    quiet = 0.0
                    yield ":\n\n"
        finally:
            self._listening -= 1


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _words(request: Request) -> str:
    return request.query_params.get("q", "")


def _proxy_text(proxy: Mapping[str, Any]) -> str:
    states = " ".join(each["state"] for each in proxy["types"].values())
    return f"{proxy['id']} {proxy['type']} {proxy['namespace']} {states}".lower()


def _part(request: Request, rows: Sequence[Any], **kept: str) -> Part:
    """Return the page of `rows` that the request asks for; `kept` are further parameters for its links."""
    pages = max(1, -(-len(rows) // ROWS))
    asked = request.query_params.get("page", "1")
    number = min(max(1, int(asked)), pages) if asked.isdecimal() and len(asked) < 10 else 1

    def link(to: int) -> str | None:
        if not 1 <= to <= pages:
            return None
        words = {"q": _words(request)} if _words(request) else {}
        return "?" + urlencode({**kept, **words, "page": to})

    first = (number - 1) * ROWS
    return Part(rows[first : first + ROWS], len(rows), number, pages, link(number - 1), link(number + 1))


def many(word: str, count: int) -> str:
    """Return a noun in the form for a number: `proxy`, `proxies`."""
    if count == 1:
        return word
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def moment(text: str) -> str:
    """Return a moment of `status` in short form: `06:30:53 UTC`, with the day in front if it is not today."""
    day, _, rest = text.partition("T")
    time = rest[:8]
    return f"{time} UTC" if day == f"{datetime.now(UTC):%Y-%m-%d}" else f"{day} {time} UTC"


_UNITS: Final[tuple[tuple[float, str], ...]] = ((86400, "d"), (3600, "h"), (60, "min"))


def span(seconds: float) -> str:
    """Return a duration in its two largest units: `3 h 5 min`, `12 s`, `45 ms`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for at, (size, unit) in enumerate(_UNITS):
        if seconds >= size:
            smaller, name = _UNITS[at + 1] if at + 1 < len(_UNITS) else (1, "s")
            rest = int(seconds % size // smaller)
            return f"{int(seconds // size)} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{seconds:.0f} s"
