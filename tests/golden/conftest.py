"""`--rewrite-golden` writes what is sent now as what is expected; the diff is reviewed as code."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write the expected files anew")
