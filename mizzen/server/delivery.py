"""The order in which proxies get a change.

Make before break holds between proxies too. Sidecars call gateways. So a gateway must accept calls in the new
way before the first sidecar uses it, and in the old way until the last sidecar has stopped (decision 0133).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping
from typing import Final

from mizzen import xds
from mizzen.server.live_proxy import LiveProxy, Maker
from mizzen.server.needs import Groups, PushTracker
from mizzen.server.proxy_update import ProxyUpdate, proxy_update
from mizzen.server.worker import Urgency, Worker

SLICE_SECONDS = 0.01
"""Longest time, in seconds, that the worker translates before it hands over results."""

WOKEN_AT_ONCE = 4
"""Streams woken before the loop serves others; each may write some megabytes."""

ANSWER_SECONDS = 5.0
"""Longest time, in seconds, that sidecars wait for gateways, and gateways for sidecars. Proxies that have
owed an answer for that long are left out."""

TAKE_UP_SECONDS = 0.1
"""Seconds until Envoy's workers use listeners that its main thread has accepted."""

_TAKES_CALLS: Final = (xds.type_urls.LISTENER, xds.type_urls.ROUTE)


class Delivery:
    """Makes snapshots in the worker, slice by slice, and hands them over between slices.

    Args:
        live: the connected proxies, by their groups.
        worker: makes the snapshots.
        made: called in the worker after each slice.
    """

    def __init__(self, live: Mapping[Hashable, LiveProxy], worker: Worker, made: Callable[[], None]) -> None:
        self.discovery: Groups | None = None
        self._live = live
        self._worker = worker
        self._made = made

    async def at_once(self, keys: Iterator[Hashable], make: Maker) -> None:
        """Send these proxies the result of `make`, in no particular order, after more urgent work."""
        async for _ in self._handed_over(keys, make, Urgency.PROXY):
            pass

    async def in_order(self, concerned: Iterator[Hashable], make: Maker, tracker: PushTracker) -> None:
        """Send the proxies that a change concerns the result of `make`: first gateways; sidecars when the
        gateways have answered; and at the end remove from gateways what no sidecar calls any more."""
        kinds = {_is_gateway(live) for live in self._live.values() if live.snapshot is not None}
        if len(kinds) < 2:
            await self._tracked(concerned, make, tracker)
            return
        concerned_keys: list[Hashable] = []
        gateways = await self._tracked(
            _noted(concerned, concerned_keys),
            lambda live: make(live) if _is_gateway(live) else None,
            tracker,
            overlapping=True,
        )
        await self._wait_until_in_use([one for one in gateways if one.touches(*_TAKES_CALLS)], tracker)
        sidecars = (key for key in concerned_keys if (live := self._live.get(key)) and not _is_gateway(live))
        called = await self._tracked(sidecars, make, tracker)
        departing = [one for one in gateways if one.later is not None]
        if departing:
            await self._wait_until_in_use(called, tracker)
            self._drop_departing(departing, tracker)

    async def _tracked(
        self, keys: Iterator[Hashable], make: Maker, tracker: PushTracker, *, overlapping: bool = False
    ) -> list[ProxyUpdate]:
        handed: list[ProxyUpdate] = []
        async for one in self._handed_over(keys, make, Urgency.CHANGE, overlapping=overlapping):
            tracker.handed(one.key, one.changes)
            handed.append(one)
            if len(handed) % WOKEN_AT_ONCE == 0:
                await asyncio.sleep(0)
        return handed

    async def _wait_until_in_use(self, given: list[ProxyUpdate], tracker: PushTracker) -> None:
        """Wait until these updates are in use in their proxies."""
        if given:
            await tracker.answered([one.key for one in given], ANSWER_SECONDS)
        if any(one.touches(xds.type_urls.LISTENER) for one in given):
            await asyncio.sleep(TAKE_UP_SECONDS)

    def _drop_departing(self, departing: list[ProxyUpdate], tracker: PushTracker) -> None:
        for one in departing:
            live = self._live.get(one.key)
            if live is not None and live.snapshot is one.snapshot and one.later is not None:
                assert one.snapshot is not None
                last = proxy_update(one.key, one.snapshot, one.later, live.diagnostics)
                if self._hand_over(last):
                    tracker.handed(last.key, last.changes)

    def _hand_over(self, one: ProxyUpdate) -> bool:
        """Give a proxy its new snapshot; return False if there is none, or the proxy has gone meanwhile."""
        live = self._live.get(one.key)
        if live is None or self.discovery is None:
            return False
        if one.diagnostics is not None:
            live.diagnostics = one.diagnostics
        if one.snapshot is None:
            return False
        live.snapshot = one.snapshot
        self.discovery.set_snapshot(one.key, one.snapshot)
        return True

    async def _handed_over(
        self, keys: Iterator[Hashable], make: Maker, urgency: Urgency, *, overlapping: bool = False
    ) -> AsyncIterator[ProxyUpdate]:
        """Make snapshots slice by slice, hand them over, and yield each update that was handed over."""
        more = True
        while more:
            done, more = await self._worker.do(urgency, self._make, keys, make, overlapping)
            for one in done:
                if self._hand_over(one):
                    yield one

    def _make(
        self, keys: Iterator[Hashable], make: Maker, overlapping: bool
    ) -> tuple[list[ProxyUpdate], bool]:
        """Make snapshots for as many proxies as a slice of time allows; return True if there may be more."""
        done: list[ProxyUpdate] = []
        more = True
        end = time.perf_counter() + SLICE_SECONDS
        for key in keys:
            live = self._live.get(key)
            old = live.snapshot if live is not None else None
            made = make(live) if live is not None and old is not None else None
            if old is None or made is None:
                done.append(ProxyUpdate(key))
            else:
                done.append(proxy_update(key, old, *made, overlapping=overlapping))
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
