"""The Envoys that were refused: they are in no table of proxies, and try again for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

REMEMBERED_SECONDS: Final = 60.0
"""Seconds for which a refusal is listed. A refused Envoy tries again within some seconds; after this time it
has given up."""

_REMEMBERED: Final = 100


@dataclass(frozen=True, slots=True)
class _Refusal:
    times: int
    last: float


class RefusedProxies:
    """Remembers why streams were refused lately, each reason once. `clock` is a monotonic clock in
    seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_reason: dict[str, _Refusal] = {}

    def add(self, reason: str) -> None:
        """Record that a stream was refused, with the text that its Envoy got."""
        before = self._by_reason.pop(reason, _Refusal(0, 0.0))
        self._by_reason[reason] = replace(before, times=before.times + 1, last=self._clock())
        while len(self._by_reason) > _REMEMBERED:
            del self._by_reason[next(iter(self._by_reason))]

    def as_json(self) -> list[dict[str, Any]]:
        """Return the reasons of the last minute, the latest last."""
        now = self._clock()
        return [
            {"reason": reason, "times": refusal.times, "seconds_ago": round(now - refusal.last, 3)}
            for reason, refusal in list(self._by_reason.items())
            if now - refusal.last <= REMEMBERED_SECONDS
        ]
