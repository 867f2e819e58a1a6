"""Commands that answer and end: no search for garbage meanwhile, and nothing loaded that a server needs."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from mizzen.sources import mesh_tests
from tests.unit.cli.conftest import Command


def test_the_search_for_garbage_rests_while_it_runs(
    mizzen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def load(paths: object) -> tuple[()]:
        seen.append(gc.isenabled())
        return ()

    monkeypatch.setattr(mesh_tests, "load_mesh_tests", load)
    assert gc.isenabled()
    mizzen("test", tmp_path)
    assert seen == [False]
    assert gc.isenabled()


def test_reading_files_once_loads_nothing_of_a_server() -> None:
    script = (
        "import sys, mizzen.sources.loading; print(*sorted({'structlog', 'watchfiles'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
