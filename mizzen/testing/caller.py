"""A real Envoy, and requests through it."""

from __future__ import annotations

import contextlib
import ssl
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import httpx

from mizzen.demo.envoy_process import EnvoyProcess
from mizzen.testing.waiting import DEADLINE, eventually


@cache
def trust() -> ssl.SSLContext:
    """Return what clients trust, read once: that takes longer than a call."""
    return httpx.create_ssl_context(trust_env=False)


class Caller:
    """An Envoy and a way to send requests through it."""

    def __init__(self, envoy: EnvoyProcess, address: str, port: int, node_id: str) -> None:
        self.envoy = envoy
        self.address = address
        self.port = port
        self.node_id = node_id
        self.http = httpx.AsyncClient(timeout=DEADLINE, trust_env=False, verify=trust())

    async def request(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        """Send a request for `http://host/path` to the Envoy, with the Host header of the URL."""
        parts = httpx.URL(url)
        headers = {"host": parts.netloc.decode(), **(arguments.pop("headers", None) or {})}
        target = parts.copy_with(scheme="http", host=self.address, port=self.port)
        return await self.http.request(method, target, headers=headers, **arguments)

    async def get(self, url: str, **arguments: Any) -> httpx.Response:
        """Send a GET request."""
        return await self.request("GET", url, **arguments)

    async def eventually(
        self, url: str, holds: Callable[[httpx.Response], bool], **arguments: Any
    ) -> httpx.Response:
        """Send GET requests until the answer is as it should be; fail with the last answer."""
        last: list[str] = ["no answer"]
        found: list[httpx.Response] = []

        async def check() -> bool:
            try:
                answer = await self.get(url, **arguments)
            except httpx.TransportError as error:
                last[0] = repr(error)
                return False
            last[0] = f"{answer.status_code} {answer.text[:500]}"
            with contextlib.suppress(ValueError, KeyError):
                if holds(answer):
                    found.append(answer)
            return bool(found)

        try:
            await eventually(check, f"GET {url}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the last answer was {last[0]}") from None
        return found[0]

    async def count(
        self, url: str, times: int, key: Callable[[httpx.Response], str], **arguments: Any
    ) -> Counter[str]:
        """Send the same request many times and count the answers by `key`."""
        counts: Counter[str] = Counter()
        for _ in range(times):
            counts[key(await self.get(url, **arguments))] += 1
        return counts

    async def admin(self, path: str) -> httpx.Response:
        """Send a GET request to Envoy's admin interface."""
        return await self.http.get(f"http://{self.envoy.admin}{path}")

    async def stat(self, pattern: str) -> int:
        """Return the sum of Envoy's counters and gauges whose names match `pattern`."""
        answer = await self.admin(f"/stats?filter={pattern}")
        return sum(int(line.rpartition(": ")[2]) for line in answer.text.splitlines() if ": " in line)

    async def warming(self) -> bool:
        """Tell whether a listener or a cluster that it received is not in use yet."""
        return bool(await self.stat(r"^(cluster_manager\.warming_clusters|listener_manager\..*_warming)$"))

    def at(self, port: int) -> Caller:
        """Return a caller for a different port of the same Envoy."""
        other = Caller(self.envoy, self.address, port, self.node_id)
        other.http = self.http
        return other

    @property
    def running(self) -> bool:
        """True until the Envoy ends."""
        return self.envoy.child.returncode is None

    async def stop(self) -> None:
        """Stop the Envoy and close its connections."""
        await self.http.aclose()
        await self.envoy.stop()
