"""What an attack did and what came of it, and the table of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.table import Table

_SHOWN = 5


@dataclass
class Record:
    """Filled while an attack runs."""

    deeds: Counter[str] = field(default_factory=Counter)
    """What was done, and how often."""
    waits: list[tuple[float, str]] = field(default_factory=list)
    """Seconds from each change to its effect in every Envoy, and the last deed before that."""
    faults: list[str] = field(default_factory=list)
    """What should not have happened."""
    _last: str = ""

    def did(self, deed: str, times: int = 1) -> None:
        """Count something that was done."""
        self.deeds[deed] += times
        self._last = deed

    def waited(self, seconds: float) -> None:
        """Note how long a change took."""
        self.waits.append((seconds, self._last))

    def fault(self, what: str) -> None:
        """Note something that should not have happened, once."""
        if what not in self.faults:
            self.faults.append(what)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of an attack when it is over."""

    name: str
    deeds: str
    sent: int
    failed: int
    worst_wait: tuple[float, str] | None
    """Seconds, and the last deed before."""
    faults: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """`holds`, or `BROKEN`."""
        return "BROKEN" if self.faults else "holds"

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        wait = "" if self.worst_wait is None else f"{self.worst_wait[0]:.2f} s"
        return self.name, self.deeds, f"{self.sent:,}", f"{self.failed:,}", wait, self.verdict

    def line(self) -> str:
        """One line of text, and one more for each fault."""
        seconds, after = self.worst_wait or (0.0, "")
        wait = f", worst wait {seconds:.2f} s" if self.worst_wait else ""
        wait += f" (after: {after})" if after else ""
        first = f"{self.deeds}; {self.sent:,} requests, {self.failed:,} failed{wait}: {self.verdict}"
        hidden = len(self.faults) - _SHOWN
        more = [f"    and {hidden} faults more"] if hidden > 0 else []
        return "\n".join([first, *(f"    {fault}" for fault in self.faults[:_SHOWN]), *more])


def table(outcomes: Iterable[Outcome]) -> Table:
    """Return the table of all attacks."""
    made = Table(title="What was attacked, and what came of it", title_justify="left")
    made.add_column("attack", no_wrap=True)
    made.add_column("what was done")
    for name in ("requests", "failed", "worst wait"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("verdict", no_wrap=True)
    for outcome in outcomes:
        made.add_row(*outcome.cells())
    return made
