"""Diagnostics of many finders, kept in order: a change costs what differs, not the number of diagnostics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from mizzen.config.diagnostics import Diagnostic, Severity, reading_order
from mizzen.persistent import ChunkedSequence, common_ends


@dataclass(frozen=True, slots=True)
class DiagnosticsDifference:
    """The diagnostics that are gone, the new ones, and the number that there are now."""

    gone: Sequence[Diagnostic]
    made: Sequence[Diagnostic]
    remaining: int


class OrderedDiagnostics:
    """The diagnostics of many finders, in reading order. A diagnostic that several finders
    report is listed once."""

    def __init__(self) -> None:
        self._found: dict[Hashable, Sequence[Diagnostic]] = {}
        self._times: dict[Diagnostic, int] = {}
        self._shown: dict[Diagnostic, Diagnostic] = {}
        self._touched: dict[Diagnostic, None] = {}
        self._in_order: ChunkedSequence[Diagnostic] = ChunkedSequence()
        # The diagnostics that came or went since `take`, with whether they were there at that time.
        self._before: dict[Diagnostic, bool] = {}
        self.counts: Counter[tuple[Severity, str]] = Counter()
        """Number of diagnostics at the last `in_order` or `take`, by severity and code."""

    def replace(self, finder: Hashable, found: Sequence[Diagnostic]) -> None:
        """Replace the diagnostics of one finder."""
        before = self._found.pop(finder, ())
        if found:
            self._found[finder] = found
        if found is before:
            return
        gone, made = _difference(before, found)
        for one in gone:
            self._count(one, -1)
        for one in made:
            self._count(one, 1)

    def _count(self, diagnostic: Diagnostic, more: int) -> None:
        self._touched[diagnostic] = None
        times = self._times.pop(diagnostic, 0) + more
        if times:
            self._times[diagnostic] = times

    def in_order(self) -> ChunkedSequence[Diagnostic]:
        """Return the current diagnostics."""
        if self._touched:
            touched, self._touched = self._touched, {}
            gone = [self._shown.pop(one) for one in touched if one in self._shown and one not in self._times]
            made = [one for one in touched if one in self._times and one not in self._shown]
            self._shown.update((one, one) for one in made)
            for those, was in ((gone, True), (made, False)):
                for one in those:
                    self._before.setdefault(one, was)
                    self.counts[one.severity, one.code] += -1 if was else 1
            self._in_order = self._in_order.updated(gone, made, reading_order)
        return self._in_order

    def take(self) -> DiagnosticsDifference:
        """Return what changed since the last call."""
        remaining = len(self.in_order())
        before, self._before = self._before, {}
        gone = [one for one, was in before.items() if was and one not in self._shown]
        made = [one for one, was in before.items() if not was and one in self._shown]
        return DiagnosticsDifference(gone, made, remaining)

    def knows(self, diagnostics: Iterable[Diagnostic]) -> bool:
        """Return True if all of these are among the diagnostics."""
        return all(one in self._times for one in diagnostics)


def _difference(
    before: Sequence[Diagnostic], found: Sequence[Diagnostic]
) -> tuple[Sequence[Diagnostic], Sequence[Diagnostic]]:
    """Return the previous and the current diagnostics without what both begin and end with."""
    if isinstance(before, ChunkedSequence) and isinstance(found, ChunkedSequence):
        return before.difference(found)
    if not before or not found:
        return before, found
    start, end = common_ends(before, found)
    return before[start : len(before) - end], found[start : len(found) - end]
