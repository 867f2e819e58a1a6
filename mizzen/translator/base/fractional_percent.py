"""Percentages as Envoy's FractionalPercent."""

from __future__ import annotations

from typing import Any

from envoy.type.v3 import percent_pb2

from mizzen.config.models.virtual_service import Percent


def fraction(percentage: Percent) -> Any:
    """Return a percentage, which may have decimals, as Envoy's FractionalPercent in millionths."""
    # Istio cuts off decimals below a millionth. Rounding first keeps 0.07 * 10000 from becoming 699.
    return percent_pb2.FractionalPercent(
        numerator=int(round(percentage.value * 10_000, 6)), denominator=percent_pb2.FractionalPercent.MILLION
    )


def whole_percent(percentage: int) -> Any:
    """Return a whole percentage as Envoy's FractionalPercent."""
    return percent_pb2.FractionalPercent(
        numerator=percentage, denominator=percent_pb2.FractionalPercent.HUNDRED
    )
