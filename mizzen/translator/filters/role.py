"""The role of a listener's proxy: sidecar or gateway, and the direction."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The traffic that a connection manager or a TCP chain handles."""

    SIDECAR_OUTBOUND = "sidecar outbound"
    SIDECAR_INBOUND = "sidecar inbound"
    GATEWAY = "gateway"
