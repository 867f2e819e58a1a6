"""A child process of the demonstration: it writes to a log of its own and never outlives its parent."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mizzen.demo.errors import DemoError

PR_SET_PDEATHSIG = 1
"""`man 2 prctl`: the signal that this process gets when its parent ends for any reason."""

_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int) -> Callable[[], None]:
    """Return the function that a child calls before it becomes a program, so that it
    does not outlive `parent`."""

    def before_exec() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the line above, so no signal would come
            os._exit(1)

    return before_exec


class Process(Protocol):
    """What a child is controlled by, such as `asyncio.subprocess.Process`."""

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def returncode(self) -> int | None:
        """The exit code, or None while the process runs."""

    async def wait(self) -> int:
        """Wait until the process ends; return its exit code."""


class ChildProcess:
    """One running child, controlled by its handle."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> ChildProcess:
        """Start `command` with its output in the file `log`; `environment` adds to that of this process.

        The child leads a process group of its own. So a Ctrl-C in the terminal reaches only this process,
        which then stops the children in order. Raises DemoError if the program cannot be started.
        """
        with log.open("ab") as output:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, **(environment or {})},
                    process_group=0,
                    preexec_fn=die_with(os.getpid()),
                )
            except OSError as error:
                raise DemoError(f"{name}: cannot start {command[0]}: {error.strerror}") from error
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, or None while the process runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait until the process ends; return its exit code."""
        return await self._process.wait()

    def last_words(self, lines: int = 10) -> str:
        """Return the last lines of the log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def ended(self) -> DemoError:
        """Return the error for a process that ended unexpectedly."""
        return DemoError(f"{self.how_it_ended()}; its log {self.log} ends so:\n{self.last_words()}")

    def how_it_ended(self) -> str:
        """Return the name and how the process ended, for people."""
        return f"{self.name} ended by itself ({_how(self.returncode)})"

    def kill(self) -> None:
        """Kill the process and its children at once; `wait` for it afterwards."""
        if self._process.returncode is None:
            self._signal(signal.SIGKILL)

    async def stop(self, grace: float = 3.0) -> None:
        """Ask the process and its children to end, kill them after `grace` seconds, and wait."""
        if self._process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), grace)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        # The child leads its group, so the ids are equal; until it is waited for, no other process gets the
        # id.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _how(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return f"signal {-returncode}"
    return f"exit code {returncode}"
