"""Checks of the mesh's edges: what is unknown, what is outside, and a page that crosses the whole of it."""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from mizzen.demo.checks.outcome import Door, Finding, brief, echo, ingress, sidecar
from mizzen.demo.checks.routing import arrives
from mizzen.demo.shop import SHOP_HOST, Shop

QUOTES_HOST = "quotes.example.com"
LIVE_HOST = "live.example.com"
LIVE_SECONDS = 5.0
"""A change is served this soon after its file was saved, on a machine that does much else at the same time; a
tenth of a second is usual."""
LIVE_MOVES = ("v3", "v2", "v1", "v3")
"""Where the route is moved, one change after the other, once its host is there."""
PATIENCE_SECONDS = 60.0
"""A machine that is busy with something else may hold up one of several changes, but it comes."""


async def whole_page(shop: Shop) -> Finding:
    """A page crosses the ingress and each service's sidecar, the ratings' included."""
    marker = f"page-{secrets.token_hex(8)}"
    door = ingress(shop, SHOP_HOST)
    # jason gets version 2, which shows stars: it calls the ratings.
    page = await door.get("/productpage", {"end-user": "jason", "x-demo-marker": marker})
    visited = [
        workload.name
        for workload in shop.topology.workloads
        if workload.name in {"details-v1", "reviews-v2", "ratings-v1", "quotes-v1"}
        and await arrives(shop, workload.app_endpoint, marker)
    ]
    expected = "200 with black stars; details-v1 reviews-v2 ratings-v1 quotes-v1 called"
    stars = "black stars" if "stars black" in page.text else "no black stars"
    seen = f"{page.status_code} with {stars}; {' '.join(visited)} called"
    return Finding(expected, seen, seen == expected)


async def unknown_host(shop: Shop) -> Finding:
    """The ingress knows no such host."""
    response = await ingress(shop, "nobody.example.com").get("/productpage")
    passed = response.status_code == 404 and "x-shop-version" not in response.headers
    return Finding("404 by the proxy", brief(response), passed)


async def no_route(door: Door) -> Finding:
    """The host is known, and no route matches."""
    response = await door.get("/no/such/path")
    passed = response.status_code == 404 and "x-shop-version" not in response.headers
    return Finding("404 by the proxy", brief(response), passed)


async def service_entry(shop: Shop) -> Finding:
    """A host outside the mesh that a ServiceEntry declares can be called."""
    said = echo(await sidecar(shop, f"{QUOTES_HOST}:9090", outside=True).get("/echo"))
    seen = f"{said.get('workload', 'nobody')} answers"
    return Finding("quotes answers", seen, seen == "quotes answers")


async def registry_only(shop: Shop) -> Finding:
    """A host that nothing declares is refused by the sidecar."""
    response = await sidecar(shop, "undeclared.example.org").get("/")
    return Finding("502 by the proxy", brief(response), response.status_code == 502 and not response.text)


async def live_change(shop: Shop) -> Finding:
    """Saved files are served at once, without one failed request."""
    file = shop.private_rules / "live-change.yaml"
    door = ingress(shop, LIVE_HOST)
    try:
        # Before its host is there, requests for it find nothing.
        first = await _served(door, file, "v1", {404})
        moves = [await _served(door, file, version, set()) for version in LIVE_MOVES]
    finally:
        file.unlink(missing_ok=True)
    return judge_live_changes([first, *moves])


def judge_live_changes(served: Sequence[float | None]) -> Finding:
    """Judge the seconds that changes took to be served; None: never, or a request failed.

    The middle one of several says what is usual, whatever else the machine does at one moment.
    """
    expected = f"{len(served)} changes served, usually within {LIVE_SECONDS:g} s, and no request failed"
    seconds = [each for each in served if each is not None]
    if len(seconds) < len(served):
        return Finding(expected, "one was not served, or a request failed", passed=False)
    usual = statistics.median(seconds)
    seen = f"{len(seconds)} served, usually after {usual:.2f} s, at most {max(seconds):.2f} s"
    return Finding(expected, seen, usual <= LIVE_SECONDS)


async def _served(door: Door, file: Path, version: str, allowed: set[int]) -> float | None:
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(_live_virtual_service(version)), encoding="utf-8")
    partial.replace(file)
    saved = time.monotonic()
    while time.monotonic() - saved < PATIENCE_SECONDS:
        response = await door.get("/echo")
        if response.status_code != 200 and response.status_code not in allowed:
            return None
        if echo(response).get("version") == version:
            return time.monotonic() - saved
        await asyncio.sleep(0.01)
    return None


def _live_virtual_service(version: str) -> dict[str, object]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "live-change", "namespace": "default"},
        "spec": {
            "hosts": [LIVE_HOST],
            "gateways": ["bookinfo-gateway"],
            "http": [{"route": [{"destination": {"host": "reviews", "subset": version}}]}],
        },
    }
