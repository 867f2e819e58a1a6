from structlog.testing import capture_logs

from mizzen.config import Diagnostic, Origin, Severity
from mizzen.config.ordered_diagnostics import OrderedDiagnostics
from mizzen.server.diagnostic_log import DiagnosticLog


def diagnostic(message: str, severity: Severity = Severity.ERROR, line: int = 3) -> Diagnostic:
    return Diagnostic(severity, "IST0106", message, Origin("a.yaml", line), "spec.http[0]")


class Reported:
    """Diagnostics that change, and what is said of them."""

    def __init__(self) -> None:
        self.diagnostics = OrderedDiagnostics()
        self._diagnostic_log = DiagnosticLog()

    def report(self, current: list[Diagnostic]) -> None:
        self.diagnostics.replace("all", current)
        self._diagnostic_log.report(self.diagnostics.take())


def test_a_diagnostic_is_said_once_and_again_only_after_it_was_gone() -> None:
    with capture_logs() as lines:
        log = Reported()
        log.report([diagnostic("bad")])
        log.report([diagnostic("bad")])
        log.report([])
        log.report([diagnostic("bad")])
    said = [(line["log_level"], line["event"]) for line in lines]
    bad = ("error", "a.yaml:3: spec.http[0]: bad")
    assert said == [bad, ("info", "diagnostics are resolved"), bad]


def test_errors_come_before_warnings() -> None:
    with capture_logs() as lines:
        Reported().report([diagnostic("w", Severity.WARNING, 1), diagnostic("e", Severity.ERROR, 9)])
    assert [line["log_level"] for line in lines] == ["error", "warning"]


def test_a_flood_is_cut_short_and_says_so() -> None:
    with capture_logs() as lines:
        Reported().report([diagnostic("bad", line=number) for number in range(1, 1001)])
    assert len(lines) == 51
    assert lines[-1]["more"] == 950


def test_a_diagnostic_has_its_code_and_what_is_resolved_its_numbers() -> None:
    with capture_logs() as lines:
        log = Reported()
        log.report([diagnostic("one"), diagnostic("two"), diagnostic("i", Severity.INFO)])
        log.report([diagnostic("two")])
        log.report([diagnostic("three")])
    assert [(line["log_level"], line.get("code")) for line in lines[:3]] == [
        ("error", "IST0106"),
        ("error", "IST0106"),
        ("info", "IST0106"),
    ]
    resolved = {"event": "diagnostics are resolved", "log_level": "info", "resolved": 2, "remaining": 1}
    assert lines[3] == resolved
    assert [line["event"] for line in lines[4:]] == ["a.yaml:3: spec.http[0]: three"], "in place of another"


def test_fifty_lines_are_no_flood() -> None:
    with capture_logs() as lines:
        Reported().report([diagnostic("bad", line=number) for number in range(1, 51)])
    assert len(lines) == 50
    assert "more" not in lines[-1]
    with capture_logs() as lines:
        Reported().report([diagnostic("bad", line=number) for number in range(1, 52)])
    assert (len(lines), lines[-1]["log_level"], lines[-1]["more"]) == (51, "warning", 1)
    assert "mizzen status" in lines[-1]["event"]
