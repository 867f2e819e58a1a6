"""Selectors that pick none of the connected proxies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mizzen.mesh.analysis.findings import Findings
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.scope.sidecars import selector_of
from mizzen.mesh.snapshot import Mesh


def check_selectors(mesh: Mesh, proxies: Sequence[Proxy], findings: Findings) -> None:
    """Find Gateways and Sidecars whose selector picks no proxy (IST0101)."""
    known = {
        (proxy.type, proxy.namespace, tuple(sorted(mesh.workload_labels(proxy).items()))) for proxy in proxies
    }
    routers = [dict(labels) for kind, _, labels in known if kind == "router"]
    for gateway in mesh.configs("Gateway"):
        if not _picks(gateway.spec.selector, routers):
            findings.error(
                "IST0101",
                gateway,
                ("spec", "selector"),
                "no connected gateway has these labels; correct the selector, or start a gateway with them",
            )
    for namespace, sidecars in mesh.sidecar_index.by_namespace.items():
        workloads = [
            dict(labels) for kind, where, labels in known if kind == "sidecar" and where == namespace
        ]
        for sidecar in sidecars:
            selector = selector_of(sidecar)
            if selector is not None and not _picks(selector, workloads):
                findings.error(
                    "IST0101",
                    sidecar,
                    ("spec", "workloadSelector", "labels"),
                    f"no connected sidecar of namespace {namespace} has these labels; correct the selector",
                )


def _picks(selector: Mapping[str, str], workloads: Sequence[Mapping[str, str]]) -> bool:
    return any(all(labels.get(key) == value for key, value in selector.items()) for labels in workloads)
