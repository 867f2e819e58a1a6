"""Streams with costly requests take turns, so that all other streams are answered without delay.

Each request of a client that rejects everything, or asks for a hundred thousand names, is costly. All such
clients together may use a fifth of the event loop's time: after a turn of one of them, none has a turn for
four times as long. Turns are given in the order in which clients asked, so costly clients delay each other
and no other client.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

REST: Final = 4
"""Rest after a turn, as a multiple of the turn's duration."""

LARGE: Final = 1 << 20
"""Least bytes of a request that needs a turn. Ten thousand names take half as many."""

NAMES_AT_ONCE: Final = 10_000
"""Number of a request's names that are read before the event loop runs other tasks."""


class Turns:
    """Gives one turn at a time; `taken` counts the turns."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()  # fair: first come, first served
        self.taken = 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, which lasts until the end of the block. The block must not wait for a client."""
        await self._turn.acquire()
        self.taken += 1
        begun = self._clock()
        try:
            yield
        finally:
            rest = REST * (self._clock() - begun)
            asyncio.get_running_loop().call_later(rest, self._turn.release)
