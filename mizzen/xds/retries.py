"""When a client is asked again whether it takes what it refused.

The cause of a refusal may lie outside the resource and end without a word: a port was taken, a file was not
there yet. No message says so for certain. So each refused resource is tried again, alone and only with the
client that refused it, when nothing else is due to that client. What the client has in the meantime stays as
it is.
"""

from dataclasses import dataclass
from typing import Final
from zlib import crc32

FIRST: Final = 5.0
"""Seconds from the first refusal to the next attempt. Each refusal doubles them."""

LONGEST: Final = 60.0
"""The most seconds between two attempts, but for the part that spreads clients."""

APART: Final = 5.0
"""Least seconds between two attempts with one group: a client that refuses everything costs little."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The next attempt with a refused resource.

    Attributes:
        client: the node id of the client that refused it last, which is the one to ask.
        refusals: how many times it was refused.
        at: when it is due, by the clock of the streams.
    """

    client: str = ""
    refusals: int = 0
    at: float = 0.0

    def refused(self, client: str, now: float) -> "Retry":
        """Return the attempt that follows a refusal."""
        delay = min(FIRST * 2 ** min(self.refusals, 10), LONGEST)
        return Retry(client, self.refusals + 1, now + delay * _spread(client))

    def begun(self, now: float) -> "Retry":
        """Return the attempt that follows one that is never answered."""
        return Retry(self.client, self.refusals, now + LONGEST * _spread(self.client))


def _spread(client: str) -> float:
    """Return 1 to 1.5: a thousand clients that refused the same in one moment do not come back in one."""
    return 1 + crc32(client.encode()) / 2**33
