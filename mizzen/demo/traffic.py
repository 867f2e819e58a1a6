"""The shop's visitors: steady requests for its page, so that there is something to look at."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import httpx

MOST_AT_ONCE = 50
MISSING_HEADER = "x-shop-missing"
"""Set by the productpage (examples/bookinfo/apps/productpage.py)."""


@dataclass(slots=True)
class Visitors:
    """Asks for a page at a steady rate, and counts the answers."""

    client: httpx.AsyncClient
    url: str
    rate: float
    answers: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    """For each part of the page, the number of pages without it."""
    partial: int = 0
    """Number of pages that lacked a part."""

    @property
    def pages(self) -> int:
        """Number of pages requested and answered, well or badly."""
        return self.answers.total()

    @property
    def failures(self) -> int:
        """Number of answers that were not a page."""
        return self.pages - self.answers["200"]

    def counts(self) -> tuple[int, int, int]:
        """Return pages, failures, and pages with a part missing."""
        return self.pages, self.failures, self.partial

    async def run(self) -> None:
        """Visit until cancelled. At most MOST_AT_ONCE visitors wait at the same time
        for a shop that answers slowly."""
        visits: set[asyncio.Task[None]] = set()
        if self.rate <= 0:
            return
        async with asyncio.TaskGroup() as group:
            while True:
                if len(visits) < MOST_AT_ONCE:
                    visit = group.create_task(self.visit())
                    visits.add(visit)
                    visit.add_done_callback(visits.discard)
                await asyncio.sleep(1 / self.rate)

    async def visit(self) -> None:
        """Ask for the page once."""
        try:
            response = await self.client.get(self.url)
        except httpx.HTTPError as error:
            self.answers[type(error).__name__] += 1
            return
        self.answers[str(response.status_code)] += 1
        # This header names the parts that the page could not show; the status is 200 without them.
        missing = [part.strip() for part in response.headers.get(MISSING_HEADER, "").split(",")]
        if response.is_success and any(missing):
            self.partial += 1
            self.missing.update(filter(None, missing))
