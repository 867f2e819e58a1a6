"""Handles the events between the server and its proxies: logs, counts and tracks them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Hashable

import structlog

from mizzen import xds
from mizzen.mesh.proxy.node import Proxy
from mizzen.server.convergence import Convergence
from mizzen.server.gone_proxies import GoneProxies
from mizzen.server.metrics import Metrics
from mizzen.server.origins import CurrentOrigin, origins_of, told_origins, unmoved
from mizzen.server.rejected_lines import RejectedLines


class ProxyEvents:
    """Handles the events of `xds.Server`.

    If many proxies reject the same, the rejection is logged once, with Envoy's words and the lines of YAML to
    blame. A separate task (`keep_telling`) logs it, because the search for the lines takes a while.
    """

    def __init__(
        self,
        metrics: Metrics,
        convergence: Convergence,
        proxy_of: Callable[[Hashable], Proxy | None],
        lines: RejectedLines,
        current_origin: CurrentOrigin = unmoved,
        snapshot_of: Callable[[Hashable], xds.Snapshot | None] = lambda group: None,
    ) -> None:
        self._metrics = metrics
        self._convergence = convergence
        self._proxy_of = proxy_of
        self._lines = lines
        self._current_origin = current_origin
        self._snapshot_of = snapshot_of
        self._untold: asyncio.Queue[xds.Rejected] = asyncio.Queue(_UNTOLD)
        self._log = structlog.get_logger("mizzen.xds")
        self.gone = GoneProxies()
        self._acked = metrics.xds_acked.counts
        self._types: dict[int, str] = {}
        self._warnings: dict[int, int] = {}
        self._said: dict[tuple[str, str], None] = {}
        self.taken = 0
        """Number of events so far. While it stays the same, the state of no proxy changes."""

    def take(self, event: xds.Event) -> None:
        """Handle one event."""
        self.taken += 1
        self._convergence.on_event(event)
        match event:
            case xds.Acked(client, type_url, recovered=recovered):
                self._acked[_LABELS.get(type_url, _OTHER)] += 1
                if recovered is not None:
                    self._recovered(client, recovered)
            case xds.Connected(client):
                proxy = self._proxy_of(client.group)
                self._types[client.number] = proxy.type if proxy is not None else "unknown"
                self.gone.came(client.node_id)
                self._metrics.proxies.labels(self._types[client.number]).inc()
                self._metrics.streams.inc()
                self._log.info("proxy connected", proxy=self._name(client), peer=client.peer)
                if proxy is not None and proxy.warnings:
                    self._warn_of(client, proxy)
            case xds.Disconnected(client):
                kind = self._types.pop(client.number, "unknown")
                self.gone.went(client.node_id, self._name(client), kind)
                self._metrics.proxies.labels(kind).dec()
                self._metrics.streams.dec()
                self._metrics.proxy_warnings.dec(self._warnings.pop(client.number, 0))
                self._log.info("proxy disconnected", proxy=self._name(client), peer=client.peer)
            case xds.Rejected():
                self._rejected(event)
            case xds.Stuck():
                self._stuck(event)

    def _warn_of(self, client: xds.Client, proxy: Proxy) -> None:
        """Log the mistakes of a node once, however often its Envoy comes back."""
        self._warnings[client.number] = len(proxy.warnings)
        self._metrics.proxy_warnings.inc(len(proxy.warnings))
        for warning in proxy.warnings:
            if self._is_new(proxy.node_id, warning):
                self._log.warning("the node of a proxy has a mistake", proxy=proxy.id, warning=warning)

    def _rejected(self, event: xds.Rejected) -> None:
        kind = xds.short_name(event.type_url)
        self._metrics.xds_rejected.labels(_LABELS.get(event.type_url, _OTHER)).inc()
        if self._is_new(kind, event.message):
            with contextlib.suppress(asyncio.QueueFull):  # a client with ever new words: counted, not logged
                self._untold.put_nowait(event)

    async def keep_telling(self) -> None:
        """Log rejections, each with the lines to blame. Never ends; when cancelled it logs the rest."""
        try:
            while True:
                event = await self._untold.get()
                try:
                    for culprit, accepted in zip(event.culprits, event.accepted, strict=False):
                        await self._lines.find(event.client.group, culprit, accepted, event.message)
                finally:
                    self._tell(event)
        finally:
            while not self._untold.empty():
                self._tell(self._untold.get_nowait())

    def _tell(self, event: xds.Rejected) -> None:
        blamed = event.culprits or event.suspects
        accepted = dict(zip(event.culprits, event.accepted, strict=False))
        snapshot = self._snapshot_of(event.client.group)
        origins = (
            origin
            for each in blamed
            for origin in self._lines.of(each, accepted.get(each)) or origins_of(each, snapshot)
        )
        self._log.error(
            "a proxy rejected what it was sent",
            proxy=self._name(event.client),
            type=xds.short_name(event.type_url),
            message=event.message.strip(),
            resources=[resource.name for resource in blamed[:10]],
            origins=told_origins(origins, self._current_origin)[:10],
        )

    def _recovered(self, client: xds.Client, recovered: xds.RejectedResource) -> None:
        kind = xds.short_name(recovered.resource.type_url)
        self._said.pop((kind, recovered.message), None)  # a further rejection is logged again
        self._log.info(
            "a proxy accepted what it had rejected",
            proxy=self._name(client),
            type=kind,
            resource=recovered.resource.name,
            rejected=f"{recovered.retry.rejections} times",
        )

    def _stuck(self, event: xds.Stuck) -> None:
        kind = xds.short_name(event.type_url)
        self._metrics.xds_stuck.labels(_LABELS.get(event.type_url, _OTHER)).inc()
        self._log.warning(
            "a proxy does not answer; the server goes on without the answer",
            proxy=self._name(event.client),
            type=kind,
            waited=round(event.waited, 1),
            waiting_for=[resource.name for resource in event.culprits],
        )

    def _is_new(self, subject: str, message: str) -> bool:
        if (subject, message) in self._said:
            return False
        self._said[subject, message] = None
        while len(self._said) > _MESSAGES_REMEMBERED:
            del self._said[next(iter(self._said))]
        return True

    def _name(self, client: xds.Client) -> str:
        proxy = self._proxy_of(client.group)
        return proxy.id if proxy is not None else client.node_id


_MESSAGES_REMEMBERED = 1000
_UNTOLD = 1000
"""Most rejections that wait for their lines; further ones are not logged."""


_LABELS = {type_url: xds.short_name(type_url) for type_url in xds.type_urls.PUSH_ORDER}
"""The labels of types in metrics. Clients may ask for any type, and labels stay for ever."""

_OTHER = "other"
