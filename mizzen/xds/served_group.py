"""A group with its connected clients, and how a change reaches them."""

import asyncio
import time
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from typing import Final

from mizzen.xds.connection import StreamConnection
from mizzen.xds.group import Group
from mizzen.xds.names import NamePool

_AT_ONCE = 1_000
"""Number of clients woken before the event loop runs other tasks; also the number of groups."""


_NONE: Final = frozenset[str]()


class Waking:
    """The groups that are woken after this turn of the event loop, all by one callback."""

    def __init__(self) -> None:
        self._groups: deque[ServedGroup] = deque()

    def soon(self, served: "ServedGroup") -> None:
        """Wake this group after the current turn."""
        if not self._groups:
            asyncio.get_running_loop().call_soon(self._wake)
        self._groups.append(served)

    def _wake(self) -> None:
        now = time.monotonic()
        try:
            for _ in range(min(len(self._groups), _AT_ONCE)):
                self._groups.popleft().wake(now)
        finally:
            if self._groups:  # also if one of them failed
                asyncio.get_running_loop().call_soon(self._wake)


class ServedGroup:
    """A group with its connected clients.

    Args:
        key: the key of the group.
        names: the names that clients ask for.
        waking: wakes the group after a change; shared by all groups of a server.

    Attributes:
        connections: the streams of the group, by `Client.number`.
        opening: held while `on_group` is asked for the snapshot.
        arriving: number of clients that are in the group or on their way into it.
        made_on_demand: `on_group` was asked for the snapshot.
        linger: the timer that forgets the group after its last client has gone.
    """

    def __init__(self, key: Hashable, names: NamePool, waking: Waking) -> None:
        self.group = Group(key, names=names)
        self.connections: dict[int, StreamConnection] = {}
        self.opening = asyncio.Lock()
        self.arriving = 0
        self.made_on_demand = False
        self.linger: asyncio.TimerHandle | None = None
        self._touched: frozenset[str] | None = _NONE
        self._waking = waking
        self._is_waking = False

    def check_thread(self) -> None:
        """Check that the caller is in a thread with an event loop.

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
        """Wake the clients that ask for one of these changed types (None: all types), after this turn of the
        event loop. So changes that are made together are sent together.
        """
        if not self.connections:
            return
        if type_urls is None:
            self._touched = None
        elif self._touched is not None:
            self._touched = self._touched.union(type_urls)
        if not self._is_waking:
            self._is_waking = True
            self._waking.soon(self)

    def wake(self, now: float) -> None:
        """Wake the clients that the changes of the last turn concern. `now` is the monotonic time."""
        touched, self._touched = self._touched, _NONE
        self._is_waking = False
        concerned = list(self.connections.values())
        if touched is not None:
            concerned = [each for each in concerned if not touched.isdisjoint(each.stream.channels)]
        _wake_some(concerned, now)


def _wake_some(connections: Sequence[StreamConnection], now: float | None = None) -> None:
    """Wake these clients; further ones than `_AT_ONCE` in later turns of the event loop."""
    for connection in connections[:_AT_ONCE]:
        connection.wake(now)
    if len(connections) > _AT_ONCE:
        asyncio.get_running_loop().call_soon(_wake_some, connections[_AT_ONCE:])
