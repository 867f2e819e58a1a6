"""Checks and their results."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from mizzen.demo.shop import Shop


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The expected and the seen responses, and whether they agree."""

    expected: str
    seen: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Door:
    """An entrance to the mesh: the ingress, or the sidecar of a program that calls other services."""

    name: str
    url: str
    host: str
    client: httpx.AsyncClient

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Request a path without following redirects."""
        return await self.client.get(self.url + path, headers={"host": self.host, **(headers or {})})

    async def get_timed(self, path: str) -> tuple[httpx.Response, float]:
        """Request a path; return the response and the seconds that it took."""
        began = time.monotonic()
        response = await self.get(path)
        return response, time.monotonic() - began


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to try, at one door."""

    tried: str
    door: str
    run: Callable[[], Awaitable[CheckResult]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A check that was made, with its result."""

    check: Check
    result: CheckResult


def ingress(shop: Shop, host: str) -> Door:
    """Return the ingress, called under the name `host`."""
    return Door("ingress", shop.topology.url, host, shop.client)


def sidecar(shop: Shop, host: str, *, outside: bool = False) -> Door:
    """Return the sidecar of the productpage, called for `host`: a service, or a host `outside` the mesh."""
    productpage = next(workload for workload in shop.topology.workloads if workload.app == "productpage")
    endpoint = productpage.outside_endpoint if outside else productpage.egress_endpoint
    return Door("sidecar", f"http://{endpoint}", host, shop.client)


def echo(response: httpx.Response) -> dict[str, Any]:
    """Return the program's description of the request that it received; {} if there is none."""
    try:
        content = response.json()
    except ValueError:
        return {}
    return content if response.is_success and isinstance(content, dict) else {}


def brief(response: httpx.Response) -> str:
    """Return a response in a few words."""
    text = " ".join(response.text.split())[:60]
    return f"{response.status_code} {text}".strip()
