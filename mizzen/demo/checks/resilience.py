"""Checks of failures and delays: faults, retries, timeouts."""

from __future__ import annotations

import secrets

from mizzen.demo.checks.outcome import CheckResult, Door, brief
from mizzen.demo.checks.routing import gather_counts, shares, tolerance

ABORTED_SHARE = 0.25
ABORT_REQUESTS = 200
DELAY_SECONDS = 0.6
TIMEOUT_SECONDS = 0.5
LATE_SECONDS = 9.4
"""How much longer than configured something may take on a busy machine."""
EARLY_SECONDS = 0.02
"""Envoy counts from when its event loop woke up, slightly before it saw the request."""


def took(seconds: float, told: float) -> bool:
    """Tell whether something took as long as configured."""
    return told - EARLY_SECONDS <= seconds < told + LATE_SECONDS


async def fault_abort(door: Door) -> CheckResult:
    """Every request is aborted."""
    response = await door.get("/abort")
    return CheckResult("451 fault filter abort", brief(response), brief(response) == "451 fault filter abort")


async def fault_abort_some(door: Door) -> CheckResult:
    """A quarter of the requests are aborted, within statistical bounds."""
    counts = await gather_counts(door, "/abort-some", ABORT_REQUESTS)
    mean, off = ABORT_REQUESTS * ABORTED_SHARE, tolerance(ABORTED_SHARE, ABORT_REQUESTS)
    passed = set(counts) <= {"v1", "451"} and abs(counts["451"] - mean) <= off
    return CheckResult(
        f"of {ABORT_REQUESTS}: 451 {mean:.0f}±{off:.0f}, v1 the others", shares(counts), passed
    )


async def fault_delay(door: Door) -> CheckResult:
    """The response is delayed."""
    response, seconds = await door.get_timed("/delay")
    passed = response.status_code == 200 and took(seconds, DELAY_SECONDS)
    return CheckResult(
        f"200 after {DELAY_SECONDS:.2f} s", f"{response.status_code} after {seconds:.2f} s", passed
    )


async def retries(door: Door) -> CheckResult:
    """The third attempt succeeds; without retries the first failure is the response."""
    retried = await door.get(f"/retried/{secrets.token_hex(8)}")
    plain = await door.get(f"/not-retried/{secrets.token_hex(8)}")
    attempt = retried.json().get("attempt") if retried.status_code == 200 else "-"
    seen = f"{retried.status_code} at attempt {attempt}, else {plain.status_code}"
    expected = "200 at attempt 3, else 503"
    return CheckResult(expected, seen, seen == expected)


async def timeout(door: Door) -> CheckResult:
    """The proxy waits no longer than configured."""
    response, seconds = await door.get_timed("/timeout")
    passed = response.status_code == 504 and took(seconds, TIMEOUT_SECONDS)
    return CheckResult(
        f"504 after {TIMEOUT_SECONDS:.2f} s", f"{response.status_code} after {seconds:.2f} s", passed
    )
