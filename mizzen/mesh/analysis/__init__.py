"""What documents that are each valid get wrong together: analysis of the mesh as a whole.

Codes and levels are those of `istioctl analyze` (https://istio.io/latest/docs/reference/config/analysis/), as
far as they keep their meaning without Kubernetes; MZ codes are ours. Every check looks things up by index, so
the cost grows with the documents and not with their square.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from mizzen.config.diagnostics import Diagnostic, in_reading_order
from mizzen.mesh.analysis.config_maps import check_config_maps
from mizzen.mesh.analysis.conflicts import find_conflicts
from mizzen.mesh.analysis.destination_rules import check_destination_rules
from mizzen.mesh.analysis.endpoints import check_endpoints
from mizzen.mesh.analysis.external_authorizers import check_external_authorizers
from mizzen.mesh.analysis.findings import Findings
from mizzen.mesh.analysis.gateways import check_gateways
from mizzen.mesh.analysis.mutual_tls import check_mutual_tls
from mizzen.mesh.analysis.networks import check_networks
from mizzen.mesh.analysis.references import check_references
from mizzen.mesh.analysis.selectors import check_selectors
from mizzen.mesh.analysis.unused import check_port_names, check_unused
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh

__all__ = ["analysis_steps", "analyze"]


def analyze(mesh: Mesh, proxies: Sequence[Proxy] | None = None) -> list[Diagnostic]:
    """Return all findings about the mesh, `mesh.diagnostics` among them, sorted by place.

    `proxies` are those that are connected, if that is known: only then can it be said that a selector picks
    none of them.
    """
    steps = analysis_steps(mesh, proxies)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: list[Diagnostic] = end.value
            return found


def analysis_steps(
    mesh: Mesh, proxies: Sequence[Proxy] | None = None
) -> Generator[None, None, list[Diagnostic]]:
    """Do what `analyze` does in steps of some milliseconds, for whoever has other things to do in between.

    Yields after each step and returns the findings. The mesh is a snapshot: that it has been superseded in
    the meantime does no harm.
    """
    findings = Findings()
    yield from check_references(mesh, findings)
    for check in (
        find_conflicts,
        check_destination_rules,
        check_gateways,
        check_endpoints,
        check_mutual_tls,
        check_config_maps,
        check_external_authorizers,
        check_networks,
        check_unused,
        check_port_names,
    ):
        check(mesh, findings)
        yield
    if proxies is not None:
        check_selectors(mesh, proxies, findings)
    found = dict.fromkeys(
        (*mesh.diagnostics, *(one.current(mesh.current_origin) for one in findings.diagnostics))
    )
    return in_reading_order(found)
