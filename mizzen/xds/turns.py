"""Streams whose requests cost much take turns, so that those of all others are answered as ever.

A client that refuses everything, or asks for a hundred thousand names, makes work for each of its requests.
All such clients together keep the event loop busy for a fifth of the time: one of them has its turn, and then
the loop rests from all of them for four times as long as the turn took. They are served in the order in which
they asked, so each is delayed by the others of its kind, and nobody else is.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

REST: Final = 4
"""After a turn nobody has one for so many times as long as it took."""

LARGE: Final = 1 << 20
"""Bytes of a request that is read in a turn of its own. Ten thousand names are half as much."""

NAMES_AT_ONCE: Final = 10_000
"""So many names of a request are looked at before the event loop comes to anything else."""


class Turns:
    """One turn at a time. `taken` counts them."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()  # it is fair: who came first goes first
        self.taken = 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the end of the block. Do not wait for a client in it."""
        await self._turn.acquire()
        self.taken += 1
        begun = self._clock()
        try:
            yield
        finally:
            rest = REST * (self._clock() - begun)
            asyncio.get_running_loop().call_later(rest, self._turn.release)
