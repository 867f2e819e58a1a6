"""A server that is started while a file is broken: proxies keep what they have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from breakable import SERVICE, Serving, run, until


def broken(folder: Path) -> None:
    (folder / "b.yaml").write_text((SERVICE % "b").replace("port: 80", "port: eighty"))


def unreadable(folder: Path) -> None:
    (folder / "b.yaml").write_text("kind: [\n")


def gone(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


@pytest.mark.parametrize("breaks", [broken, unreadable, gone])
def test_nobody_is_served_until_all_is_valid(tmp_path: Path, breaks: Callable[[Path], None]) -> None:
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "a.yaml").write_text(SERVICE % "a")
    breaks(folder)
    serving = Serving(folder, log=tmp_path / "log", wait=False)
    try:
        until(lambda: "no proxy is served until" in serving.log())
        assert serving.get("/ready")[0] == 503
        shown = run("status", "--admin", f"127.0.0.1:{serving.admin}")
        assert shown.returncode == 0
        assert "WAITING FOR" in shown.stdout
        assert str(folder) in shown.stdout, "what is wrong is said, with its file"
        assert "event=ready" not in serving.log()
        (folder / "b.yaml").write_text(SERVICE % "b")
        until(serving.is_ready)
    finally:
        assert serving.stop() == 0


def test_it_can_be_stopped_while_it_waits(tmp_path: Path) -> None:
    serving = Serving(tmp_path / "absent.yaml", log=tmp_path / "log", wait=False)
    try:
        until(lambda: "no proxy is served until" in serving.log())
    finally:
        assert serving.stop() == 0
    assert "Traceback" not in serving.log()


def test_what_is_valid_is_served_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "a.yaml").write_text(SERVICE % "a")
    serving = Serving(folder, log=tmp_path / "log")
    assert serving.stop() == 0
    assert "no proxy is served" not in serving.log()
