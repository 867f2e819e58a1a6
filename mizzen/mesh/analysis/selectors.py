"""Checks for selectors of policies and Sidecars with labels that no workload has."""

from __future__ import annotations

from typing import Any, Final

from mizzen.config.document import Config
from mizzen.mesh.analysis.analysed_labels import EVERYWHERE
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.rules.security_policies import has_target_refs
from mizzen.mesh.scope.sidecars import SidecarConfig, selector_of

_FEW: Final = 3


def check_policy_selector(mesh: AnalysedMesh, policy: Config[Any], diagnostics: Diagnostics) -> None:
    """Find labels of a security policy's selector that no workload has (IST0127).

    A proxy needs no document, so unknown labels may be right. But where workloads, Services or endpoints have
    the same label with different values, the selector or one of these is wrong.
    """
    selector = policy.spec.selector
    if selector is None or has_target_refs(policy):
        return
    everywhere = policy.namespace == mesh.mesh_config.root_namespace
    place = EVERYWHERE if everywhere else policy.namespace
    nothing = f"no workload and no Service of {'the mesh' if everywhere else f'namespace {place}'}"
    if not everywhere and (others := mesh.labels.elsewhere(place, selector.match_labels)):
        labels = ", ".join(f"{name}={value}" for name, value in sorted(selector.match_labels.items()))
        diagnostics.warning(
            "IST0127",
            policy,
            ("spec", "selector", "matchLabels"),
            f"{nothing} has {labels}, so the policy is for no call; did you mean namespace "
            f"{' or '.join(others[:_FEW])}{' ...' if len(others) > _FEW else ''}?",
        )
        return
    for name, value, meant in mesh.labels.misspelt(place, selector.match_labels):
        right = f"did you mean {meant}?" if meant else "correct the label, or declare a workload with it"
        diagnostics.warning(
            "IST0127",
            policy,
            ("spec", "selector", "matchLabels", name),
            f"{nothing} has {name}={value}, so the policy is for no call; {right}",
        )


def check_sidecar_selector(mesh: AnalysedMesh, sidecar: SidecarConfig, diagnostics: Diagnostics) -> None:
    """Find labels of a Sidecar's selector that no workload has, but that are similar to existing ones
    (IST0101). A workload that only makes calls needs no document, so other unknown labels may be right."""
    selector = selector_of(sidecar) or {}
    for name, value, meant in mesh.labels.misspelt(sidecar.namespace, selector):
        if meant:
            diagnostics.warning(
                "IST0101",
                sidecar,
                ("spec", "workloadSelector", "labels", name),
                f"no workload and no Service of namespace {sidecar.namespace} has {name}={value}; "
                f"did you mean {meant}?",
            )
