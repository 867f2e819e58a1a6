"""Faults of Mizzen in the analysis: checks that raise. Each loses what one check would say of one thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mizzen.config.faults import place, shown_traceback
from mizzen.incremental import Failure


@dataclass(frozen=True, slots=True)
class Fault:
    """A check that raised, or something that checks read. `part` says which, and about what; `reason` says
    how, and where in Mizzen. None of them has the message of the exception, which may quote a secret."""

    part: str
    reason: str
    traceback: str = field(compare=False, repr=False)

    @classmethod
    def of(cls, failure: Failure) -> Fault:
        """Return the fault of a query that failed, or of a check."""
        kind = type(failure.error).__name__
        return cls(
            " ".join((failure.query, *map(_shown, failure.key))).rstrip(),
            f"{kind} in {place(failure.traceback)}",
            f"{shown_traceback(failure.error)}{kind}",
        )


def _shown(key: object) -> str:
    return "/".join(map(str, key)) if type(key) is tuple else str(key)


def faults_of(failures: Iterable[Failure]) -> list[Fault]:
    """Return the different faults. What fails because it read what failed has the same error, and is no fault
    of its own; what it read stands first."""
    first: dict[int, Failure] = {}
    for failure in failures:
        first.setdefault(id(failure.error), failure)
    return list(dict.fromkeys(map(Fault.of, first.values())))
