"""The one thread for slow work; the most urgent work goes first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from enum import IntEnum
from typing import Any, Final, TypeVar

Value = TypeVar("Value")

_IN_A_ROW: Final = 16
"""Number of more urgent pieces in a row, after which a waiting less urgent piece is done."""


class Urgency(IntEnum):
    """The urgency of work; lower values go first.

    Attributes:
        CHANGE: a changed file, on its way to connected proxies.
        PROXY: a new proxy.
        LATER: all other work.
    """

    CHANGE = 0
    PROXY = 1
    LATER = 2


class Worker:
    """Does one piece of work after the other, in a separate thread. The most urgent piece goes first, and
    among these the oldest. Less urgent pieces still get their turn (`_IN_A_ROW`).

    Keep the pieces short: an urgent one waits for the end of the current one.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting: list[tuple[Urgency, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._passed_by = 0

    async def do(self, urgency: Urgency, function: Callable[..., Value], *arguments: Any) -> Value:
        """Call the function in the worker when its turn comes; return its result, or raise its exception."""
        future: Future[Value] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*arguments)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            heapq.heappush(self._waiting, (urgency, next(self._numbers), work))
        self._executor.submit(self._do_next)
        return await asyncio.wrap_future(future)

    async def do_in_slices(self, urgency: Urgency, steps: Iterator[None], seconds: float) -> None:
        """Run all the steps, in slices of `seconds`."""
        while await self.do(urgency, _go_on, steps, seconds):
            pass

    def close(self) -> None:
        """Let the thread end after its current work."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _do_next(self) -> None:
        with self._lock:
            work = self._take()
        work()

    def _take(self) -> Callable[[], None]:
        """Remove and return the next piece. It is called once for each piece."""
        first = self._waiting[0]
        passed = [each for each in self._waiting if each[0] > first[0]]
        if not passed:
            self._passed_by = 0
        elif self._passed_by < _IN_A_ROW:
            self._passed_by += 1
        else:
            self._passed_by = 0
            oldest = min(passed, key=lambda each: each[1])
            self._waiting.remove(oldest)
            heapq.heapify(self._waiting)
            return oldest[2]
        return heapq.heappop(self._waiting)[2]


def _go_on(steps: Iterator[None], seconds: float) -> bool:
    """Run steps for a slice of time; return True if there are more."""
    end = time.perf_counter() + seconds
    return any(time.perf_counter() >= end for _ in steps)
