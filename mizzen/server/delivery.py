"""In which order proxies are given what a change made for them.

Make before break holds between proxies too. A gateway takes calls of sidecars: it can take them in the new
way before the first sidecar calls so, and in the old way until the last one has stopped (decision 0133).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping
from typing import Final

from mizzen import xds
from mizzen.server.live_proxy import LiveProxy, Maker
from mizzen.server.needs import Following, Groups
from mizzen.server.news import News, news
from mizzen.server.worker import Urgency, Worker

SLICE_SECONDS = 0.01
"""For so long the worker translates before what it has is handed over."""

WOKEN_AT_ONCE = 4
"""So many streams write their news before others are served: each may write some megabytes."""

ANSWER_SECONDS = 5.0
"""Longest time that sidecars wait for gateways, and gateways for sidecars. A proxy that owes an answer for so
long already is not waited for."""

TAKE_UP_SECONDS = 0.1
"""Time for Envoy's workers to take up listeners that its main thread has accepted."""

_TAKES_CALLS: Final = (xds.type_urls.LISTENER, xds.type_urls.ROUTE)


class Delivery:
    """Makes snapshots in the worker, slice by slice, and hands them over in between.

    Args:
        live: the proxies that are connected, by their groups.
        worker: makes the snapshots.
        made: called in the worker after each slice.
    """

    def __init__(self, live: Mapping[Hashable, LiveProxy], worker: Worker, made: Callable[[], None]) -> None:
        self.discovery: Groups | None = None
        self._live = live
        self._worker = worker
        self._made = made

    async def at_once(self, keys: Iterator[Hashable], make: Maker) -> None:
        """Give these proxies what `make` makes for them, in no order, when nothing else is to be done."""
        async for _ in self._given(keys, make, Urgency.PROXY):
            pass

    async def in_order(self, concerned: Iterator[Hashable], make: Maker, following: Following) -> None:
        """Give the proxies that a change concerns what `make` makes for them: gateways first, sidecars when
        the gateways have answered, and gateways lose what nobody calls any more at the end."""
        kinds = {_is_gateway(live) for live in self._live.values() if live.snapshot is not None}
        if len(kinds) < 2:
            await self._followed(concerned, make, following)
            return
        passed: list[Hashable] = []
        gateways = await self._followed(
            _noted(concerned, passed),
            lambda live: make(live) if _is_gateway(live) else None,
            following,
            overlapping=True,
        )
        await self._taken_up([one for one in gateways if one.touches(*_TAKES_CALLS)], following)
        sidecars = (key for key in passed if (live := self._live.get(key)) and not _is_gateway(live))
        called = await self._followed(sidecars, make, following)
        departing = [one for one in gateways if one.later is not None]
        if departing:
            await self._taken_up(called, following)
            self._let_go(departing, following)

    async def _followed(
        self, keys: Iterator[Hashable], make: Maker, following: Following, *, overlapping: bool = False
    ) -> list[News]:
        handed: list[News] = []
        async for one in self._given(keys, make, Urgency.CHANGE, overlapping=overlapping):
            following.handed(one.key, one.changes)
            handed.append(one)
            if len(handed) % WOKEN_AT_ONCE == 0:
                await asyncio.sleep(0)
        return handed

    async def _taken_up(self, given: list[News], following: Following) -> None:
        """Wait until proxies do what they were given."""
        if given:
            await following.answered([one.key for one in given], ANSWER_SECONDS)
        if any(one.touches(xds.type_urls.LISTENER) for one in given):
            await asyncio.sleep(TAKE_UP_SECONDS)

    def _let_go(self, departing: list[News], following: Following) -> None:
        for one in departing:
            live = self._live.get(one.key)
            if live is not None and live.snapshot is one.snapshot and one.later is not None:
                assert one.snapshot is not None
                last = news(one.key, one.snapshot, one.later, live.findings)
                if self._hand_over(last):
                    following.handed(last.key, last.changes)

    def _hand_over(self, one: News) -> bool:
        """Give a proxy its new snapshot; return False if it has none, or has gone in the meantime."""
        live = self._live.get(one.key)
        if live is None or self.discovery is None:
            return False
        if one.findings is not None:
            live.findings = one.findings
        if one.snapshot is None:
            return False
        live.snapshot = one.snapshot
        self.discovery.set_snapshot(one.key, one.snapshot)
        return True

    async def _given(
        self, keys: Iterator[Hashable], make: Maker, urgency: Urgency, *, overlapping: bool = False
    ) -> AsyncIterator[News]:
        """Make snapshots, slice by slice, as streams are served in between; yield those handed over."""
        more = True
        while more:
            done, more = await self._worker.do(urgency, self._make, keys, make, overlapping)
            for one in done:
                if self._hand_over(one):
                    yield one

    def _make(self, keys: Iterator[Hashable], make: Maker, overlapping: bool) -> tuple[list[News], bool]:
        """Make snapshots for as many proxies as a slice of time allows; return whether there may be more."""
        done: list[News] = []
        more = True
        end = time.perf_counter() + SLICE_SECONDS
        for key in keys:
            live = self._live.get(key)
            old = live.snapshot if live is not None else None
            made = make(live) if live is not None and old is not None else None
            if old is None or made is None:
                done.append(News(key))
            else:
                done.append(news(key, old, *made, overlapping=overlapping))
            if time.perf_counter() >= end:
                break
        else:
            more = False
        self._made()
        return done, more


def _is_gateway(live: LiveProxy) -> bool:
    return live.proxy.type == "router"


def _noted(keys: Iterator[Hashable], noted: list[Hashable]) -> Iterator[Hashable]:
    for key in keys:
        noted.append(key)
        yield key
