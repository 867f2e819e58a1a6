"""A file of many documents of which one changes: what reading it again costs."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass

from benchmarks.documents import documents, text
from mizzen.config import ConfigStore, parse_documents
from mizzen.mesh.snapshot import Mesh

SERVICES = 10_000
_LIMIT = 1 << 30
_FILE = "mesh.yaml"


@dataclass(frozen=True, slots=True)
class LargeFile:
    """Seconds of processor time: the first reading, that after one endpoint changed, and that after three
    lines of comment were put above everything."""

    first: float
    changed: float
    moved: float


def measure(services: int = SERVICES) -> LargeFile:
    """Read a file of so many services, their workloads and VirtualServices; change the address of one."""
    found = [documents(number) for number in range(services)]
    store = ConfigStore()
    began = time.process_time()
    parsed = parse_documents(b"\n---\n".join(map(text, found)), _FILE, max_bytes=_LIMIT)
    mesh = Mesh.build(store.apply({_FILE: parsed}).updated)
    first = time.process_time() - began
    gc.collect()
    gc.freeze()  # as the server does with what has settled
    found[7][1]["spec"]["address"] = "10.99.0.1"
    data = b"\n---\n".join(map(text, found))
    began = time.process_time()
    again = parse_documents(data, _FILE, max_bytes=_LIMIT, known=parsed.pieces)
    mesh, delta = mesh.updated(store.apply({_FILE: again}))
    changed = time.process_time() - began
    assert len(delta.endpoints) == 1
    assert not delta.services
    gc.collect()
    gc.freeze()
    began = time.process_time()
    lower = parse_documents(b"# a\n# b\n# c\n" + data, _FILE, max_bytes=_LIMIT, known=again.pieces)
    _, delta = mesh.updated(store.apply({_FILE: lower}))
    moved = time.process_time() - began
    gc.unfreeze()
    assert delta.is_empty
    return LargeFile(first, changed, moved)
