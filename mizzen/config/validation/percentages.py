"""Percentages."""

from __future__ import annotations

from mizzen.config.models import Percent
from mizzen.config.validation.place import Place

_SMALLEST = 0.0001


def check_percent(percent: int, place: Place) -> None:
    """Check a percentage in whole numbers."""
    if not 0 <= percent <= 100:
        place.error(f"{percent} is not a percentage; write 0 to 100")


def check_percentage(percentage: Percent | None, place: Place, *, smallest: float = _SMALLEST) -> None:
    """Check a percentage with a fraction: 0, or from `smallest` (the finest that Envoy tells apart) to 100."""
    if percentage is None:
        return
    value = percentage.value
    if value != 0 and not smallest <= value <= 100:
        (place / "value").error(f"{value:g} is not a percentage; write 0, or {smallest:g} to 100")
