"""Annotations that Istio refuses, or that say what cannot be."""

from __future__ import annotations

from typing import Any, Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.document import Config
from mizzen.config.group_kinds import AUTHORIZATION_POLICY
from mizzen.config.interception import INTERCEPTION_MODE, MODES
from mizzen.config.validation.place import Place

_REFUSED: Final = {
    "istio.io/dry-run": "is for AuthorizationPolicy only; leave it out",
    "internal.istio.io/parents": "is Istio's own and may not be set; leave it out",
    "internal.istio.io/parent-namespace": "is Istio's own and may not be set; leave it out",
}

_ALLOWED: Final = frozenset({(AUTHORIZATION_POLICY, "istio.io/dry-run")})


def check_annotations(config: Config[Any], diagnostics: list[Diagnostic]) -> None:
    """Report the annotations of `config` that its kind must not have."""
    for name, reason in _REFUSED.items():
        if name in config.annotations and (config.group_kind, name) not in _ALLOWED:
            Place(config, ("metadata", "annotations", name), diagnostics).error(f"{name} {reason}")
    mode = config.annotations.get(INTERCEPTION_MODE)
    if mode is not None and mode not in MODES:
        place = Place(config, ("metadata", "annotations", INTERCEPTION_MODE), diagnostics)
        place.warning(f'"{mode}" is no mode and counts as absent; write {", ".join(MODES)}')
