"""(m) What `mizzen plan` costs: many services, a sidecar beside each, one change."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.documents import documents, text, write

SERVICES = 1_000
PROMISED = 2.0


def measure() -> float:
    """Seconds of processor time of the command, with its modules compiled as after an installation."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        old, new = folder / "old", folder / "new"
        for side in (old, new):
            side.mkdir()
            write(side, SERVICES)
        changed = documents(7)
        changed[2]["spec"]["http"][0]["timeout"] = "3s"
        (new / "service-7.yaml").write_bytes(text(changed))
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return min(_run(environment, old, new) for _ in range(2))


def _run(environment: dict[str, str], old: Path, new: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "mizzen", "plan", str(old), str(new)]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert told.startswith("1 change for 1000 of 1000 proxies"), told
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
