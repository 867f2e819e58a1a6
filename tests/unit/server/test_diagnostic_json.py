from mizzen.config import Diagnostic, Origin, Severity
from mizzen.server.diagnostic_json import as_json


def test_a_diagnostic_as_json_has_all_its_parts() -> None:
    diagnostic = Diagnostic(Severity.WARNING, "IST0101", "lacks a host", Origin("a.yaml", 3), "spec.hosts[0]")
    assert as_json(diagnostic) == {
        "severity": "warning",
        "code": "IST0101",
        "file": "a.yaml",
        "line": 3,
        "path": "spec.hosts[0]",
        "message": "lacks a host",
    }
    assert as_json(Diagnostic(Severity.ERROR, "MZ0010", "gone", Origin("b.yaml")))["line"] == 0
