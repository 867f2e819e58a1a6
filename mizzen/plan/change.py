"""One change in what a proxy is sent, in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from mizzen.plan.places import Place


class Sign(StrEnum):
    """What happens to a part."""

    ADDED = "+"
    REMOVED = "-"
    CHANGED = "~"


class Danger(StrEnum):
    """Why a change breaks something."""

    NONE = ""
    DRAIN = "drains"
    NO_ENDPOINTS = "no endpoints"
    NO_ROUTE = "no route"
    PLAINTEXT = "plaintext"
    REFUSED = "refused"
    NO_SECRET = "no secret"  # noqa: S105 (the name of a danger)


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        sign: whether the part is added, removed or changed.
        kind: `host`, `route`, `listener`, `filter chain`, `cluster`, `endpoints`, `policy`, `secret`...
        name: what people call the part.
        what: what happens, in one sentence; empty if sign, kind and name say everything.
        details: a sentence for each thing that differs.
        danger: why it breaks something, NONE if it does not.
        place: finds the lines of the part. It does not count for equality: changes with equal words are
        equal.
    """

    sign: Sign
    kind: str
    name: str
    what: str = ""
    details: tuple[str, ...] = ()
    danger: Danger = Danger.NONE
    place: Place | None = field(default=None, compare=False, repr=False)

    @property
    def breaks(self) -> bool:
        """True if the change breaks something."""
        return self.danger is not Danger.NONE
