"""Faults of Mizzen that it contained: each is logged, counted, and told in the status and on the web page."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog

AGAIN_SECONDS: Final = 1.0
"""Seconds until a task that failed begins again."""


@dataclass(slots=True)
class _Times:
    """How often something failed, when first, and when last by the monotonic clock."""

    number: int
    first: datetime
    last: float


class Faults:
    """The faults since the start, by what failed. Any thread may note one.

    `counted` is called for each.
    """

    def __init__(self, counted: Callable[[], None] = lambda: None) -> None:
        self._counted = counted
        self._by_event: dict[str, _Times] = {}
        self._guard = threading.Lock()
        self._log = structlog.get_logger("mizzen.server")

    def note(self, event: str, **values: object) -> None:
        """Log and count a fault. `event` says what failed, and is one of few texts; `values` are for the log
        alone: `exc_info=True`, or the traceback without the message, which may quote a secret."""
        self.count(event)
        self._log.error(f"{event}: a fault of Mizzen, please report it", **values)

    def count(self, event: str) -> None:
        """Count a fault that is logged already."""
        with self._guard:
            times = self._by_event.setdefault(event, _Times(0, datetime.now(UTC), 0.0))
            times.number += 1
            times.last = time.monotonic()
        self._counted()

    async def survived(self, words: str, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task until it ends; note each exception with which it fails, and begin again. `words` name
        the task."""
        while True:
            try:
                return await task()
            except Exception:
                self.note(f"{words} failed and begins again", exc_info=True)
                await asyncio.sleep(AGAIN_SECONDS)

    @property
    def number(self) -> int:
        """The number of faults."""
        with self._guard:
            return sum(times.number for times in self._by_event.values())

    def as_json(self) -> list[dict[str, Any]]:
        """Return what failed, how often, since when, and how long ago it did so last; the latest first."""
        now = time.monotonic()
        with self._guard:
            found = sorted(self._by_event.items(), key=lambda each: each[1].last, reverse=True)
            return [
                {
                    "what": event,
                    "times": times.number,
                    "since": times.first.isoformat(timespec="seconds"),
                    "seconds_ago": round(now - times.last, 3),
                }
                for event, times in found
            ]
