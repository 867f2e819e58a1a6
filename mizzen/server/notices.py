"""Says each finding about the configuration once: when it turns up, and when it is gone."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from mizzen.config.diagnostics import Diagnostic, Origin, Severity

_LINES_AT_ONCE = 50


class Notices:
    """Logs what is new among the findings of each rescan; what was said before is not said again."""

    def __init__(self) -> None:
        self._said: frozenset[Diagnostic] = frozenset()
        self._log = structlog.get_logger("mizzen.config")

    def know(self, findings: Iterable[Diagnostic]) -> bool:
        """Return whether all of these were said at the last report."""
        return self._said.issuperset(findings)

    def report(self, current: Iterable[Diagnostic]) -> None:
        """Take all findings that hold now; log those that did not hold at the last call."""
        now = frozenset(current)
        new = sorted(now - self._said, key=_urgency)
        gone = self._said - now
        self._said = now
        for finding in new[:_LINES_AT_ONCE]:
            self._say(finding)
        if len(new) > _LINES_AT_ONCE:
            self._log.warning(
                "there are more findings; `mizzen status` and `mizzen analyze` list them",
                more=len(new) - _LINES_AT_ONCE,
            )
        if gone and not new:
            self._log.info("findings are resolved", resolved=len(gone), remaining=len(now))

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
