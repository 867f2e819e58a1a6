"""The order in which proxies get a change.

Make before break holds between proxies too. Sidecars call gateways. So a gateway must accept calls in the new
way before the first sidecar uses it, and in the old way until the last sidecar has stopped (decision 0133).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Final

from mizzen import xds
from mizzen.config import Diagnostic
from mizzen.server.live_proxy import LiveProxy, Maker
from mizzen.server.needs import Groups, PushTracker
from mizzen.server.proxy_update import ProxyUpdate, ProxyUpdates
from mizzen.server.worker import Urgency, Worker

SLICE_SECONDS = 0.01
"""Longest time, in seconds, that the worker translates before it hands over results."""

HANDED_OVER_SECONDS = 0.005
"""Longest time, in seconds, that the loop hands over results before it serves others. To hand over makes the
response, so this bounds the responses that are made and not yet written, too."""

ANSWER_SECONDS = 5.0
"""Longest time, in seconds, that sidecars wait for gateways, and gateways for sidecars. Proxies that have
owed an answer for that long are left out."""

TAKE_UP_SECONDS = 0.1
"""Seconds until Envoy's workers use listeners that its main thread has accepted."""

_TAKES_CALLS: Final = (xds.type_urls.LISTENER, xds.type_urls.ROUTE)

_Made = tuple[Hashable, tuple[Diagnostic, ...], ProxyUpdate | None]
"""The key of a proxy, the diagnostics of its translation, and its update if anything changed."""

_Handed = tuple[Hashable, ProxyUpdate]
"""The key of a proxy, and the update that was handed over for it."""


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
        await self._deliver(keys, make, Urgency.PROXY)

    async def in_order(self, concerned: Iterator[Hashable], make: Maker, tracker: PushTracker) -> None:
        """Send the proxies that a change concerns the result of `make`: first gateways; sidecars when the
        gateways have answered; and at the end remove from gateways what no sidecar calls any more."""
        kinds = {live.proxy.type for live in self._live.values() if live.snapshot is not None}
        if len(kinds) < 2:
            await self._deliver(concerned, make, Urgency.CHANGE, tracker)
            return
        concerned_keys: list[Hashable] = []
        gateways = await self._deliver(
            _noted(concerned, concerned_keys),
            lambda live: make(live) if _is_gateway(live) else None,
            Urgency.CHANGE,
            tracker,
            overlapping=True,
        )
        await self._wait_until_in_use([one for one in gateways if one[1].touches(*_TAKES_CALLS)], tracker)
        sidecars = (key for key in concerned_keys if (live := self._live.get(key)) and not _is_gateway(live))
        called = await self._deliver(sidecars, make, Urgency.CHANGE, tracker)
        departing = [(one, one[1].later) for one in gateways if one[1].later is not None]
        if departing:
            await self._wait_until_in_use(called, tracker)
            self._drop_departing(departing, tracker)

    async def _deliver(
        self,
        keys: Iterator[Hashable],
        make: Maker,
        urgency: Urgency,
        tracker: PushTracker | None = None,
        *,
        overlapping: bool = False,
    ) -> list[_Handed]:
        """Make snapshots slice by slice and hand them over; return what was handed over."""
        updates = ProxyUpdates(overlapping=overlapping)
        handed: list[_Handed] = []
        more = True
        while more:
            made, more = await self._worker.do(urgency, self._make, keys, make, updates)
            end = time.perf_counter() + HANDED_OVER_SECONDS
            for key, diagnostics, update in made:
                live = self._live.get(key)
                if live is not None:
                    live.diagnostics = diagnostics
                if live is None or update is None or self.discovery is None:
                    continue
                self._hand_over(key, live, update, tracker)
                handed.append((key, update))
                if time.perf_counter() >= end:
                    await asyncio.sleep(0)
                    end = time.perf_counter() + HANDED_OVER_SECONDS
        return handed

    def _hand_over(
        self, key: Hashable, live: LiveProxy, update: ProxyUpdate, tracker: PushTracker | None
    ) -> None:
        assert self.discovery is not None
        live.snapshot = update.snapshot
        self.discovery.set_snapshot(key, update.snapshot)
        if tracker is not None:
            tracker.handed(key, update.changes)

    async def _wait_until_in_use(self, given: list[_Handed], tracker: PushTracker) -> None:
        """Wait until these updates are in use in their proxies."""
        if given:
            await tracker.answered([key for key, _ in given], ANSWER_SECONDS)
        if any(one.touches(xds.type_urls.LISTENER) for _, one in given):
            await asyncio.sleep(TAKE_UP_SECONDS)

    def _drop_departing(self, departing: list[tuple[_Handed, xds.Snapshot]], tracker: PushTracker) -> None:
        updates = ProxyUpdates()
        for (key, given), later in departing:
            live = self._live.get(key)
            if live is None or live.snapshot is not given.snapshot:
                continue
            last = updates.between(given.snapshot, later)
            if last is not None and self.discovery is not None:
                self._hand_over(key, live, last, tracker)

    def _make(self, keys: Iterator[Hashable], make: Maker, updates: ProxyUpdates) -> tuple[list[_Made], bool]:
        """Make snapshots for as many proxies as a slice of time allows; return True if there may be more."""
        made: list[_Made] = []
        more = True
        end = time.perf_counter() + SLICE_SECONDS
        for key in keys:
            live = self._live.get(key)
            # A proxy without a snapshot is left out: its first translation uses a mesh that has the change.
            if live is not None and (old := live.snapshot) is not None:
                new = make(live)
                if new is not None:
                    made.append((key, new[1], updates.between(old, new[0])))
            if time.perf_counter() >= end:
                break
        else:
            more = False
        self._made()
        return made, more


def _is_gateway(live: LiveProxy) -> bool:
    return live.proxy.type == "router"


def _noted(keys: Iterator[Hashable], noted: list[Hashable]) -> Iterator[Hashable]:
    for key in keys:
        noted.append(key)
        yield key
