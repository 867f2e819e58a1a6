"""Logs each finding about the configuration once, and when findings are resolved."""

from __future__ import annotations

import structlog

from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.ordered_findings import FindingsDifference

_LINES_AT_ONCE = 50


class DiagnosticLog:
    """Logs new findings; if there are none, the number of resolved ones."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("mizzen.config")

    def report(self, difference: FindingsDifference) -> None:
        """Log the difference since the last call."""
        new = sorted(difference.made, key=_urgency)
        for finding in new[:_LINES_AT_ONCE]:
            self._say(finding)
        if len(new) > _LINES_AT_ONCE:
            self._log.warning(
                "there are more findings; `mizzen status` and `mizzen analyze` list them",
                more=len(new) - _LINES_AT_ONCE,
            )
        if difference.gone and not new:
            self._log.info(
                "findings are resolved",
                resolved=len(difference.gone),
                remaining=difference.remaining,
            )

    def _say(self, finding: Diagnostic) -> None:
        say = {
            Severity.ERROR: self._log.error,
            Severity.WARNING: self._log.warning,
            Severity.INFO: self._log.info,
        }[finding.severity]
        say(str(finding), code=finding.code)


_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


def _urgency(finding: Diagnostic) -> tuple[int, Origin, str]:
    return (_RANK[finding.severity], finding.origin, finding.path)
