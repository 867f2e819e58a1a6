"""Changes that are delayed because calls would fail: the user may be saving the rest of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from mizzen.mesh.changes.delta import MeshDelta
from mizzen.mesh.dead_ends import has_new_dead_ends
from mizzen.mesh.snapshot import Mesh
from mizzen.server.faults import Faults


@dataclass(frozen=True, slots=True)
class DelayedChange:
    """The difference from the served mesh. `first` and `latest` are when its first and last part were
    seen."""

    delta: MeshDelta
    first: float
    latest: float


class DelayedChanges:
    """Decides when a changed mesh replaces the served one.

    Args:
        served: the mesh that is served at first.
        faults: notes a change that cannot be judged: it is served at once.
    """

    GRACE: Final = 0.25
    """Seconds without a further change, after which a mesh is served although calls fail. Longer than the
    delay after a loss of documents (FileSource.GRACE), because here calls surely fail."""

    LONGEST: Final = 2.0
    """Seconds after which a mesh is served although further changes come."""

    def __init__(self, served: Mesh, faults: Faults) -> None:
        self._served = served
        self._delayed: DelayedChange | None = None
        self._faults = faults

    @property
    def is_delaying(self) -> bool:
        """True while a change waits: call `take` again within GRACE, without a delta."""
        return self._delayed is not None

    def served(self, mesh: Mesh) -> None:
        """Record that `mesh` is served now."""
        self._served, self._delayed = mesh, None

    def take(self, mesh: Mesh, delta: MeshDelta | None, seen: float, now: float) -> DelayedChange | None:
        """Return the change to serve at `now`; None if there is none, or it has to wait.

        `delta` is the change of `mesh` that was seen at `seen`. Call `served` with the mesh when the change
        is applied.
        """
        delayed = self._delayed
        if delta is not None and not delta.is_empty:
            if delayed is None:
                delayed = DelayedChange(delta, seen, seen)
            else:
                delayed = replace(delayed, delta=MeshDelta.joined([delayed.delta, delta]), latest=seen)
        if delayed is None:
            return None
        self._delayed = delayed
        over = now - delayed.latest >= self.GRACE or now - delayed.first >= self.LONGEST
        return delayed if over or not self._leads_nowhere(mesh, delayed.delta) else None

    def _leads_nowhere(self, mesh: Mesh, delta: MeshDelta) -> bool:
        try:
            return has_new_dead_ends(self._served, mesh, delta)
        except Exception:
            self._faults.note("a change could not be judged and is served at once", exc_info=True)
            return False
