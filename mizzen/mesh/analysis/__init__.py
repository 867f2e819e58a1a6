"""What documents that are each valid get wrong together: analysis of the mesh as a whole.

Codes and levels are those of `istioctl analyze` (https://istio.io/latest/docs/reference/config/analysis/), as
far as they keep their meaning without Kubernetes; MZ codes are ours. Every check looks things up by index, so
the cost grows with the documents and not with their square.
"""

from __future__ import annotations

from collections.abc import Sequence

from mizzen.config.diagnostics import Diagnostic, in_reading_order
from mizzen.incremental import Database
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.checks import CHECKS
from mizzen.mesh.analysis.findings import Findings
from mizzen.mesh.analysis.incremental_analysis import Analysis
from mizzen.mesh.analysis.selectors import check_selectors
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh

__all__ = ["Analysis", "analyze"]


def analyze(mesh: Mesh, proxies: Sequence[Proxy] | None = None) -> list[Diagnostic]:
    """Return all findings about the mesh, `mesh.diagnostics` among them, sorted by place.

    `proxies` are those that are connected, if that is known: only then can it be said that a selector picks
    none of them.
    """
    findings = Findings()
    analysed = AnalysedMesh(Database(), mesh)  # nothing is recorded, as no query reads
    for check in CHECKS:
        for key, member in check.subjects(analysed).items():
            check.look(analysed, key, member, findings)
    if proxies is not None:
        check_selectors(mesh, proxies, findings)
    return in_reading_order(dict.fromkeys(findings.at(mesh.current_origin)))
