"""Changes that wait a moment, as they lead calls nowhere: the rest of what is being saved may mend that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import structlog

from mizzen.mesh.dead_ends import has_new_dead_ends
from mizzen.mesh.delta import MeshDelta
from mizzen.mesh.snapshot import Mesh


@dataclass(frozen=True, slots=True)
class Change:
    """What is different from the mesh that is served. `first` and `latest` are when its parts were seen."""

    delta: MeshDelta
    first: float
    latest: float


class HeldChanges:
    """Decides when a changed mesh takes the place of the one that proxies are served from.

    Args:
        served: the mesh that proxies are served from at first.
    """

    GRACE: Final = 0.25
    """Seconds without a further change after which a mesh is served although it leads calls nowhere. Longer
    than a loss of documents is waited for (FileSource.GRACE): here something surely breaks."""

    LONGEST: Final = 2.0
    """Seconds after which it is served although changes go on."""

    def __init__(self, served: Mesh) -> None:
        self._served = served
        self._held: Change | None = None
        self._log = structlog.get_logger("mizzen.server")

    @property
    def is_holding(self) -> bool:
        """True while a change waits: ask again within GRACE, by `take` without a delta."""
        return self._held is not None

    def served(self, mesh: Mesh) -> None:
        """Note that proxies are served from `mesh` now."""
        self._served, self._held = mesh, None

    def take(self, mesh: Mesh, delta: MeshDelta | None, seen: float, now: float) -> Change | None:
        """Return what is to be served at `now`, None if there is nothing or it has to wait.

        `delta` is what became different in `mesh` at `seen`. Call `served` with what has been taken over.
        """
        held = self._held
        if delta is not None and not delta.is_empty:
            if held is None:
                held = Change(delta, seen, seen)
            else:
                held = replace(held, delta=MeshDelta.joined([held.delta, delta]), latest=seen)
        if held is None:
            return None
        self._held = held
        over = now - held.latest >= self.GRACE or now - held.first >= self.LONGEST
        return held if over or not self._leads_nowhere(mesh, held.delta) else None

    def _leads_nowhere(self, mesh: Mesh, delta: MeshDelta) -> bool:
        try:
            return has_new_dead_ends(self._served, mesh, delta)
        except Exception:
            self._log.exception("a change could not be judged: a fault of Mizzen; it is served at once")
            return False
