"""A group with the clients that are in it, and how a change reaches them."""

import asyncio
from collections.abc import Hashable, Iterable, Iterator
from itertools import chain, islice

from mizzen.xds.connection import Connection
from mizzen.xds.group import Group
from mizzen.xds.names import NamePool

_AT_ONCE = 1_000
"""So many clients are woken before the event loop comes to anything else."""


class Room:
    """A group with the clients that are in it."""

    def __init__(self, key: Hashable, names: NamePool) -> None:
        self.group = Group(key, names=names)
        self.connections: dict[int, Connection] = {}
        self.opening = asyncio.Lock()
        self.arriving = 0
        self.made_on_demand = False
        self.linger: asyncio.TimerHandle | None = None
        self._touched: set[str] | None = set()
        self._waking = False

    def check_thread(self) -> None:
        """Make sure that a change comes from where the clients are served.

        Raises:
            RuntimeError: there are clients, and this thread runs no event loop.
        """
        if self.connections:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                raise RuntimeError(
                    "from another thread, use loop.call_soon_threadsafe(server.update, ...)"
                ) from None

    def changed(self, type_urls: Iterable[str] | None) -> None:
        """Some types of the snapshot, or all, have changed: wake the clients that ask for them, after this
        turn of the event loop. So changes that are made together go together.
        """
        if not self.connections:
            return
        if type_urls is None:
            self._touched = None
        elif self._touched is not None:
            self._touched.update(type_urls)
        if not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        touched, self._touched = self._touched, set()
        self._waking = False
        concerned = (
            connection
            for connection in list(self.connections.values())
            if touched is None or not touched.isdisjoint(connection.stream.channels)
        )
        self._wake_some(concerned)

    def _wake_some(self, connections: Iterator[Connection]) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in islice(connections, _AT_ONCE):
            connection.wake(now)
        if (following := next(connections, None)) is not None:
            loop.call_soon(self._wake_some, chain((following,), connections))
