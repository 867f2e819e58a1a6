"""The proxies that have disconnected, and when, so that the status can show a missing one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

REMEMBERED_SECONDS: Final = 3600.0
"""Seconds for which a disconnected proxy is listed."""

_REMEMBERED: Final = 10_000


class GoneProxies:
    """Remembers the proxies that have disconnected lately. `clock` is a monotonic clock in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._streams: Counter[str] = Counter()
        self._gone: dict[str, tuple[str, str, float]] = {}

    def came(self, node_id: str) -> None:
        """Record that a stream of a proxy began."""
        self._streams[node_id] += 1
        self._gone.pop(node_id, None)

    def went(self, node_id: str, name: str, kind: str) -> None:
        """Record that a stream of a proxy ended. With its last stream the proxy has gone."""
        self._streams[node_id] -= 1
        if self._streams[node_id] > 0:
            return
        del self._streams[node_id]
        self._gone.pop(node_id, None)
        self._gone[node_id] = (name, kind, self._clock())
        while len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def seconds_gone(self, proxy: str) -> float | None:
        """Return for how many seconds a proxy has been gone, by its name (with or without the namespace) or
        node id; None if it has not gone within the last hour."""
        for each in reversed(self.as_json()):
            if proxy in (each["node_id"], each["id"], each["id"].rpartition(".")[0]):
                return float(each["seconds_ago"])
        return None

    def as_json(self) -> list[dict[str, Any]]:
        """Return the proxies that have gone within the last hour and not come back, the latest last."""
        now = self._clock()
        return [
            {"id": name, "node_id": node_id, "type": kind, "seconds_ago": round(now - when, 3)}
            for node_id, (name, kind, when) in list(self._gone.items())
            if now - when <= REMEMBERED_SECONDS
        ]
