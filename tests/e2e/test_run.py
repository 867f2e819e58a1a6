"""`mizzen run`: real Envoys that live beside each other, started and ended as a user does."""

from __future__ import annotations

import os
import signal
import stat
import sys
from pathlib import Path

import httpx
import pytest

from mizzen.demo.child_process import ChildProcess
from mizzen.testing.ports import free_port
from mizzen.testing.waiting import DEADLINE, eventually

pytestmark = pytest.mark.envoy

MESH = Path(__file__).parents[2] / "examples/first-service"


def _folders(directory: Path) -> list[Path]:
    return sorted(directory.glob("mizzen-run-*"))


async def _mizzen(name: str, directory: Path, *arguments: str) -> ChildProcess:
    return await ChildProcess.start(
        name,
        [sys.executable, "-m", "mizzen", *arguments],
        log=directory / f"{name}.log",
        environment={"TMPDIR": str(directory)},
    )


async def _gateway(name: str, directory: Path, *arguments: str) -> ChildProcess:
    return await _mizzen(name, directory, "run", "gateway", "--name", name, "--ip", "127.0.0.1", *arguments)


async def test_two_envoys_beside_each_other(tmp_path: Path) -> None:
    grpc, admin = free_port(), free_port()
    envoys = {"a": free_port(), "b": free_port()}
    children = []
    try:
        children.append(
            await _mizzen(
                *("server", tmp_path, "serve", "--config", str(MESH)),
                *("--grpc-address", f"127.0.0.1:{grpc}", "--admin-address", f"127.0.0.1:{admin}"),
            )
        )
        for name, port in envoys.items():
            children.append(
                await _gateway(
                    *(name, tmp_path, "--admin-port", str(port)),
                    # The name has an IPv6 address on most machines, and nobody answers there.
                    *("--xds-address", f"localhost:{grpc}"),
                )
            )
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:
            for name, port in envoys.items():

                async def ready(port: int = port) -> bool:
                    try:
                        return (await client.get(f"http://127.0.0.1:{port}/ready")).is_success
                    except httpx.TransportError:
                        return False

                await eventually(ready, f"the Envoy {name} is ready")
        folders = _folders(tmp_path)
        assert len(folders) == 2
        for folder in folders:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert stat.S_IMODE((folder / "bootstrap.yaml").stat().st_mode) == 0o600
        for name, port in envoys.items():
            assert f"its admin interface at 127.0.0.1:{port}" in (tmp_path / f"{name}.log").read_text()
        await children[1].stop()  # by SIGTERM
        assert children[1].returncode == 0
        assert len(_folders(tmp_path)) == 1
    finally:
        for child in reversed(children):
            await child.stop()


async def test_two_that_start_at_once_have_admin_ports_of_their_own(tmp_path: Path) -> None:
    """Neither program listens, as an Envoy does not yet when the other one looks for a port."""
    binary = tmp_path / "envoy"
    binary.write_text("#!/bin/sh\nexec sleep 1000\n")
    binary.chmod(0o700)
    children: list[ChildProcess] = []

    async def start(name: str) -> None:
        child = await ChildProcess.start(
            name,
            [sys.executable, "-m", "mizzen", "run", "gateway", "--name", name, "--ip", "127.0.0.1"],
            log=tmp_path / f"{name}.log",
            environment={"MIZZEN_ENVOY": str(binary), "TMPDIR": str(tmp_path)},
        )
        children.append(child)

    try:
        await start("a")
        await start("b")

        def said() -> list[str]:
            return [
                line.rpartition(" ")[2]
                for child in children
                for line in child.log.read_text().splitlines()
                if "its admin interface at" in line
            ]

        async def both() -> bool:
            return len(said()) == 2

        await eventually(both, "both have said their ports")
        first, second = said()
        assert first != second
    finally:
        for child in children:
            await child.stop()


@pytest.mark.parametrize(("end", "code"), [("exit 7", 7), (f"kill -{int(signal.SIGKILL)} $$", 137)])
async def test_the_exit_code_is_handed_on(tmp_path: Path, end: str, code: int) -> None:
    binary = tmp_path / "envoy"
    binary.write_text(f"#!/bin/sh\n{end}\n")
    binary.chmod(0o700)
    child = await ChildProcess.start(
        "run",
        [sys.executable, "-m", "mizzen", "run", "gateway", "--name", "a", "--ip", "127.0.0.1"],
        log=tmp_path / "run.log",
        environment={"MIZZEN_ENVOY": str(binary), "TMPDIR": str(tmp_path)},
    )
    try:

        async def ended() -> bool:
            return child.returncode is not None

        await eventually(ended, "it ends")
        assert child.returncode == code, (tmp_path / "run.log").read_text()
        assert not _folders(tmp_path)
    finally:
        await child.stop()


async def test_the_envoy_does_not_outlive_it(tmp_path: Path) -> None:
    binary = tmp_path / "envoy"
    binary.write_text('#!/bin/sh\necho $$ > "$(dirname "$0")/pid"\nexec sleep 60\n')
    binary.chmod(0o700)
    child = await ChildProcess.start(
        "run",
        [sys.executable, "-m", "mizzen", "run", "gateway", "--name", "a", "--ip", "127.0.0.1"],
        log=tmp_path / "run.log",
        environment={"MIZZEN_ENVOY": str(binary), "TMPDIR": str(tmp_path)},
    )
    pid = tmp_path / "pid"
    try:

        async def started() -> bool:
            return pid.exists() and bool(pid.read_text().strip())

        await eventually(started, "it starts")
    finally:
        os.kill(child.pid, signal.SIGKILL)
    process = Path("/proc") / pid.read_text().strip() / "stat"

    async def gone() -> bool:
        # What is dead and not yet collected is a Z.
        return not process.exists() or process.read_text().rpartition(")")[2].split()[0] == "Z"

    await eventually(gone, "the Envoy ends")
    await child.stop()
