"""What documents that are each valid get wrong together: analysis of the mesh as a whole.

Codes and levels are those of `istioctl analyze` (https://istio.io/latest/docs/reference/config/analysis/), as
far as they keep their meaning without Kubernetes; MZ codes are ours. Every check looks things up by index, so
the cost grows with the documents and not with their square.
"""

from __future__ import annotations

from collections.abc import Sequence

from mizzen.config.diagnostics import Diagnostic
from mizzen.mesh.analysis.conflicts import find_conflicts
from mizzen.mesh.analysis.destination_rules import check_destination_rules
from mizzen.mesh.analysis.endpoints import check_endpoints
from mizzen.mesh.analysis.findings import Findings
from mizzen.mesh.analysis.gateways import check_gateways
from mizzen.mesh.analysis.mutual_tls import check_mutual_tls
from mizzen.mesh.analysis.networks import check_networks
from mizzen.mesh.analysis.references import check_references
from mizzen.mesh.analysis.selectors import check_selectors
from mizzen.mesh.proxy import Proxy
from mizzen.mesh.snapshot import Mesh

__all__ = ["analyze"]


def analyze(mesh: Mesh, proxies: Sequence[Proxy] | None = None) -> list[Diagnostic]:
    """Return all findings about the mesh, `mesh.diagnostics` among them, sorted by place.

    `proxies` are those that are connected, if that is known: only then can it be said that a selector picks
    none of them.
    """
    findings = Findings()
    check_references(mesh, findings)
    find_conflicts(mesh, findings)
    check_destination_rules(mesh, findings)
    check_gateways(mesh, findings)
    check_endpoints(mesh, findings)
    check_mutual_tls(mesh, findings)
    check_networks(mesh, findings)
    if proxies is not None:
        check_selectors(mesh, proxies, findings)
    found = dict.fromkeys((*mesh.diagnostics, *findings.diagnostics))
    return sorted(found, key=lambda one: (one.origin, one.code, one.path, one.message))
