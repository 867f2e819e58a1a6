"""Faults that Mizzen contained: logged, counted, and told by what failed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from mizzen.server import faults as faults_module
from mizzen.server.faults import Faults


def test_each_is_logged_and_counted_by_what_failed() -> None:
    counted: list[None] = []
    faults = Faults(lambda: counted.append(None))
    assert (faults.number, faults.as_json()) == (0, [])
    before = datetime.now(UTC).replace(microsecond=0)
    with capture_logs() as lines:
        faults.note("one failed", part="a")
        faults.note("two failed")
        faults.note("one failed", part="b")
        faults.count("three failed")
    assert [(line["event"], line.get("part")) for line in lines] == [
        ("one failed: a fault of Mizzen, please report it", "a"),
        ("two failed: a fault of Mizzen, please report it", None),
        ("one failed: a fault of Mizzen, please report it", "b"),
    ]
    assert (faults.number, len(counted)) == (4, 4)
    told = faults.as_json()
    assert [(each["what"], each["times"]) for each in told] == [
        ("three failed", 1),
        ("one failed", 2),
        ("two failed", 1),
    ]
    assert all(before <= datetime.fromisoformat(each["since"]) <= datetime.now(UTC) for each in told)
    assert all(0 <= each["seconds_ago"] < 60 for each in told)


async def test_a_task_begins_again_until_it_ends_or_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults_module, "AGAIN_SECONDS", 0.0)
    faults, begun = Faults(), list[None]()
    waits = asyncio.Event()

    async def task() -> None:
        begun.append(None)
        if len(begun) < 3:
            raise ExceptionGroup("of a task group", [RuntimeError("a fault")])
        if len(begun) == 4:
            waits.set()
            await asyncio.Event().wait()

    with capture_logs() as lines:
        await faults.survived("looking", task)
    assert (len(begun), [line["exc_info"] for line in lines]) == (3, [True, True])
    assert [(each["what"], each["times"]) for each in faults.as_json()] == [
        ("looking failed and begins again", 2)
    ]
    running = asyncio.create_task(faults.survived("looking", task))
    await waits.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert faults.number == 2
