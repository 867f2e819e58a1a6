"""Mizzen in processes of its own, forked from one that has imported it.

Until `mizzen serve` is ready, a new Python spends three seconds of a processor on imports. So each worker of
pytest has one process that imports Mizzen once, and forks it for each start (the fork server of
`multiprocessing`). What is forked has its own memory, signals, process group, output and exit code.

A test of how the program itself is started runs `python -m mizzen` instead.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from mizzen.cli.main import app
from mizzen.demo.child_process import ChildProcess, die_with

_IMPORTED = (
    "mizzen.cli.main",
    "mizzen.server.process",
    "mizzen.cli.proxy_of_files",
    "mizzen.explain.describe.description",
    "mizzen.cli.table_output",
    "tests.forked_mizzen",
)

_DEADLINE = 240.0
"""For what hangs."""


@cache
def _fork_server() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


@dataclass(frozen=True)
class _Program:
    """What a forked process is to be."""

    arguments: tuple[str, ...]
    out: Path
    err: Path
    directory: Path
    environment: dict[str, str]
    main: Callable[[], int | None]

    def __call__(self) -> None:
        os.setpgid(0, 0)
        die_with(os.getppid())()
        for path, number in ((self.out, 1), (self.err, 2)):
            opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            os.dup2(opened, number)
            os.close(opened)
        os.chdir(self.directory)
        os.environ.clear()
        os.environ.update(self.environment)
        sys.argv = ["mizzen", *self.arguments]
        gc.freeze()
        sys.exit(self.main())


def start(
    arguments: Sequence[str | Path],
    out: Path,
    err: Path | None = None,
    main: Callable[[], int | None] = app,
) -> ForkServerProcess:
    """Start `mizzen` with these arguments, or another `main`. What it writes is appended to these files.

    For one thread only: each start also looks which of the processes before it have ended.
    """
    program = _Program(tuple(map(str, arguments)), out, err or out, Path.cwd(), dict(os.environ), main)
    process = _fork_server().Process(target=program, daemon=True)
    process.start()
    return process


def run(*arguments: str | Path, main: Callable[[], int | None] = app) -> subprocess.CompletedProcess[str]:
    """Run a command of Mizzen, or another `main`, until it ends."""
    with tempfile.TemporaryDirectory() as directory:
        out, err = Path(directory, "out"), Path(directory, "err")
        process = start(arguments, out, err, main)
        process.join(_DEADLINE)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(list(map(str, arguments)), _DEADLINE)
        return _ended(process.exitcode, out, err)


def _ended(code: int, out: Path, err: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess("mizzen", code, out.read_text(), err.read_text())


async def mizzen(*arguments: str | Path) -> tuple[int, str, str]:
    """Run a command of Mizzen; return its exit code, standard output and standard error."""
    with tempfile.TemporaryDirectory() as directory:
        out, err = Path(directory, "out"), Path(directory, "err")
        code = await asyncio.wait_for(_Awaited(start(arguments, out, err)).wait(), _DEADLINE)
        ended = _ended(code, out, err)
        return ended.returncode, ended.stdout, ended.stderr


class _Awaited:
    """A forked process as `ChildProcess` wants it."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    async def wait(self) -> int:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        descriptor = os.dup(self._process.sentinel)  # several may wait
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        code = self.returncode
        assert code is not None
        return code


async def launch(
    name: str, arguments: Sequence[str | Path], log: Path, *, main: Callable[[], int | None] = app
) -> ChildProcess:
    """Start `mizzen`, or another `main`, as a child: for `LiveMesh`."""
    return ChildProcess(name, _Awaited(start(arguments, log, main=main)), log)
