"""Which variants of the protocol and which services a scenario is tried with."""

from __future__ import annotations

from itertools import product

import pytest

from tests.conformance.peer import TYPES, Variant

FULL = ("CDS", "LDS")
PARTIAL = ("RDS", "EDS")
EVERY = FULL + PARTIAL


def cases(variants: tuple[Variant, ...], services: tuple[str, ...]) -> pytest.MarkDecorator:
    """Try a test with every one of these variants and services: its `variant` and `type_url`."""
    found = [
        pytest.param(variant, TYPES[service], id=f"{variant}-{service}")
        for variant, service in product(variants, services)
    ]
    return pytest.mark.parametrize(("variant", "type_url"), found)
