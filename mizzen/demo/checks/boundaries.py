"""Checks of the mesh's boundaries: unknown hosts, hosts outside, and a page that crosses the whole mesh."""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from mizzen.demo.checks.outcome import CheckResult, Door, brief, echo, ingress, sidecar
from mizzen.demo.checks.routing import arrives
from mizzen.demo.shop import SHOP_HOST, Shop

QUOTES_HOST = "quotes.example.com"
LIVE_HOST = "live.example.com"
LIVE_SECONDS = 5.0
"""A change must be served this soon after its file was saved, even on a busy
machine; usual is a tenth of a second."""
LIVE_MOVES = ("v3", "v2", "v1", "v3")
"""The versions that the route is moved to, one change after the other, once its host is there."""
PATIENCE_SECONDS = 60.0
"""A busy machine may delay one of several changes, but each must arrive."""


async def whole_page(shop: Shop) -> CheckResult:
    """A page crosses the ingress and the sidecar of each service, including the ratings."""
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
    return CheckResult(expected, seen, seen == expected)


async def unknown_host(shop: Shop) -> CheckResult:
    """The ingress does not know the host."""
    response = await ingress(shop, "nobody.example.com").get("/productpage")
    passed = response.status_code == 404 and "x-shop-version" not in response.headers
    return CheckResult("404 by the proxy", brief(response), passed)


async def no_route(door: Door) -> CheckResult:
    """The host is known, but no route matches."""
    response = await door.get("/no/such/path")
    passed = response.status_code == 404 and "x-shop-version" not in response.headers
    return CheckResult("404 by the proxy", brief(response), passed)


async def service_entry(shop: Shop) -> CheckResult:
    """A host outside the mesh can be called if a ServiceEntry declares it."""
    said = echo(await sidecar(shop, f"{QUOTES_HOST}:9090", outside=True).get("/echo"))
    seen = f"{said.get('workload', 'nobody')} answers"
    return CheckResult("quotes answers", seen, seen == "quotes answers")


async def registry_only(shop: Shop) -> CheckResult:
    """The sidecar refuses a host that no document declares."""
    response = await sidecar(shop, "undeclared.example.org").get("/")
    return CheckResult("502 by the proxy", brief(response), response.status_code == 502 and not response.text)


async def live_change(shop: Shop) -> CheckResult:
    """Saved files are served at once, without a failed request."""
    file = shop.private_rules / "live-change.yaml"
    door = ingress(shop, LIVE_HOST)
    try:
        # Before its host is there, requests for it get 404.
        first = await _served(door, file, "v1", {404})
        moves = [await _served(door, file, version, set()) for version in LIVE_MOVES]
    finally:
        file.unlink(missing_ok=True)
    return judge_live_changes([first, *moves])


def judge_live_changes(served: Sequence[float | None]) -> CheckResult:
    """Judge after how many seconds each change was served; None: never, or a request failed.

    The median is compared, so that one slow moment of the machine does not count.
    """
    expected = f"{len(served)} changes served, usually within {LIVE_SECONDS:g} s, and no request failed"
    seconds = [each for each in served if each is not None]
    if len(seconds) < len(served):
        return CheckResult(expected, "one was not served, or a request failed", passed=False)
    usual = statistics.median(seconds)
    seen = f"{len(seconds)} served, usually after {usual:.2f} s, at most {max(seconds):.2f} s"
    return CheckResult(expected, seen, usual <= LIVE_SECONDS)


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
