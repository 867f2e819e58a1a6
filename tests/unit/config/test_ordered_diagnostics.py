"""Diagnostics of many finders, kept in order."""

from __future__ import annotations

from mizzen.config import Diagnostic, Origin, Severity
from mizzen.config.ordered_diagnostics import DiagnosticsDifference, OrderedDiagnostics
from mizzen.persistent import ChunkedSequence


def diagnostic(line: int, severity: Severity = Severity.ERROR) -> Diagnostic:
    return Diagnostic(severity, "MZ0001", "odd", Origin("a.yaml", line))


def test_they_are_in_order_and_each_is_there_once() -> None:
    diagnostics = OrderedDiagnostics()
    diagnostics.replace("one", [diagnostic(3), diagnostic(1)])
    diagnostics.replace("two", [diagnostic(3), diagnostic(2, Severity.WARNING)])
    assert [each.origin.line for each in diagnostics.in_order()] == [1, 2, 3]
    assert diagnostics.counts == {(Severity.ERROR, "MZ0001"): 2, (Severity.WARNING, "MZ0001"): 1}
    diagnostics.replace("one", [])
    assert [each.origin.line for each in diagnostics.in_order()] == [2, 3]
    diagnostics.replace("two", [])
    assert (list(diagnostics.in_order()), diagnostics.counts.total()) == ([], 0)


def test_what_differs_is_taken_once() -> None:
    diagnostics = OrderedDiagnostics()
    diagnostics.replace("one", [diagnostic(1), diagnostic(2)])
    assert diagnostics.take() == DiagnosticsDifference([], [diagnostic(1), diagnostic(2)], 2)
    diagnostics.replace("one", [diagnostic(2), diagnostic(3)])
    diagnostics.replace("two", [diagnostic(1), diagnostic(4)])
    diagnostics.in_order()
    diagnostics.replace("two", [diagnostic(1)])
    assert diagnostics.take() == DiagnosticsDifference([], [diagnostic(3)], 3), (
        "4 has come and gone meanwhile"
    )
    diagnostics.replace("two", [])
    assert diagnostics.take() == DiagnosticsDifference([diagnostic(1)], [], 2)
    assert diagnostics.take() == DiagnosticsDifference([], [], 2)


def test_what_is_known_is_what_somebody_finds() -> None:
    diagnostics = OrderedDiagnostics()
    assert diagnostics.knows([])
    diagnostics.replace("one", [diagnostic(1), diagnostic(2)])
    assert diagnostics.knows([diagnostic(2)])
    assert not diagnostics.knows([diagnostic(2), diagnostic(3)])


def test_versions_share_what_did_not_change() -> None:
    of_mesh = ChunkedSequence(map(diagnostic, range(1_000)))
    diagnostics = OrderedDiagnostics()
    diagnostics.replace("mesh", of_mesh)
    before = diagnostics.in_order()
    diagnostics.replace("mesh", of_mesh.updated([of_mesh[500]], [], lambda each: each.origin))
    assert before.difference(diagnostics.in_order()) == ([diagnostic(500)], [])
