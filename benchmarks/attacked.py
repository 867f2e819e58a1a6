"""(h) How long a change takes for good clients while others cost as much as they can.

The same changes of the same mesh, without attackers and beside each kind of them (`benchmarks.attackers`), in
one run: from the saved file to the ACK of each good client.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.attackers import ATTACKERS
from benchmarks.change_cost import clients
from benchmarks.control_plane import Serving, serving
from benchmarks.documents import documents, replace_file, text, write
from mizzen.xds import type_urls

SERVICES = 1_000
GOOD = 5
CHANGES = 20
_WARM_UP = 3
_CHANGED = 7
_BETWEEN = 0.1
_DOES = {
    "refusing": "refuse everything",
    "naming": "each ask for 160,000 names that do not exist",
    "inventing": "come and go, each time from another invented locality",
}


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from a saved file to the ACK of a good client; what the control plane holds at the end."""

    median: float
    p99: float
    resident_megabytes: float


def described(kind: str) -> str:
    """What the attackers of a kind do."""
    _, count = ATTACKERS[kind]
    return f"{count} clients that {_DOES[kind]}"


async def measure(services: int = SERVICES, changes: int = CHANGES) -> dict[str, Latency]:
    """Measure without attackers (the key is empty) and beside each kind."""
    return {kind: await _beside(kind, services, changes) for kind in ("", *ATTACKERS)}


async def _beside(kind: str, services: int, changes: int) -> Latency:
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as directory:
        folder = Path(directory)
        write(folder, services)
        acked: list[float] = []
        async with (
            serving(folder) as control_plane,
            clients(
                control_plane,
                GOOD,
                lambda type_url: acked.append(time.perf_counter()) if type_url == type_urls.ROUTE else None,
            ) as answers,
        ):
            await answers.quiet()
            async with _attacked(kind, control_plane):
                found: list[float] = []
                answers.reset()
                for number in range(1, _WARM_UP + changes + 1):
                    changed = documents(_CHANGED)
                    changed[2]["spec"]["http"][0]["match"][0]["uri"]["prefix"] = f"/canary-{number}"
                    acked.clear()
                    began = time.perf_counter()
                    replace_file(folder / f"service-{_CHANGED}.yaml", text(changed))
                    await answers.wait_for(type_urls.ROUTE, GOOD * number)
                    if number > _WARM_UP:
                        found += [at - began for at in acked]
                    await asyncio.sleep(_BETWEEN)
                megabytes = control_plane.resident_bytes() / 1e6
    found.sort()
    p99 = found[max(0, -(-len(found) * 99 // 100) - 1)]
    return Latency(statistics.median(found) * 1000, p99 * 1000, megabytes)


@contextlib.asynccontextmanager
async def _attacked(kind: str, control_plane: Serving) -> AsyncIterator[None]:
    """Attack until the end of the block, which begins when all attackers have had a response."""
    if not kind:
        yield
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.attackers", kind, control_plane.grpc),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(120):
            if not await process.stdout.readline():
                raise RuntimeError(f"the {kind} attackers ended at once")
        yield
    finally:
        process.kill()
        await process.wait()


async def _main(kinds: Sequence[str]) -> None:
    for kind in kinds or ("", *ATTACKERS):
        print(f"{kind or 'nobody'}: {await _beside(kind, SERVICES, CHANGES)}", flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
