"""Pytest in a process of its own, forked from one that has imported Mizzen."""

from __future__ import annotations

import time

import pytest

from tests import forked_mizzen


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest with the plugin in the folder of `pytester`."""
    # In this process, pytester would take the modules back that its tests were the first to import. Whoever
    # imports them next gets classes of the same names that are others.
    before = time.monotonic()
    done = forked_mizzen.run(
        *("-p", "mizzen.testing.plugin", "-p", "no:asyncio", f"--basetemp={pytester.path / 'basetemp'}"),
        *arguments,
        main=pytest.console_main,
    )
    seconds = time.monotonic() - before
    return pytest.RunResult(done.returncode, done.stdout.splitlines(), done.stderr.splitlines(), seconds)
