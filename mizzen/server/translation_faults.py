"""Faults of Mizzen in the translation of documents: logged once each, with a traceback."""

from __future__ import annotations

import structlog

from mizzen.mesh.fault_search import Withheld
from mizzen.server.metrics import Metrics
from mizzen.server.needs import Translating


class TranslationFaults:
    """Remembers which documents cannot be translated (`withheld`), and logs and counts new ones."""

    def __init__(self, metrics: Metrics) -> None:
        self.withheld: tuple[Withheld, ...] = ()
        self._metrics = metrics
        self._log = structlog.get_logger("mizzen.server")

    def note(self, translation: Translating) -> None:
        """Log each document whose translation newly fails, with the traceback."""
        before = {(one.key, one.wanted) for one in self.withheld}
        self.withheld = translation.withheld
        for one in self.withheld:
            if (one.key, one.wanted) not in before:
                self._metrics.translation_failures.inc()
                self._log.error(
                    "a document cannot be translated: a fault of Mizzen, please report it",
                    document=str(one.key),
                    traceback=one.traceback,
                )
        for traceback in translation.overcome():
            self._metrics.translation_failures.inc()
            self._log.error(
                "a translation failed and was repeated: a fault of Mizzen, please report it",
                traceback=traceback,
            )
