"""The proxies that were connected and have gone: whoever looks for one should find when it went."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

REMEMBERED_SECONDS: Final = 3600.0
"""So long a proxy that has gone is listed."""

_REMEMBERED: Final = 10_000


class GoneProxies:
    """Remembers which proxies have gone lately. `clock`: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._streams: Counter[str] = Counter()
        self._gone: dict[str, tuple[str, str, float]] = {}

    def came(self, node_id: str) -> None:
        """Note that a stream of a proxy began."""
        self._streams[node_id] += 1
        self._gone.pop(node_id, None)

    def went(self, node_id: str, name: str, kind: str) -> None:
        """Note that a stream of a proxy ended; it has gone with its last one."""
        self._streams[node_id] -= 1
        if self._streams[node_id] > 0:
            return
        del self._streams[node_id]
        self._gone.pop(node_id, None)
        self._gone[node_id] = (name, kind, self._clock())
        while len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def as_json(self) -> list[dict[str, Any]]:
        """Return the proxies that went within the last hour and have not come back, the newest last."""
        now = self._clock()
        return [
            {"id": name, "node_id": node_id, "type": kind, "seconds_ago": round(now - when, 3)}
            for node_id, (name, kind, when) in list(self._gone.items())
            if now - when <= REMEMBERED_SECONDS
        ]
