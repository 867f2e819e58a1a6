"""Findings of many finders, kept in order."""

from __future__ import annotations

from mizzen.config import Diagnostic, Origin, Severity
from mizzen.config.ordered_findings import FindingsDifference, OrderedFindings
from mizzen.persistent import ChunkedSequence


def finding(line: int, severity: Severity = Severity.ERROR) -> Diagnostic:
    return Diagnostic(severity, "MZ0001", "odd", Origin("a.yaml", line))


def test_they_are_in_order_and_each_is_there_once() -> None:
    findings = OrderedFindings()
    findings.replace("one", [finding(3), finding(1)])
    findings.replace("two", [finding(3), finding(2, Severity.WARNING)])
    assert [each.origin.line for each in findings.in_order()] == [1, 2, 3]
    assert findings.counts == {(Severity.ERROR, "MZ0001"): 2, (Severity.WARNING, "MZ0001"): 1}
    findings.replace("one", [])
    assert [each.origin.line for each in findings.in_order()] == [2, 3]
    findings.replace("two", [])
    assert (list(findings.in_order()), findings.counts.total()) == ([], 0)


def test_what_differs_is_taken_once() -> None:
    findings = OrderedFindings()
    findings.replace("one", [finding(1), finding(2)])
    assert findings.take() == FindingsDifference([], [finding(1), finding(2)], 2)
    findings.replace("one", [finding(2), finding(3)])
    findings.replace("two", [finding(1), finding(4)])
    findings.in_order()
    findings.replace("two", [finding(1)])
    assert findings.take() == FindingsDifference([], [finding(3)], 3), "4 has come and gone meanwhile"
    findings.replace("two", [])
    assert findings.take() == FindingsDifference([finding(1)], [], 2)
    assert findings.take() == FindingsDifference([], [], 2)


def test_what_is_known_is_what_somebody_finds() -> None:
    findings = OrderedFindings()
    assert findings.knows([])
    findings.replace("one", [finding(1), finding(2)])
    assert findings.knows([finding(2)])
    assert not findings.knows([finding(2), finding(3)])


def test_versions_share_what_did_not_change() -> None:
    of_mesh = ChunkedSequence(map(finding, range(1_000)))
    findings = OrderedFindings()
    findings.replace("mesh", of_mesh)
    before = findings.in_order()
    findings.replace("mesh", of_mesh.updated([of_mesh[500]], [], lambda each: each.origin))
    assert before.difference(findings.in_order()) == ([finding(500)], [])
