"""The answer to a question: the proxies on the way, and at each of them the steps with their lines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Lost:
    """What came near at a step, and the first condition in which it lost."""

    name: str
    condition: str
    wanted: str
    found: str
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One step inside a proxy.

    `kind` is `listener`, `filter chain`, `virtual host`, `route`, `cluster` or `endpoint`. `details` say what
    the proxy adds or changes, a sentence each. `origins` are `file:line`. `depth` is 1 for endpoints, which
    belong to the cluster before them. `refused` are Envoy's words if it refused the resource.
    """

    kind: str
    name: str
    details: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    lost: Lost | None = None
    share: float | None = None
    depth: int = 0
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Hop:
    """One proxy on the way. `side` is `client`, `gateway` or `server`; `outcome` is that of the simulator."""

    side: str
    proxy: str
    address: str
    outcome: str
    conclusion: str
    status: int | None
    steps: tuple[Step, ...]
    unjudged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Where a call goes. `remarks` say what was assumed, and what could not be followed."""

    question: str
    caller: str
    headers: tuple[tuple[str, str], ...]
    hops: tuple[Hop, ...]
    remarks: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as plain values for JSON."""
        return asdict(self)
