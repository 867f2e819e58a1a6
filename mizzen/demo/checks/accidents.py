"""Checks of the mesh after one of its processes was killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from mizzen.demo.checks.outcome import CheckResult
from mizzen.demo.shop import Shop
from mizzen.demo.traffic import Visitors

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.02
PAGES_WITHOUT = 50
"""Number of pages requested while there is no control plane."""
VICTIM = "details-v1-envoy"


async def killed_envoy(shop: Shop) -> CheckResult:
    """A sidecar is killed and started again; then the page has all its parts."""
    part = shop.parts[VICTIM]
    starts = part.starts
    part.kill()
    expected = "started again, and the page is whole"
    if not await _becomes(lambda: part.starts > starts):
        return CheckResult(expected, "not started again", passed=False)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        visitors = _visitors(shop)
        await visitors.visit()
        if visitors.counts() == (1, 0, 0):
            return CheckResult(expected, expected, passed=True)
        await asyncio.sleep(POLL_SECONDS)
    return CheckResult(expected, f"started again, and {visitors.failures} failed", passed=False)


async def killed_control_plane(shop: Shop) -> CheckResult:
    """The control plane is killed, stays away, and comes back: every page is complete all the time."""
    control_plane = shop.control_plane
    visitors = _visitors(shop)
    starts = control_plane.starts
    control_plane.kill(halt=True)
    try:
        for _ in range(PAGES_WITHOUT):
            await visitors.visit()
        away = not control_plane.serves
    finally:
        control_plane.resume()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while control_plane.starts == starts and time.monotonic() < deadline:
        await visitors.visit()
    back = control_plane.starts > starts
    pages, failed, partial = visitors.counts()
    return CheckResult(
        f"{PAGES_WITHOUT} pages and more, 0 failed, 0 in part",
        f"{pages} pages, {failed} failed, {partial} in part"
        + ("" if away else "; it was not away")
        + ("" if back else "; it did not come back"),
        away and back and not failed and not partial and pages >= PAGES_WITHOUT,
    )


def _visitors(shop: Shop) -> Visitors:
    return Visitors(shop.client, f"{shop.topology.url}/productpage", rate=0)


async def _becomes(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True
