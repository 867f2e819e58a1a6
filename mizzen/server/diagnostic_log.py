"""Logs each diagnostic about the configuration once, and when diagnostics are resolved."""

from __future__ import annotations

import structlog

from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.ordered_diagnostics import DiagnosticsDifference

_LINES_AT_ONCE = 50


class DiagnosticLog:
    """Logs new diagnostics; if there are none, the number of resolved ones."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("mizzen.config")

    def report(self, difference: DiagnosticsDifference) -> None:
        """Log the difference since the last call."""
        new = sorted(difference.made, key=_urgency)
        for diagnostic in new[:_LINES_AT_ONCE]:
            self._say(diagnostic)
        if len(new) > _LINES_AT_ONCE:
            self._log.warning(
                "there are more diagnostics; `mizzen status` and `mizzen analyze` list them",
                more=len(new) - _LINES_AT_ONCE,
            )
        if difference.gone and not new:
            self._log.info(
                "diagnostics are resolved",
                resolved=len(difference.gone),
                remaining=difference.remaining,
            )

    def _say(self, diagnostic: Diagnostic) -> None:
        say = {
            Severity.ERROR: self._log.error,
            Severity.WARNING: self._log.warning,
            Severity.INFO: self._log.info,
        }[diagnostic.severity]
        say(str(diagnostic), code=diagnostic.code)


_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


def _urgency(diagnostic: Diagnostic) -> tuple[int, Origin, str]:
    return (_RANK[diagnostic.severity], diagnostic.origin, diagnostic.path)
