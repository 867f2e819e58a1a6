"""The shop's visitors: a steady trickle of requests for its page, so that there is something to look at."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import httpx

MOST_AT_ONCE = 50


@dataclass(slots=True)
class Visitors:
    """Asks for a page at a steady rate, and counts the answers."""

    client: httpx.AsyncClient
    url: str
    rate: float
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def pages(self) -> int:
        """How many pages were asked for and answered, well or badly."""
        return self.answers.total()

    @property
    def failures(self) -> int:
        """How many of them were not a page."""
        return self.pages - self.answers["200"]

    async def run(self) -> None:
        """Visit until cancelled. A shop that answers slowly gets no more than so many visitors at once."""
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
            self.answers[str(response.status_code)] += 1
        except httpx.HTTPError as error:
            self.answers[type(error).__name__] += 1
