"""Whose traffic a listener's filters handle."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Whose traffic a connection manager or a TCP chain handles."""

    SIDECAR_OUTBOUND = "sidecar outbound"
    SIDECAR_INBOUND = "sidecar inbound"
    GATEWAY = "gateway"
