"""Calls to an `EnvoyAlone`, many at once, each with what its Envoy logged and what was forwarded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mizzen.simulate import Call, Capture
from mizzen.testing import ports
from mizzen.testing.envoy_alone import EnvoyAlone, source_of
from mizzen.testing.raw_requests import Answer
from mizzen.testing.waiting import eventually
from mizzen.testing.workloads import Workload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_AT_ONCE: Final = 32
_NUMBERS: Final = range(1000, 60_000)
"""Calls have these numbers in turn. They also serve as port numbers (`EnvoyAlone.call`)."""
_LOGGED_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class MadeCall:
    """A call and its number, its answer, Envoy's log entry (of the request, else of the connection), and the
    forwarded request: `authority`, `target` and `headers`; None if there was none."""

    number: int
    call: Call
    answer: Answer
    entry: Mapping[str, Any]
    upstream: Mapping[str, Any] | None


class Upstream:
    """Everything behind an Envoy: a server that remembers each request by its number."""

    def __init__(self, workload: Workload) -> None:
        self.port = workload.port
        self.seen: dict[str, Mapping[str, Any]] = {}
        workload.respond = self._respond

    async def _respond(self, request: Request) -> Response:
        """Answer with the request line and the headers that arrived."""
        query = request.scope["query_string"]
        target = (request.scope["raw_path"] + (b"?" + query if query else b"")).decode()
        headers = {name: ",".join(request.headers.getlist(name)) for name in request.headers}
        told = {"authority": headers.get("host", ""), "target": target, "headers": headers}
        if "-shadow" not in told["authority"]:  # a mirrored request does not show where the call goes
            self.seen[headers.get("x-call", "")] = told
        return JSONResponse(told)


@asynccontextmanager
async def fake_upstream() -> AsyncIterator[Upstream]:
    """Run the server behind all Envoys until the block ends."""
    workload = Workload("upstream", {}, "127.0.0.1", ports.free_port())
    upstream = Upstream(workload)
    await workload.start()
    try:
        yield upstream
    finally:
        await workload.stop()


class Calls:
    """Makes calls to one Envoy."""

    def __init__(self, envoy: EnvoyAlone, upstream: Upstream) -> None:
        self._envoy = envoy
        self._upstream = upstream
        self._numbers: Iterator[int] = cycle(_NUMBERS)

    async def make(self, calls: Sequence[Call]) -> list[MadeCall]:
        """Make the calls, and return each with its outcome."""
        numbered = [(next(self._numbers), call) for call in calls]
        for number, _ in numbered:
            self._upstream.seen.pop(str(number), None)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            made = [loop.run_in_executor(pool, self._envoy.call, call, number) for number, call in numbered]
            answers = await asyncio.gather(*made)
        entries = await self._entries(numbered)
        return [
            MadeCall(number, call, answer, entries[str(number)], self._upstream.seen.get(str(number)))
            for (number, call), answer in zip(numbered, answers, strict=True)
        ]

    async def _entries(self, numbered: Sequence[tuple[int, Call]]) -> Mapping[str, Mapping[str, Any]]:
        """Return Envoy's log entries by number."""
        numbers: dict[str | int, str] = {
            number if call.capture is not Capture.NONE else source_of(number): str(number)
            for number, call in numbered
        }
        wanted = set(numbers.values())
        entries: dict[str, Mapping[str, Any]] = {}

        async def all_logged() -> bool:
            for entry in await self._envoy.logged():
                if entry["kind"] == "request" and entry["call"] in wanted:
                    entries[entry["call"]] = entry
                elif entry["kind"] == "connection":
                    found = numbers.get(entry["source_port"]) or numbers.get(entry["source"])
                    if found is not None:
                        entries.setdefault(found, entry)
            return entries.keys() >= wanted

        await eventually(all_logged, "Envoy has logged every call", seconds=_LOGGED_SECONDS)
        return entries
