"""How calls end: what a test compares with its expectation, whether a simulator or real Envoys found it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """What becomes of a call."""

    ARRIVES = "arrives"
    ANSWERED = "answered"
    """A proxy answers by itself, well or badly."""
    DENIED = "denied"
    """A proxy refuses the call, as a policy says."""
    CLOSED = "closed"
    """The connection is closed without an answer."""
    UNKNOWN = "unknown"
    """A filter decides that is not simulated."""


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a share of the calls ends. All shares of a call make 1.

    `host`, `subset` and `port` are the destination that the first proxy chose, empty if it chose none.
    `status` and `location` are of a proxy's own answer. `authority`, `path` and `headers` are of the request
    as it arrives. `said` are the words of the proxy that stopped the call.
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
        """The ending as a sentence, never empty."""
        return self.said or f"it goes to {self.place}"

    @property
    def place(self) -> str:
        """The destination as people read it: `reviews.default.svc.cluster.local:9080, subset v2`."""
        return destination_text(self.host, self.subset, self.port)


def destination_text(host: str, subset: str = "", port: int = 0) -> str:
    """Return a destination as people read it."""
    return f"{host}{f':{port}' if port else ''}{f', subset {subset}' if subset else ''}"
