"""One thread, the most urgent work first."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from mizzen.server.worker import Urgency, Worker


class Running:
    """A worker that is kept busy until `released`; then the pieces that wait note their names."""

    def __init__(self) -> None:
        self.worker = Worker("test")
        self.done: list[str] = []
        self._may_go_on = threading.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def waits(self, urgency: Urgency, name: str) -> None:
        self._tasks.append(asyncio.create_task(self.worker.do(urgency, self.done.append, name)))
        await asyncio.sleep(0)

    async def is_busy(self) -> None:
        begun = threading.Event()

        def work() -> None:
            begun.set()
            self._may_go_on.wait(60)

        self._tasks.append(asyncio.create_task(self.worker.do(Urgency.LATER, work)))
        await asyncio.to_thread(begun.wait, 60)

    async def all_done(self) -> list[str]:
        self._may_go_on.set()
        await asyncio.gather(*self._tasks)
        return self.done


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    made = Running()
    yield made
    made.worker.close()


async def test_a_change_goes_before_the_proxies_that_came_earlier(running: Running) -> None:
    await running.is_busy()
    await running.waits(Urgency.LATER, "looking")
    for number in range(3):
        await running.waits(Urgency.PROXY, f"proxy {number}")
    await running.waits(Urgency.CHANGE, "change")
    assert await running.all_done() == ["change", "proxy 0", "proxy 1", "proxy 2", "looking"]


async def test_changes_do_not_pass_by_a_proxy_for_ever(running: Running) -> None:
    await running.is_busy()
    await running.waits(Urgency.PROXY, "proxy")
    await running.waits(Urgency.LATER, "looking")
    for number in range(50):
        await running.waits(Urgency.CHANGE, f"change {number}")
    done = await running.all_done()
    assert done.index("proxy") <= 17
    assert done.index("looking") <= 35


async def test_what_goes_wrong_is_raised_where_it_was_asked_for(running: Running) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await running.worker.do(Urgency.CHANGE, int, "nought")
    assert await running.worker.do(Urgency.CHANGE, int, "1") == 1


async def test_what_is_cancelled_before_its_turn_is_not_done(running: Running) -> None:
    await running.is_busy()
    given_up = asyncio.create_task(running.worker.do(Urgency.CHANGE, running.done.append, "given up"))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    await running.waits(Urgency.PROXY, "proxy")
    assert await running.all_done() == ["proxy"]
