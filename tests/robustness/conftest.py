"""One server for the tests of a module, and its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness.breakable import SERVICE, Serving, until


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server for the tests of a module, with a Service `good`; no test may hurt it."""
    place = tmp_path_factory.mktemp("serving")
    folder = place / "mesh"
    folder.mkdir()
    (folder / "good.yaml").write_text(SERVICE % "good")
    server = Serving(folder, log=place / "log")
    try:
        yield server
        assert "Traceback" not in server.log()
    finally:
        assert server.stop() == 0


@pytest.fixture
def folder(serving: Serving) -> Iterator[Path]:
    """The folder that is served; what a test puts there is taken away."""
    before = {each.name for each in serving.folder.iterdir()}
    yield serving.folder
    for each in os.scandir(os.fsencode(serving.folder)):
        if os.fsdecode(each.name) not in before:
            os.unlink(each.path)  # noqa: PTH108 (its name may be bytes that are no text)
    until(lambda: not serving.diagnostics() and serving.services() == 1)
