"""The answer to a question: the proxies on the way of a call, each with its steps and their lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

NOTHING: Final = "none"
"""The name of a step where nothing matches the call."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A candidate that was not chosen at a step, and the first condition that it failed."""

    name: str
    condition: str
    wanted: str
    found: str
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One step inside a proxy.

    `kind` is `listener`, `filter chain`, `token`, `policy`, `virtual host`, `route`, `cluster`, `endpoint`,
    or `secret` for one that the step before needs and that is missing.
    `details` say what the proxy adds or changes, one sentence each. `origins` are `file:line`. `depth` is 1
    for endpoints, which belong to the cluster before them. `refused` are Envoy's words if it refused the
    resource.
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
    """Where a call goes. `notes` say what was assumed, and where the call could not be followed."""

    question: str
    caller: str
    headers: tuple[tuple[str, str], ...]
    hops: tuple[Hop, ...]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Answer:
        """Return the answer from which `as_dict` made these values."""
        headers = tuple((name, value) for name, value in values["headers"])
        hops = tuple(
            Hop(**{**each, "steps": tuple(map(_step, each["steps"])), "unjudged": tuple(each["unjudged"])})
            for each in values["hops"]
        )
        return cls(values["question"], values["caller"], headers, hops, tuple(values["notes"]))


def _step(values: Mapping[str, Any]) -> Step:
    lost = values["lost"]
    known = {**values, "details": tuple(values["details"]), "origins": tuple(values["origins"])}
    return Step(**{**known, "lost": Lost(**{**lost, "origins": tuple(lost["origins"])}) if lost else None})


def share_text(share: float) -> str:
    """Return a share in per cent: `90 %`."""
    return f"{share * 100:.3g} %"
