"""A server that is started while a file is broken, also after kill -9: proxies keep what they have."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.forked_mizzen import run
from tests.robustness.breakable import SERVICE, Serving, until


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


def kept(state: Path) -> int:
    """Return how many documents the state directory has."""
    database = sqlite3.connect(state / "documents.sqlite3")
    try:
        return int(database.execute("SELECT count(*) FROM in_force").fetchone()[0])
    finally:
        database.close()


def has_all(serving: Serving, state: Path) -> bool:
    return serving.services() == 30 and kept(state) == 30


def test_what_was_in_force_is_so_again_though_the_server_was_killed_in_between(tmp_path: Path) -> None:
    folder, state = tmp_path / "mesh", tmp_path / "state"
    folder.mkdir()
    for round_ in range(4):
        serving = Serving(folder, "--state", str(state), log=tmp_path / "log", wait=bool(round_))
        try:
            assert round_ == 0 or serving.services() == 30
            for number in range(30):
                port = str(1000 * (round_ + 1) + number)
                text = (SERVICE % f"s{number}").replace("port: 80", f"port: {port}")
                (folder / f"{number}.yaml").write_text(text)
            until(partial(has_all, serving, state))
        finally:
            serving.stop(signal.SIGKILL)
        for number in range(30):
            (folder / f"{number}.yaml").write_text("kind: [\n")
    serving = Serving(folder, "--state", str(state), log=tmp_path / "log")
    try:
        assert len(serving.configuration()["restored"]) == 30
        shown = run("status", "--admin", f"127.0.0.1:{serving.admin}")
        assert "from the state directory" in shown.stdout
        assert json.loads(serving.get("/status")[1])["server"]["state_error"] == ""
    finally:
        assert serving.stop() == 0
    assert "corrupt" not in serving.log()
    assert "Traceback" not in serving.log()
