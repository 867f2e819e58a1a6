"""When a rejected resource is tried again.

The cause of a rejection may lie outside the resource and end unseen: a port was taken, a file was not there
yet. A client's message does not say so reliably. So each rejected resource is tried again: alone, only with
the client that rejected it, and only when nothing else is due to that client. The client's other resources
stay as they are.
"""

from dataclasses import dataclass
from typing import Final
from zlib import crc32

FIRST: Final = 5.0
"""Seconds from the first rejection to the next attempt; each further rejection doubles them."""

LONGEST: Final = 60.0
"""Most seconds between two attempts, before `_spread` is applied."""

APART: Final = 5.0
"""Least seconds between two attempts in one group, so that a client that rejects everything costs little."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The next attempt with a rejected resource.

    Attributes:
        client: the node id of the client that rejected the resource last; the attempt is made with it.
        rejections: how many times the resource was rejected.
        at: when the attempt is due, by the clock of the streams.
    """

    client: str = ""
    rejections: int = 0
    at: float = 0.0

    def rejected(self, client: str, now: float) -> "Retry":
        """Return the next attempt after a rejection."""
        delay = min(FIRST * 2 ** min(self.rejections, 10), LONGEST)
        return Retry(client, self.rejections + 1, now + delay * _spread(client))

    def begun(self, now: float) -> "Retry":
        """Return the next attempt in case this one is never answered."""
        return Retry(self.client, self.rejections, now + LONGEST * _spread(self.client))


def _spread(client: str) -> float:
    """Return a factor from 1 to 1.5, so that a thousand clients with one rejection do not retry at once."""
    return 1 + crc32(client.encode()) / 2**33
