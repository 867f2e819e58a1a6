"""These tests choose themselves whether a Database checks."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def checking() -> None:
    """Leave `Database` as it is."""
