"""What is wrong with the external authorizers of the workloads that documents declare.

A translation finds it for the proxy of a workload; these diagnostics show it also when files are only
checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.group_kinds import AUTHORIZATION_POLICY
from mizzen.config.models import AuthorizationAction
from mizzen.explain.callers import DeclaredCallers
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.on_demand import TranslationOnDemand
from mizzen.translator.translation import Translation

_CODES: Final = frozenset({"MZ0106", "MZ0107"})


def authorizer_diagnostics(mesh: Mesh) -> Iterator[Diagnostic]:
    """Yield a diagnostic for workloads with several authorizers, or one that is not asked about plain TCP."""
    policies = mesh.configs(AUTHORIZATION_POLICY)
    if not any(policy.spec.action is AuthorizationAction.CUSTOM for policy in policies):
        return
    translation = TranslationOnDemand(Translation(mesh))
    for proxy in DeclaredCallers(mesh).all():
        yield from (each for each in translation.own(proxy).diagnostics if each.code in _CODES)
