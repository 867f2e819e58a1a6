"""Shorthand for DestinationRules."""

from __future__ import annotations

T = "spec.trafficPolicy"
OUTLIER = "outlierDetection: {interval: 1s}"


def rule(fields: str) -> str:
    return f"{{host: a, {fields}}}"


def policy(fields: str) -> str:
    return rule(f"trafficPolicy: {{{fields}}}")
