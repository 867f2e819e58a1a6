from structlog.testing import capture_logs

from mizzen.config import Diagnostic, Origin, Severity
from mizzen.server.notices import Notices


def finding(message: str, severity: Severity = Severity.ERROR, line: int = 3) -> Diagnostic:
    return Diagnostic(severity, "IST0106", message, Origin("a.yaml", line), "spec.http[0]")


def test_a_finding_is_said_once_and_again_only_after_it_was_gone() -> None:
    with capture_logs() as lines:
        notices = Notices()
        notices.report([finding("bad")])
        notices.report([finding("bad")])
        notices.report([])
        notices.report([finding("bad")])
    said = [(line["log_level"], line["event"]) for line in lines]
    bad = ("error", "a.yaml:3: spec.http[0]: bad")
    assert said == [bad, ("info", "findings are resolved"), bad]


def test_errors_come_before_warnings() -> None:
    with capture_logs() as lines:
        Notices().report([finding("w", Severity.WARNING, 1), finding("e", Severity.ERROR, 9)])
    assert [line["log_level"] for line in lines] == ["error", "warning"]


def test_a_flood_is_cut_short_and_says_so() -> None:
    with capture_logs() as lines:
        Notices().report([finding("bad", line=number) for number in range(1, 1001)])
    assert len(lines) == 51
    assert lines[-1]["more"] == 950
