"""The annotation that only tries out an AuthorizationPolicy.

https://istio.io/latest/docs/tasks/security/authorization/authz-dry-run/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DRY_RUN: Final = "istio.io/dry-run"
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def is_dry_run(annotations: Mapping[str, str]) -> bool:
    """Tell whether a policy with these annotations is only tried out: Envoy counts
    and logs what it would do."""
    return annotations.get(DRY_RUN) in _TRUE


def dry_run_problem(value: str) -> str | None:
    """`value` must be a boolean, as Go reads one."""
    return None if value in _TRUE | _FALSE else f'"{value}" is not a boolean; write "true" or "false"'
