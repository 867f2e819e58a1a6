"""The annotation by which a Pod or WorkloadEntry says how its sidecar gets connections.

https://istio.io/latest/docs/reference/config/annotations/#SidecarInterceptionMode
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

InterceptionMode = Literal["REDIRECT", "TPROXY", "NONE"]
"""Captured by iptables in one of two ways, or at addresses on which the proxy itself listens."""

INTERCEPTION_MODE: Final = "sidecar.istio.io/interceptionMode"
MODES: Final = get_args(InterceptionMode)


def interception_mode(annotations: Mapping[str, str]) -> str:
    """Return the mode that a document with these annotations gives its sidecar, empty for none."""
    value = annotations.get(INTERCEPTION_MODE, "")
    return value if value in MODES else ""
