"""Weights as shares of a whole."""

from __future__ import annotations

from collections.abc import Sequence


def shares(weights: Sequence[int]) -> tuple[float, ...]:
    """Return the share of each weight; empty if all weights are 0."""
    total = sum(weights)
    return tuple(weight / total if total else 0.0 for weight in weights)
