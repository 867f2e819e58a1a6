"""Checks of what happens when things fail or take long: faults, retries, timeouts."""

from __future__ import annotations

import secrets

from mizzen.demo.checks.outcome import Door, Finding, brief
from mizzen.demo.checks.routing import gather_counts, shares, tolerance

ABORTED_SHARE = 0.25
ABORT_REQUESTS = 200
DELAY_SECONDS = 0.6
TIMEOUT_SECONDS = 0.5
LATE_SECONDS = 9.4
"""How much longer than the mesh was told a busy machine may take."""
EARLY_SECONDS = 0.02
"""Envoy counts from when its event loop woke up, which is a little before it saw the request."""


def took(seconds: float, told: float) -> bool:
    """Tell whether something took as long as the mesh was told."""
    return told - EARLY_SECONDS <= seconds < told + LATE_SECONDS


async def fault_abort(door: Door) -> Finding:
    """Every request is aborted."""
    response = await door.get("/abort")
    return Finding("451 fault filter abort", brief(response), brief(response) == "451 fault filter abort")


async def fault_abort_some(door: Door) -> Finding:
    """A quarter of the requests is aborted, within statistical bounds."""
    counts = await gather_counts(door, "/abort-some", ABORT_REQUESTS)
    mean, off = ABORT_REQUESTS * ABORTED_SHARE, tolerance(ABORTED_SHARE, ABORT_REQUESTS)
    passed = set(counts) <= {"v1", "451"} and abs(counts["451"] - mean) <= off
    return Finding(f"of {ABORT_REQUESTS}: 451 {mean:.0f}±{off:.0f}, v1 the others", shares(counts), passed)


async def fault_delay(door: Door) -> Finding:
    """The answer is held back."""
    response, seconds = await door.get_timed("/delay")
    passed = response.status_code == 200 and took(seconds, DELAY_SECONDS)
    return Finding(
        f"200 after {DELAY_SECONDS:.2f} s", f"{response.status_code} after {seconds:.2f} s", passed
    )


async def retries(door: Door) -> Finding:
    """The third attempt succeeds; without retries the first failure is the answer."""
    retried = await door.get(f"/retried/{secrets.token_hex(8)}")
    plain = await door.get(f"/not-retried/{secrets.token_hex(8)}")
    attempt = retried.json().get("attempt") if retried.status_code == 200 else "-"
    seen = f"{retried.status_code} at attempt {attempt}, else {plain.status_code}"
    expected = "200 at attempt 3, else 503"
    return Finding(expected, seen, seen == expected)


async def timeout(door: Door) -> Finding:
    """The proxy waits no longer than it was told."""
    response, seconds = await door.get_timed("/timeout")
    passed = response.status_code == 504 and took(seconds, TIMEOUT_SECONDS)
    return Finding(
        f"504 after {TIMEOUT_SECONDS:.2f} s", f"{response.status_code} after {seconds:.2f} s", passed
    )
