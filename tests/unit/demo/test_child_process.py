"""Children: their words are kept, they end when told, and never outlive their parent."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from mizzen.demo import DemoError
from mizzen.demo.child_process import ChildProcess


def _ends(pid: int) -> bool:
    """Wait until a process that is not our child is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 60.0)[0])
    finally:
        os.close(descriptor)


async def _first_words(child: ChildProcess) -> str:
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        if words := child.last_words().strip():
            return words
        await asyncio.sleep(0.01)
    return ""


async def test_a_child_is_stopped(tmp_path: Path) -> None:
    child = await ChildProcess.start("sleeper", ["sleep", "60"], log=tmp_path / "log")
    assert child.returncode is None
    await child.stop(grace=60)
    assert child.returncode == -signal.SIGTERM
    await child.stop()  # a second time does no harm


async def test_a_child_that_will_not_end_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    stubborn = "trap '' TERM; echo deaf; while :; do sleep 60; done"
    child = await ChildProcess.start("stubborn", ["sh", "-c", stubborn], log=log)
    assert await _first_words(child) == "deaf"
    await child.stop(grace=0.1)
    assert child.returncode == -signal.SIGKILL


async def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    script = "sleep 60 & echo $!; wait"
    child = await ChildProcess.start("shell", ["sh", "-c", script], log=tmp_path / "log")
    grandchild = int(await _first_words(child))
    await child.stop()
    assert _ends(grandchild)


async def test_the_end_of_a_child_is_told_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = await ChildProcess.start("shell", ["sh", "-c", "echo cannot go on >&2; exit 3"], log=log)
    assert await child.wait() == 3
    assert str(child.ended()) == f"shell ended by itself (exit code 3); its log {log} ends so:\ncannot go on"


async def test_the_environment_is_added_to(tmp_path: Path) -> None:
    child = await ChildProcess.start(
        "shell", ["sh", "-c", "echo $SHOP from $HOME"], log=tmp_path / "log", environment={"SHOP": "books"}
    )
    await child.wait()
    assert child.last_words() == f"books from {os.environ['HOME']}"


async def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="ghost: cannot start /no/such/program: No such file"):
        await ChildProcess.start("ghost", ["/no/such/program"], log=tmp_path / "log")


def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import asyncio, pathlib, signal
        from mizzen.demo.child_process import ChildProcess

        async def main():
            log = pathlib.Path({str(tmp_path / "log")!r})
            child = await ChildProcess.start("sleeper", ["sleep", "60"], log=log)
            print(child.pid, flush=True)
            await child.wait()

        asyncio.run(main())
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert _ends(pid)
