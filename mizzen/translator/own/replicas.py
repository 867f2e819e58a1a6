"""Replicas: proxies that are sent the same. A change is followed once for all of them."""

from __future__ import annotations

from collections.abc import KeysView
from dataclasses import dataclass, field

from mizzen.config.diagnostics import Diagnostic
from mizzen.incremental import Database, Query
from mizzen.mesh.proxy.node import Proxy
from mizzen.translator.shared.proxy_classes import ProxyClass
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Snapshot

Made = tuple[Snapshot, tuple[Diagnostic, ...]]
"""Everything that a proxy is sent, and what could not be served as it was written."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Replicas:
    """Proxies of one class with the same resources of their own workload, secrets and diagnostics. Equal ones
    are the same object: make them with a `Memo`."""

    proxy_class: ProxyClass
    clusters: tuple[Resource, ...]
    listeners: tuple[Resource, ...]
    hidden_listeners: frozenset[str]
    routes: tuple[Resource, ...]
    secrets: tuple[Resource, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(slots=True, eq=False)
class _Served:
    """The proxies of some replicas, and what they are sent; `made` is None if that may have changed."""

    replicas: Replicas
    made: Made | None = None
    proxies: dict[Proxy, None] = field(default_factory=dict)


class ServedProxies:
    """What each proxy is sent, as last translated. It stands until something that was read for it changes.

    Args:
        database: the database of the two queries.
        replicas: tells of which replicas a proxy is one.
        sent: makes what replicas are sent.
    """

    def __init__(
        self, database: Database, replicas: Query[Proxy, Replicas], sent: Query[Replicas, Made]
    ) -> None:
        self.concerned: dict[Proxy, None] = {}
        """The proxies for which something changed; the owner takes them out."""
        self._database = database
        self._replicas = replicas
        self._sent = sent
        self._proxies: dict[Proxy, None] = {}
        self._served: dict[Replicas, _Served] = {}
        self._standing: dict[Proxy, _Served] = {}
        self._left: dict[_Served, None] = {}

    @property
    def proxies(self) -> KeysView[Proxy]:
        """The proxies that are served."""
        return self._proxies.keys()

    def note_changes(self) -> None:
        """Bring `concerned` up to date."""
        for (proxy,) in self._replicas.take_stale():
            self._leave(proxy)
            self.concerned[proxy] = None
        for (replicas,) in self._sent.take_stale():
            served = self._served[replicas]
            served.made = None
            self.concerned.update(served.proxies)

    def class_of(self, proxy: Proxy) -> ProxyClass | None:
        """Return the class of a proxy; None if it is not known of which replicas the proxy is one now."""
        self.note_changes()
        served = self._standing.get(proxy)
        return None if served is None or self._database.checking else served.replicas.proxy_class

    def find(self, proxy: Proxy) -> None:
        """Find of which replicas a proxy is one now. Raises the error of a query that fails for it."""
        self.note_changes()  # first: what is made now concerns nobody
        replicas = self._replicas(proxy)
        served = self._served.get(replicas)
        if served is None:
            served = self._served[replicas] = _Served(replicas)
            self._sent.watch(replicas)
        if self._standing.get(proxy) is not served:
            self._leave(proxy)
            self._standing[proxy] = served
            served.proxies[proxy] = None
        if proxy not in self._proxies:
            self._proxies[proxy] = None
            self._replicas.watch(proxy)
        if self._left:
            self.sweep()

    def made(self, proxy: Proxy) -> Made:
        """Return what a proxy is sent, whose replicas are known. Raises the error of a query that fails."""
        served = self._standing[proxy]
        if served.made is None or self._database.checking:
            served.made = self._sent(served.replicas)
        return served.made

    def forget(self, proxy: Proxy) -> None:
        """Serve a proxy no longer."""
        self._leave(proxy)
        if proxy in self._proxies:
            del self._proxies[proxy]
            self._replicas.unwatch(proxy)

    def _leave(self, proxy: Proxy) -> None:
        served = self._standing.pop(proxy, None)
        if served is not None:
            del served.proxies[proxy]
            if not served.proxies:
                self._left[served] = None

    def sweep(self) -> None:
        """Forget what was made only for replicas of which no proxy is one any more."""
        left, self._left = self._left, {}
        for served in left:
            if not served.proxies and self._served.get(served.replicas) is served:
                del self._served[served.replicas]
                self._sent.unwatch(served.replicas)
        self._database.sweep()
