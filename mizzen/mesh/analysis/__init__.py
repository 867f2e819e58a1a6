"""Analysis of the mesh as a whole: finds mistakes between documents that are each valid.

Codes and levels are those of `istioctl analyze` (https://istio.io/latest/docs/reference/config/analysis/),
where they have a meaning without Kubernetes; MZ codes are ours. Every check looks things up by index, so the
cost grows with the number of documents, not with its square.
"""

from __future__ import annotations

from collections.abc import Iterable

from mizzen.config.diagnostics import Diagnostic, in_reading_order
from mizzen.incremental import Database
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.checks import CHECKS, REFUSED_TLS, Check
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.analysis.incremental_analysis import Analysis
from mizzen.mesh.snapshot import Mesh

__all__ = ["Analysis", "analyze", "refused_tls"]


def analyze(mesh: Mesh) -> list[Diagnostic]:
    """Return all diagnostics about the mesh, including `mesh.diagnostics`, sorted by place."""
    return _found(mesh, CHECKS)


def refused_tls(mesh: Mesh) -> list[Diagnostic]:
    """Return the diagnostics about clients that speak what workloads refuse (IST0113, MZ0223), by place."""
    return _found(mesh, REFUSED_TLS)


def _found(mesh: Mesh, checks: Iterable[Check]) -> list[Diagnostic]:
    diagnostics = Diagnostics()
    analysed = AnalysedMesh(Database(), mesh)  # no query reads it, so nothing is recorded
    for check in checks:
        for key, member in check.subjects(analysed).items():
            check.look(analysed, key, member, diagnostics)
    return in_reading_order(dict.fromkeys(diagnostics.at(mesh.current_origin)))
