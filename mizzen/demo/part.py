"""One process of the shop, which is started again when it ends by itself."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from mizzen.demo.child_process import ChildProcess

MOST_ENDS = 10
ENDS_SECONDS = 60.0
"""A process that ends MOST_ENDS times within this time stops the demonstration."""

Launch = Callable[[], Awaitable[ChildProcess]]
"""Starts the process, waits until it serves, and returns it. Raises DemoError if it fails."""


class Part:
    """A process of the shop, by name. It can be killed on purpose; then it is started again on request.

    `last_event` is one line about its latest end, for people; None if it never ended. `starts` counts how
    often it began to serve.
    """

    def __init__(self, name: str, launch: Launch) -> None:
        self.name = name
        self.last_event: str | None = None
        self.starts = 0
        self._launch = launch
        self._child: ChildProcess | None = None
        self._halted: ChildProcess | None = None
        self._wanted = asyncio.Event()
        self._wanted.set()

    @property
    def serves(self) -> bool:
        """True while the process runs and serves."""
        return self._child is not None and self._child.returncode is None

    @property
    def halted(self) -> bool:
        """True from `kill(halt=True)` until `resume`."""
        return not self._wanted.is_set()

    async def start(self) -> None:
        """Start the process and wait until it serves. Raises DemoError if it fails."""
        self._child = await self._launch()
        self.starts += 1

    def kill(self, *, halt: bool = False) -> None:
        """Kill the process, as an accident would; with `halt` it stays down until `resume`."""
        if self._child is None or self._child.returncode is not None:
            return
        if halt:
            self._wanted.clear()
            self._halted = self._child
        self._child.kill()

    def resume(self) -> None:
        """Let a halted process be started again."""
        self._wanted.set()

    async def wanted(self) -> None:
        """Wait until the process is not halted."""
        await self._wanted.wait()

    async def keep(self) -> None:
        """Start the process again whenever it ends, until cancelled.

        Raises DemoError with the end of its log if it fails to serve again, or ends again and again.
        """
        ends: deque[float] = deque(maxlen=MOST_ENDS)
        while True:
            assert self._child is not None
            ended = self._child
            await ended.wait()
            if ended is self._halted:
                await self.wanted()
                await self.start()
                continue
            now = time.monotonic()
            ends.append(now)
            if len(ends) == MOST_ENDS and now - ends[0] < ENDS_SECONDS:
                raise ended.ended()
            self.last_event = f"{ended.how_it_ended()}; starting it again"
            await self.start()
            self.last_event = f"{ended.how_it_ended()}, and runs again {time.monotonic() - now:.1f} s later"
