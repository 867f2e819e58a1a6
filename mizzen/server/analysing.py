"""The analysis of the mesh, done in short slices so that more urgent work need not wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from mizzen.config import Diagnostic
from mizzen.config.diagnostics import reading_order
from mizzen.config.refused import Refused
from mizzen.config.store import Refusal
from mizzen.mesh.analysis import Analysis, Fault
from mizzen.mesh.snapshot import Mesh
from mizzen.persistent import ChunkedSequence
from mizzen.server.faults import Faults
from mizzen.server.worker import Urgency, Worker

SLICE_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Analysed:
    """References of documents to things that do not exist, with the lines that documents have in `mesh`."""

    mesh: Mesh
    diagnostics: ChunkedSequence[Diagnostic] = field(default_factory=ChunkedSequence)

    def at(self, mesh: Mesh) -> Analysed:
        """Return the same diagnostics with the lines of a later mesh. This costs nothing if no line moved."""
        moved = set(mesh.moved.differing(self.mesh.moved))
        named = [
            one
            for one in (self.diagnostics if moved else ())
            if one.origin.document in moved or any(each.document in moved for each in one.mentions)
        ]
        now = [one.current(mesh.current_origin) for one in named]
        return Analysed(mesh, self.diagnostics.updated(named, now, reading_order))

    def shown(self, refused: Iterable[Refusal]) -> ChunkedSequence[Diagnostic]:
        """Return the diagnostics without those that follow from refused documents."""
        causes = Refused.of(refused)
        hidden = [one for one in self.diagnostics if causes.explains(one)] if causes.keys else []
        return self.diagnostics.updated(hidden, (), reading_order)


class Analyst:
    """Analyses successive snapshots of the mesh in `worker`. The cost depends on the changes alone.

    A check that fails for a thing is noted among `faults`; everything else is still found.
    """

    def __init__(self, worker: Worker, faults: Faults) -> None:
        self._worker = worker
        self._faults = faults
        self._analysis = Analysis()
        self._failing: Sequence[Fault] = ()

    async def analyse(self, mesh: Mesh, is_superseded: Callable[[], bool]) -> tuple[Analysed | None, float]:
        """Return the diagnostics (None if the mesh is superseded meanwhile), and the seconds that the worker
        took."""
        steps = self._analysis.steps(mesh)
        spent = 0.0
        found: ChunkedSequence[Diagnostic] | None = None
        try:
            while found is None and not is_superseded():
                found, seconds = await self._worker.do(Urgency.LATER, _slice, steps)
                spent += seconds
        except Exception:
            self._analysis = Analysis()  # the failed one may have wrong data
            raise
        if found is None:
            return None, spent
        self._note_new(self._analysis.faults)
        return Analysed(mesh, found), spent

    def _note_new(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            if fault not in self._failing:
                self._faults.note(
                    "a part of the mesh could not be analysed", part=fault.part, traceback=fault.traceback
                )
        self._failing = faults


def _slice(
    steps: Generator[None, None, ChunkedSequence[Diagnostic]],
) -> tuple[ChunkedSequence[Diagnostic] | None, float]:
    """Continue for a slice of time; return the diagnostics if the analysis is complete, and the seconds."""
    begun = time.perf_counter()
    try:
        next(steps)
        while time.perf_counter() - begun < SLICE_SECONDS:
            next(steps)
    except StopIteration as end:
        return end.value, time.perf_counter() - begun
    return None, time.perf_counter() - begun
