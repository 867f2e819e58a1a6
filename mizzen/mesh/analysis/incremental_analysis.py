"""Analyses one snapshot of the mesh after the other, at the cost of the changes.

Each check examines things one by one: documents, services, hosts. It runs again for a changed thing, and for
a thing for which it had read something that changed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.ordered_diagnostics import OrderedDiagnostics
from mizzen.incremental import Database, Gradual
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.checks import CHECKS, Check
from mizzen.mesh.analysis.collected import Found
from mizzen.mesh.analysis.faults import Fault, faults_of
from mizzen.mesh.settings import MeshSettings
from mizzen.mesh.snapshot import Mesh
from mizzen.persistent import ChunkedSequence

_IN_A_STEP: Final = 100
"""Number of things to examine in one step, which takes some milliseconds."""


class Analysis:
    """Keeps the diagnostics about the documents of a mesh up to date. `checking` is as in `Database`."""

    def __init__(self, *, checking: bool = False) -> None:
        self._checking = checking
        self._settings: MeshSettings | None = None
        self._database = Database()
        self._mesh: AnalysedMesh
        self._checks: list[Gradual[Any, Any, Found]] = []
        self._found = OrderedDiagnostics()

    def _begin(self, mesh: Mesh) -> Iterator[None]:
        """Drop all results so far, in steps of some milliseconds."""
        self._settings = None
        self._database = Database(checking=self._checking)
        self._mesh = AnalysedMesh(self._database, mesh)
        yield
        self._checks = []
        for check in CHECKS:
            self._checks.append(self._gradual(check))
            yield
        self._found = OrderedDiagnostics()
        self._settings = mesh.settings

    def _gradual(self, check: Check) -> Gradual[Any, Any, Found]:
        def look(key: Any, member: Any) -> Found | None:
            return check.found(self._mesh, key, member) or None

        return Gradual(self._database, check.name, check.subjects(self._mesh), look)

    @property
    def computed(self) -> int:
        """Number of things examined so far, each counted once for each check."""
        return self._database.computed

    @property
    def faults(self) -> list[Fault]:
        """The checks, and what they read, that fail for some thing in the last snapshot."""
        return faults_of(self._database.failures)

    def steps(self, mesh: Mesh) -> Generator[None, None, ChunkedSequence[Diagnostic]]:
        """Analyse a snapshot, in steps of some milliseconds. It may follow any of the earlier snapshots.
        Return the diagnostics, including `mesh.diagnostics`, sorted by place; unchanged parts are shared with
        the last result.

        The caller may stop after any step and continue with a different snapshot. If a check fails for a
        thing (`faults`), what it found last for that thing stays; it runs again with the next snapshot.
        """
        if mesh.settings is not self._settings:
            yield from self._begin(mesh)
        self._mesh.renew(mesh)
        self._database.retry_failures()
        self._database.settle()
        yield
        for number, check in enumerate(self._checks):
            while check.due:
                for key in check.go_on(_IN_A_STEP):
                    self._found.replace((number, key), check.results.get(key, ()))
                yield
        self._database.sweep()
        return self._found.in_order()
