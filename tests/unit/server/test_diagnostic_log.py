from structlog.testing import capture_logs

from mizzen.config import Diagnostic, Origin, Severity
from mizzen.config.ordered_findings import OrderedFindings
from mizzen.server.diagnostic_log import DiagnosticLog


def finding(message: str, severity: Severity = Severity.ERROR, line: int = 3) -> Diagnostic:
    return Diagnostic(severity, "IST0106", message, Origin("a.yaml", line), "spec.http[0]")


class Reported:
    """Findings that change, and what is said of them."""

    def __init__(self) -> None:
        self.findings = OrderedFindings()
        self._diagnostic_log = DiagnosticLog()

    def report(self, current: list[Diagnostic]) -> None:
        self.findings.replace("all", current)
        self._diagnostic_log.report(self.findings.take())


def test_a_finding_is_said_once_and_again_only_after_it_was_gone() -> None:
    with capture_logs() as lines:
        log = Reported()
        log.report([finding("bad")])
        log.report([finding("bad")])
        log.report([])
        log.report([finding("bad")])
    said = [(line["log_level"], line["event"]) for line in lines]
    bad = ("error", "a.yaml:3: spec.http[0]: bad")
    assert said == [bad, ("info", "findings are resolved"), bad]


def test_errors_come_before_warnings() -> None:
    with capture_logs() as lines:
        Reported().report([finding("w", Severity.WARNING, 1), finding("e", Severity.ERROR, 9)])
    assert [line["log_level"] for line in lines] == ["error", "warning"]


def test_a_flood_is_cut_short_and_says_so() -> None:
    with capture_logs() as lines:
        Reported().report([finding("bad", line=number) for number in range(1, 1001)])
    assert len(lines) == 51
    assert lines[-1]["more"] == 950


def test_a_finding_has_its_code_and_what_is_resolved_its_numbers() -> None:
    with capture_logs() as lines:
        log = Reported()
        log.report([finding("one"), finding("two"), finding("i", Severity.INFO)])
        log.report([finding("two")])
        log.report([finding("three")])
    assert [(line["log_level"], line.get("code")) for line in lines[:3]] == [
        ("error", "IST0106"),
        ("error", "IST0106"),
        ("info", "IST0106"),
    ]
    resolved = {"event": "findings are resolved", "log_level": "info", "resolved": 2, "remaining": 1}
    assert lines[3] == resolved
    assert [line["event"] for line in lines[4:]] == ["a.yaml:3: spec.http[0]: three"], "in place of another"


def test_fifty_lines_are_no_flood() -> None:
    with capture_logs() as lines:
        Reported().report([finding("bad", line=number) for number in range(1, 51)])
    assert len(lines) == 50
    assert "more" not in lines[-1]
    with capture_logs() as lines:
        Reported().report([finding("bad", line=number) for number in range(1, 52)])
    assert (len(lines), lines[-1]["log_level"], lines[-1]["more"]) == (51, "warning", 1)
    assert "mizzen status" in lines[-1]["event"]
