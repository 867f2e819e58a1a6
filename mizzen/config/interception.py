"""The annotation of a Pod or WorkloadEntry that says how its sidecar gets connections.

https://istio.io/latest/docs/reference/config/annotations/#SidecarInterceptionMode
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

InterceptionMode = Literal["REDIRECT", "TPROXY", "NONE"]
"""Captured by iptables in one of two ways, or received at addresses on which the proxy itself listens."""

INTERCEPTION_MODE: Final = "sidecar.istio.io/interceptionMode"
MODES: Final = get_args(InterceptionMode)


def interception_mode(annotations: Mapping[str, str]) -> str:
    """Return the mode that these annotations give to the sidecar; empty if there is none."""
    value = annotations.get(INTERCEPTION_MODE, "")
    return value if value in MODES else ""
