"""Checks for AuthorizationPolicies whose external authorizer cannot be asked."""

from __future__ import annotations

from mizzen.config.document import Config
from mizzen.config.models import AuthorizationAction, AuthorizationPolicy
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics


def check_external_authorizer(
    mesh: AnalysedMesh, policy: Config[AuthorizationPolicy], diagnostics: Diagnostics
) -> None:
    """Find policies with action CUSTOM whose provider or its service does not exist (IST0101)."""
    provider = policy.spec.provider
    if policy.spec.action is not AuthorizationAction.CUSTOM or provider is None:
        return
    problem = mesh.external_authorizer(provider.name).problem
    if problem:
        diagnostics.error(
            "IST0101",
            policy,
            ("spec", "provider", "name"),
            f"{problem}; the requests that the policy is for are denied",
        )
