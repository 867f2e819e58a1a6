"""A process of the shop comes back when it ends, stays away when told to, and never ends for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from mizzen.demo import DemoError, part
from mizzen.demo.child_process import ChildProcess
from mizzen.demo.outage import Outage
from mizzen.demo.part import Part
from mizzen.demo.traffic import Visitors

SLEEP = ("sleep", "60")


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def _kept(log: Path, *command: str) -> AsyncIterator[tuple[Part, asyncio.Task[None]]]:
    children = []

    async def launch() -> ChildProcess:
        children.append(await ChildProcess.start("sleeper", command, log=log))
        return children[-1]

    sleeper = Part("sleeper", launch)
    await sleeper.start()
    task = asyncio.create_task(sleeper.keep())
    try:
        yield sleeper, task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, DemoError):
            await task
        for child in children:
            await child.stop()


async def test_what_ends_by_itself_is_started_again(tmp_path: Path) -> None:
    async with _kept(tmp_path / "log", *SLEEP) as (sleeper, _):
        assert sleeper.last_event is None
        sleeper.kill()
        await _until(lambda: sleeper.starts == 2 and sleeper.serves)
        await _until(lambda: "runs again" in (sleeper.last_event or ""))
        assert (sleeper.last_event or "").startswith("sleeper ended by itself (signal 9), and runs again ")


async def test_what_ends_again_and_again_is_told(tmp_path: Path) -> None:
    async with _kept(tmp_path / "log", "sh", "-c", "echo no; exit 3") as (sleeper, task):
        with pytest.raises(DemoError, match=r"sleeper ended by itself \(exit code 3\)"):
            await asyncio.wait_for(task, 60)
        assert sleeper.starts == part.MOST_ENDS


async def test_an_outage_lasts_until_the_next_toggle_and_counts_pages(tmp_path: Path) -> None:
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client,
        _kept(tmp_path / "log", *SLEEP) as (sleeper, _),
    ):
        visitors = Visitors(client, "http://shop/", rate=0)
        outage = Outage(sleeper, visitors)
        assert outage.look() is None
        await visitors.visit()
        outage.toggle()
        await _until(lambda: not sleeper.serves)
        await visitors.visit()
        await visitors.visit()
        assert outage.look() == ("control plane killed (k starts it): 2 pages meanwhile, 0 failed, 0 in part")
        assert sleeper.starts == 1
        outage.toggle()
        await _until(lambda: sleeper.starts == 2 and sleeper.serves)
        said = "control plane killed, serves again: "
        assert (outage.look() or "").startswith(said + "2 pages meanwhile")
        await visitors.visit()
        assert (outage.look() or "").startswith(said + "2 pages meanwhile")
        assert sleeper.last_event is None  # it was no accident
