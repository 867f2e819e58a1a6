"""How calls end: what tests compare with their expectations. The simulator or real Envoys produce the
ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """What becomes of a call."""

    ARRIVES = "arrives"
    ANSWERED = "answered"
    """A proxy answers by itself, with any status."""
    DENIED = "denied"
    """A policy makes a proxy refuse the call."""
    CLOSED = "closed"
    """The connection is closed without an answer."""
    UNKNOWN = "unknown"
    """A filter that is not simulated decides."""


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a share of the calls ends. All shares of a call sum to 1.

    `host`, `subset` and `port` are the destination that the first proxy chose, empty if it chose none.
    `status` and `location` belong to a proxy's own answer; `authority`, `path` and `headers` to the request
    as it arrives. `said` is why a proxy stopped the call.
    """

    ending: Ending
    share: float = 1.0
    host: str = ""
    subset: str = ""
    port: int = 0
    status: int | None = None
    location: str = ""
    authority: str = ""
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    said: str = ""

    @property
    def told(self) -> str:
        """The end as a sentence, never empty."""
        return self.said or f"it goes to {self.place}"

    @property
    def place(self) -> str:
        """The destination in words: `reviews.default.svc.cluster.local:9080, subset v2`."""
        return destination_text(self.host, self.subset, self.port)


def destination_text(host: str, subset: str = "", port: int = 0) -> str:
    """Return a destination in words."""
    return f"{host}{f':{port}' if port else ''}{f', subset {subset}' if subset else ''}"
