"""Analysis of the mesh as a whole: finds mistakes between documents that are each valid.

Codes and levels are those of `istioctl analyze` (https://istio.io/latest/docs/reference/config/analysis/),
where they have a meaning without Kubernetes; MZ codes are ours. Every check looks things up by index, so the
cost grows with the number of documents, not with its square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mizzen.config.diagnostics import Diagnostic, in_reading_order
from mizzen.incremental import Database, Failure
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.checks import CHECKS, REFUSED_TLS, Check
from mizzen.mesh.analysis.faults import Fault, faults_of
from mizzen.mesh.analysis.incremental_analysis import Analysis
from mizzen.mesh.snapshot import Mesh

__all__ = ["Analysis", "Fault", "analyze", "refused_tls"]


def analyze(mesh: Mesh, note: Callable[[Fault], None] | None = None) -> list[Diagnostic]:
    """Return all diagnostics about the mesh, including `mesh.diagnostics`, sorted by place.

    If a check raises for a thing, `note` is called, and what that check would have said of that thing is
    missing. Without `note`, the exception is raised.
    """
    return _found(mesh, CHECKS, note)


def refused_tls(mesh: Mesh, note: Callable[[Fault], None] | None = None) -> list[Diagnostic]:
    """Return the diagnostics about clients that speak what workloads refuse (IST0113, MZ0223), by place.
    `note` as for `analyze`."""
    return _found(mesh, REFUSED_TLS, note)


def _found(mesh: Mesh, checks: Iterable[Check], note: Callable[[Fault], None] | None) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    failures: list[Failure] = []
    analysed = AnalysedMesh(Database(), mesh)  # no query reads it, so nothing is recorded
    for check in checks:
        for key, member in check.subjects(analysed).items():
            try:
                found += check.found(analysed, key, member)
            except Exception as error:
                if note is None:
                    raise
                failures.append(Failure(check.name, (key,), error, error.__traceback__))
    if note is not None:
        for fault in faults_of((*analysed.database.failures, *failures)):
            note(fault)
    return in_reading_order(dict.fromkeys(found))
