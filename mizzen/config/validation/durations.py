"""Durations: minimum and precision."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from mizzen.config.validation.place import Place

_MILLISECOND: Final = timedelta(milliseconds=1)


def duration_problem(duration: timedelta, *, instead_of_zero: str = "") -> str | None:
    """`duration` must be at least 1ms, in whole milliseconds. `instead_of_zero` says
    how to turn the limit off."""
    if duration < _MILLISECOND:
        hint = f", or {instead_of_zero}" if instead_of_zero and not duration else ""
        return f"{duration_text(duration)} is too short; write at least 1ms{hint}"
    if duration % _MILLISECOND:
        return f"{duration_text(duration)} is too fine; write whole milliseconds"
    return None


def check_duration(duration: timedelta | None, place: Place, *, instead_of_zero: str = "") -> None:
    """Check a duration that may be absent."""
    if duration is not None:
        place.check(duration_problem(duration, instead_of_zero=instead_of_zero))


def duration_text(duration: timedelta) -> str:
    """Return `duration` in Istio's notation: 90s, 0.5s."""
    return f"{duration.total_seconds():f}".rstrip("0").rstrip(".") + "s"
