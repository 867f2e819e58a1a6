"""What a check is, and what it finds."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from mizzen.demo.shop import Shop


@dataclass(frozen=True, slots=True)
class Finding:
    """What was expected, what was seen in the answers, and whether the one is the other."""

    expected: str
    seen: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Door:
    """A place where requests enter the mesh: the ingress, or the sidecar of a program that calls others."""

    name: str
    url: str
    host: str
    client: httpx.AsyncClient

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Ask for a path; redirects are not followed."""
        return await self.client.get(self.url + path, headers={"host": self.host, **(headers or {})})

    async def get_timed(self, path: str) -> tuple[httpx.Response, float]:
        """Ask for a path and return the seconds that the answer took, too."""
        began = time.monotonic()
        response = await self.get(path)
        return response, time.monotonic() - began


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is tried, at one door."""

    tried: str
    door: str
    run: Callable[[], Awaitable[Finding]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A check that was made."""

    check: Check
    finding: Finding


def ingress(shop: Shop, host: str) -> Door:
    """Return the ingress, called by the name `host`."""
    return Door("ingress", shop.topology.url, host, shop.client)


def sidecar(shop: Shop, host: str, *, outside: bool = False) -> Door:
    """Return the sidecar of the productpage, asked for `host`: a service, or one of `outside` the mesh."""
    productpage = next(workload for workload in shop.topology.workloads if workload.app == "productpage")
    endpoint = productpage.outside_endpoint if outside else productpage.egress_endpoint
    return Door("sidecar", f"http://{endpoint}", host, shop.client)


def echo(response: httpx.Response) -> dict[str, Any]:
    """Return what a program of the shop says that it was asked, or {} if none said so."""
    try:
        content = response.json()
    except ValueError:
        return {}
    return content if response.is_success and isinstance(content, dict) else {}


def brief(response: httpx.Response) -> str:
    """Return an answer in a few words."""
    text = " ".join(response.text.split())[:60]
    return f"{response.status_code} {text}".strip()
