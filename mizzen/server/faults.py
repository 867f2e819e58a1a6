"""Faults of Mizzen that it contained: each is logged, counted, and told in the status."""

from __future__ import annotations

import structlog

from mizzen.server.metrics import Metrics


class Faults:
    """The faults since the start."""

    def __init__(self, metrics: Metrics) -> None:
        self.count = 0
        self.last = ""
        """What failed last."""
        self._metrics = metrics
        self._log = structlog.get_logger("mizzen.server")

    def note(self, event: str, **values: object) -> None:
        """Note a fault; `event` says what failed, `values` are for the log alone."""
        self.count += 1
        self.last = event
        self._metrics.translation_failures.inc()
        self._log.error(f"{event}: a fault of Mizzen, please report it", **values)
