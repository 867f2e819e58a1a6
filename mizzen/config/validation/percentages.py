"""Percentages."""

from __future__ import annotations

from mizzen.config.models import Percent
from mizzen.config.validation.place import Place

_FINEST = 0.0001
"""The smallest percentage that Envoy distinguishes from 0: it counts in millionths."""


def check_percent(percent: int, place: Place) -> None:
    """Check a percentage in whole numbers."""
    if not 0 <= percent <= 100:
        place.error(f"{percent} is not a percentage; write 0 to 100")


def check_share(share: float | None, place: Place) -> None:
    """Check a percentage that may be absent and that Envoy takes as a number from 0 to 100."""
    if share is not None and not 0 <= share <= 100:
        place.error(f"{share:g} is not a percentage; write 0 to 100")


def check_percentage(percentage: Percent | None, place: Place, *, finest: float = _FINEST) -> None:
    """Check a percentage with a fraction: 0 to 100, and, if above 0, at least `finest`."""
    if percentage is None:
        return
    value = percentage.value
    if not 0 <= value <= 100:
        (place / "value").error(f"{value:g} is not a percentage; write 0 to 100")
    elif 0 < value < finest:
        (place / "value").error(f"{value:g} is too small a percentage; write 0, or at least {finest:g}")
