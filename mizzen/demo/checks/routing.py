"""Checks of routing: splits, matches, subsets, rewrites, redirects, mirrors, headers."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections import Counter

from mizzen.demo.checks.outcome import CheckResult, Door, brief, echo
from mizzen.demo.shop import Shop

SPLIT = {"v1": 60, "v2": 30, "v3": 10}
"""The weights of the route `weighted-split` in feature-tour.yaml."""
SPLIT_REQUESTS = 400
AT_ONCE = 8

STANDARD_DEVIATIONS = 6.0
"""A correct split misses this bound once in some hundred million runs."""


def tolerance(share: float, requests: int) -> float:
    """Return how far a binomial count of `requests` with the probability `share` may be from its mean."""
    return STANDARD_DEVIATIONS * math.sqrt(requests * share * (1 - share))


async def gather_counts(
    door: Door, path: str, requests: int, headers: dict[str, str] | None = None
) -> Counter[str]:
    """Request `path` `requests` times and count the versions that answered, or the statuses of failures."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> str:
        async with gate:
            response = await door.get(path, headers)
        return str(echo(response).get("version", response.status_code))

    return Counter(await asyncio.gather(*(one() for _ in range(requests))))


def shares(counts: Counter[str]) -> str:
    """Return counts as text, for example `v1 241, v2 118, v3 41`."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


async def weighted_split(door: Door) -> CheckResult:
    """The versions share the requests by their weights, within statistical bounds."""
    counts = await gather_counts(door, "/split", SPLIT_REQUESTS)
    bounds = {
        version: (SPLIT_REQUESTS * weight / 100, tolerance(weight / 100, SPLIT_REQUESTS))
        for version, weight in SPLIT.items()
    }
    expected = ", ".join(f"{version} {mean:.0f}±{off:.0f}" for version, (mean, off) in bounds.items())
    passed = set(counts) <= set(SPLIT) and all(
        abs(counts[version] - mean) <= off for version, (mean, off) in bounds.items()
    )
    return CheckResult(f"of {SPLIT_REQUESTS}: {expected}", shares(counts), passed)


async def header_match(door: Door) -> CheckResult:
    """The header `end-user: jason` pins the version."""
    counts = await gather_counts(door, "/split", 40, {"end-user": "jason"})
    return CheckResult("v2 40", shares(counts), counts == {"v2": 40})


async def subset(door: Door) -> CheckResult:
    """A subset of the DestinationRule has only the workloads with its labels."""
    counts = await gather_counts(door, "/only-v3", 20)
    return CheckResult("v3 20", shares(counts), counts == {"v3": 20})


async def rewrite(door: Door) -> CheckResult:
    """The prefix of the path is replaced, the rest stays."""
    said = echo(await door.get("/old/chapter/1"))
    seen = f"{said.get('workload')} was asked for {said.get('path')}"
    return CheckResult(
        "details was asked for /echo/chapter/1", seen, seen == "details was asked for /echo/chapter/1"
    )


async def redirect(door: Door) -> CheckResult:
    """The client is redirected."""
    response = await door.get("/moved")
    seen = f"{response.status_code} to {response.headers.get('location')}"
    expected = "302 to http://elsewhere.example.com/here"
    return CheckResult(expected, seen, seen == expected)


async def direct_response(door: Door) -> CheckResult:
    """The proxy responds by itself."""
    response = await door.get("/teapot")
    expected = "418 short and stout"
    return CheckResult(expected, brief(response), brief(response) == expected)


async def headers(door: Door) -> CheckResult:
    """Headers of the request and of the response are set, added and removed."""
    response = await door.get("/headers", {"x-tour-secret": "1", "x-tour-request": "from the client"})
    arrived = echo(response).get("headers", {})
    facts = {
        "request header set": arrived.get("x-tour-request") == "set-by-the-mesh",
        "request header removed": "x-tour-secret" not in arrived and bool(arrived),
        "response header set": response.headers.get("x-tour-response") == "set-by-the-mesh",
        "response header added": response.headers.get("x-tour-added") == "one-more",
        "response header removed": response.is_success and "x-shop-version" not in response.headers,
    }
    wrong = [name for name, true in facts.items() if not true]
    return CheckResult(
        "5 headers set, added, removed", "so" if not wrong else f"not: {', '.join(wrong)}", not wrong
    )


async def mirroring(shop: Shop, door: Door) -> CheckResult:
    """Version 1 answers, and version 3 gets a copy."""
    marker = f"mirror-{secrets.token_hex(8)}"
    response = await door.get("/mirrored", {"x-demo-marker": marker})
    mirror = next(workload for workload in shop.topology.workloads if workload.name == "reviews-v3")
    copied = await arrives(shop, mirror.app_endpoint, marker)
    answered = echo(response).get("version", response.status_code)
    return CheckResult(
        "v1 answers, a copy at v3",
        f"{answered} answers, {'a copy' if copied else 'no copy'} at v3",
        copied and answered == "v1",
    )


async def arrives(shop: Shop, endpoint: str, marker: str, seconds: float = 30.0) -> bool:
    """Tell whether a request with this marker arrives at a program in time."""
    deadline = time.monotonic() + seconds
    while marker not in (await shop.client.get(f"http://{endpoint}/markers")).json():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True
