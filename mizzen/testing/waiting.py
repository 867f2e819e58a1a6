"""Waiting for conditions instead of sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

DEADLINE = 120.0
"""Longer than any working condition takes on the busiest machine."""
_POLL = 0.05


async def eventually(check: Callable[[], Awaitable[bool]], what: str, seconds: float = DEADLINE) -> None:
    """Wait until `check` returns True; fail with `what` if it does not in time."""
    try:
        async with asyncio.timeout(seconds):
            while not await check():
                await asyncio.sleep(_POLL)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None
