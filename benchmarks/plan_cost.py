"""(m) What `mizzen plan` costs: many services, a sidecar beside each, one change."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.documents import documents, text, write
from mizzen.mesh.snapshot import Mesh
from mizzen.plan import fleet, plan
from mizzen.sources.two_versions import read_files, read_two_versions

SERVICES = 1_000
PROMISED = 2.0


def measure() -> float:
    """Seconds of processor time from the files to the plan."""
    with tempfile.TemporaryDirectory() as folder:
        old, new = Path(folder) / "old", Path(folder) / "new"
        for side in (old, new):
            side.mkdir()
            write(side, SERVICES)
        changed = documents(7)
        changed[2]["spec"]["http"][0]["timeout"] = "3s"
        (new / "service-7.yaml").write_bytes(text(changed))
        began = time.process_time()
        versions = read_two_versions(read_files(old, "mesh"), read_files(new, "mesh"))
        before = Mesh.build(versions.configs, versions.settings)
        after, _ = before.updated(versions.change, versions.new_settings)
        found = plan(fleet(before, after))
        assert len(found.changes) == 1
        return time.process_time() - began
