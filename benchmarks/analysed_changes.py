"""(l) What the mesh and the analysis between documents cost after one change, by how many services there are.

From parsed documents to the diagnostics that hold now. The meshes are those of (k), the same with ports
whose names tell no protocol, so that there is a diagnostic for each service, and the same without addresses.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from benchmarks.documents import Documents, text
from benchmarks.followed_changes import KINDS, with_rules
from mizzen.config import ConfigStore, MeshConfig, parse_documents
from mizzen.mesh.analysis import Analysis
from mizzen.mesh.snapshot import Mesh

SERVICES = (100, 10_000)
_WITHOUT_ADDRESS = "Service without an address added or removed"
PROMISED = {
    "VirtualService": 1.5,
    "DestinationRule": 1.5,
    "endpoint": 1.5,
    "Service added or removed": 3,
    _WITHOUT_ADDRESS: 3,
}
"""How many times more a change may cost with the more services than with the fewer."""
_BATCHES, _IN_A_BATCH = 7, 40
"""So many changes are counted together: one alone is too short to be measured."""


def unnamed(number: int) -> Documents:
    """Return the documents of a service whose port's name tells no protocol."""
    found = with_rules(number)
    found[0]["spec"]["ports"][0]["name"] = "port"
    return found


def unaddressed(number: int) -> Documents:
    """Return the documents of a service to which addresses are allocated."""
    found = with_rules(number)
    del found[0]["spec"]["clusterIP"]
    return found


def _changed(kind: str, number: int) -> tuple[str, Documents | None]:
    if kind == _WITHOUT_ADDRESS:
        return "new.yaml", unaddressed(50_007)[:1] if number % 2 == 0 else None
    return KINDS[kind](number)


MESHES: dict[str, tuple[Callable[[int], Documents], tuple[str, ...]]] = {
    "": (with_rules, tuple(kind for kind in PROMISED if kind in KINDS)),
    ", a diagnostic for each": (unnamed, tuple(kind for kind in PROMISED if kind in KINDS)),
    ", all without addresses": (unaddressed, (_WITHOUT_ADDRESS,)),
}
"""What is written of each service, and what changes."""


class _Analysed:
    """A mesh of so many services, and what was found about it."""

    def __init__(self, services: int, documents_of: Callable[[int], Documents]) -> None:
        self._store = ConfigStore()
        files = {f"{number}.yaml": documents_of(number) for number in range(services)}
        self._store.apply({name: parse_documents(text(each), name) for name, each in files.items()})
        self._mesh = Mesh.build(self._store.configs(), MeshConfig())
        self._analysis = Analysis()
        self._analyse()

    def _analyse(self) -> None:
        for _ in self._analysis.steps(self._mesh):
            pass

    def changes(self, kind: str, batch: int) -> float:
        """Make the changes of a batch; return the milliseconds of processor time for one."""
        spent = 0.0
        for number in range(batch * _IN_A_BATCH, (batch + 1) * _IN_A_BATCH):
            name, content = _changed(kind, number)
            parsed = None if content is None else parse_documents(text(content), name)
            change = self._store.apply({name: parsed})
            began = time.thread_time()
            self._mesh, _ = self._mesh.updated(change)
            self._analyse()
            spent += time.thread_time() - began
        return spent / _IN_A_BATCH * 1000


def compare(mesh_of: str, sizes: tuple[int, ...] = SERVICES) -> dict[str, tuple[float, ...]]:
    """Return, for each kind of change, the milliseconds that one costs in meshes of these sizes: the best of
    some batches, made in turns."""
    documents_of, kinds = MESHES[mesh_of]
    meshes = [_Analysed(services, documents_of) for services in sizes]
    gc.collect()
    gc.freeze()
    try:
        found = {}
        for kind in kinds:
            batches = [[mesh.changes(kind, batch) for mesh in meshes] for batch in range(_BATCHES)]
            found[kind] = tuple(map(min, zip(*batches, strict=True)))
        return found
    finally:
        gc.unfreeze()
