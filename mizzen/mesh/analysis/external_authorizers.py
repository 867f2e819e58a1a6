"""AuthorizationPolicies that leave the decision to an authorizer that cannot be asked."""

from __future__ import annotations

from mizzen.config.models import AuthorizationAction
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.findings import Findings


def check_external_authorizers(mesh: AnalysedMesh, findings: Findings) -> None:
    """Find providers of action CUSTOM that are not in MeshConfig, or whose service is not there (IST0101)."""
    for policy in mesh.configs("AuthorizationPolicy"):
        provider = policy.spec.provider
        if policy.spec.action is not AuthorizationAction.CUSTOM or provider is None:
            continue
        problem = mesh.external_authorizer(provider.name).problem
        if problem:
            findings.error(
                "IST0101",
                policy,
                ("spec", "provider", "name"),
                f"{problem}; the requests that the policy is for are denied",
            )
