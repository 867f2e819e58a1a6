"""Durations as seconds."""

from __future__ import annotations

from typing import Any


def seconds(duration: Any) -> float:
    """Return a protobuf Duration as seconds."""
    return float(duration.seconds + duration.nanos / 1_000_000_000)


def limit(message: Any, field: str, default: float | None = None) -> float | None:
    """Return a limit in seconds: `default` if the field is not set, None if it is 0, which means no limit."""
    if not message.HasField(field):
        return default
    return seconds(getattr(message, field)) or None
