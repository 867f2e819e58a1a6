"""What can be observed of a running shop at one moment, and its rates over the last seconds."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from mizzen.demo.shop import Shop

WINDOW_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Observation:
    """The number of requests that each program has counted, by workload name; only programs that answered."""

    at: float
    requests: Mapping[str, int]


class Window:
    """The observations of the last seconds."""

    def __init__(self) -> None:
        self._observations: deque[Observation] = deque()

    def add(self, observation: Observation) -> None:
        """Add the newest observation and drop those that are too old."""
        self._observations.append(observation)
        while len(self._observations) > 2 and self._observations[1].at <= observation.at - WINDOW_SECONDS:
            self._observations.popleft()

    def total(self, workload: str) -> int | None:
        """Return the requests of a workload since its start, or None if it does not answer."""
        return self._observations[-1].requests.get(workload) if self._observations else None

    def rate(self, workload: str) -> float:
        """Return the requests per second of a workload over the window."""
        if len(self._observations) < 2:
            return 0.0
        first, last = self._observations[0], self._observations[-1]
        if workload not in first.requests or workload not in last.requests:
            return 0.0
        return (last.requests[workload] - first.requests[workload]) / (last.at - first.at)


async def observe(shop: Shop) -> Observation:
    """Ask each program of the shop for its count."""

    async def count(name: str, endpoint: str) -> tuple[str, int] | None:
        try:
            answer = await shop.client.get(f"http://{endpoint}/stats", timeout=1.0)
            return name, int(answer.json()["requests"])
        except (httpx.HTTPError, ValueError, KeyError):
            return None

    workloads = shop.topology.workloads
    counts = await asyncio.gather(*(count(workload.name, workload.app_endpoint) for workload in workloads))
    return Observation(time.monotonic(), dict(filter(None, counts)))
