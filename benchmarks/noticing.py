"""From a saved file, one of a thousand, to the look at it and to the batch that has it."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.documents import documents, text, write
from mizzen.sources import FileSource, watch_files

FILES = 1_000
ROUNDS = 40
_REST_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Noticing:
    """Medians in milliseconds after the rename: when it is looked at, and when it is read and parsed."""

    noticed: float
    parsed: float


async def measure() -> Noticing:
    """Save one file of a thousand again and again."""
    noticed, parsed = [], []
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        write(folder, FILES)
        source = FileSource([folder])
        source.scan()
        async with aclosing(watch_files(source)) as watch:
            for turn in range(ROUNDS):
                following = asyncio.ensure_future(anext(watch))
                await asyncio.sleep(_REST_SECONDS)
                begun = _save(folder / "service-7.yaml", turn)
                await following
                parsed.append(time.monotonic() - begun)
                noticed.append(source.latest - begun)
    return Noticing(statistics.median(noticed) * 1000, statistics.median(parsed) * 1000)


def _save(file: Path, turn: int) -> float:
    """Save a file as careful editors do; return when it was renamed."""
    found = documents(7)
    found[2]["spec"]["http"] = [{"directResponse": {"status": 200 + turn}}]
    new = file.with_suffix(".new")
    new.write_bytes(text(found))
    begun = time.monotonic()
    new.rename(file)
    return begun
