"""Replicas: proxies that are sent the same. A change is followed once for all of them."""

from __future__ import annotations

from collections.abc import KeysView
from dataclasses import dataclass, field

from mizzen.config.diagnostics import Diagnostic
from mizzen.incremental import Database, Query, Watch
from mizzen.mesh.proxy.node import Proxy
from mizzen.translator.proxy_classes import ProxyClass
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
    watch: Watch[Made]
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
        self._watches: dict[Proxy, Watch[Replicas]] = {}
        self._served: dict[Replicas, _Served] = {}
        self._standing: dict[Proxy, _Served] = {}
        self._left: dict[_Served, None] = {}

    @property
    def proxies(self) -> KeysView[Proxy]:
        """The proxies that are served."""
        return self._watches.keys()

    def note_changes(self) -> None:
        """Bring `concerned` up to date."""
        for watch in self._database.take_stale():
            (key,) = watch.key
            if isinstance(key, Replicas):
                served = self._served[key]
                served.made = None
                self.concerned.update(served.proxies)
            else:
                self._leave(key)
                self.concerned[key] = None

    def class_of(self, proxy: Proxy) -> ProxyClass | None:
        """Return the class of a proxy; None if it is not known of which replicas the proxy is one now."""
        self.note_changes()
        served = self._standing.get(proxy)
        return None if served is None or self._database.checking else served.replicas.proxy_class

    def find(self, proxy: Proxy) -> None:
        """Find of which replicas a proxy is one now. Raises the error of a query that fails for it."""
        self.note_changes()  # first: what is made now concerns nobody
        replicas = self._replicas.sound(proxy)
        served = self._served.get(replicas)
        if served is None:
            served = self._served[replicas] = _Served(replicas, self._sent.watch(replicas))
        if self._standing.get(proxy) is not served:
            self._leave(proxy)
            self._standing[proxy] = served
            served.proxies[proxy] = None
        if proxy not in self._watches:
            self._watches[proxy] = self._replicas.watch(proxy)
        if self._left:
            self.sweep()

    def made(self, proxy: Proxy) -> Made:
        """Return what a proxy is sent, whose replicas are known. Raises the error of a query that fails."""
        served = self._standing[proxy]
        if served.made is None or self._database.checking:
            served.made = self._sent.sound(served.replicas)
        return served.made

    def forget(self, proxy: Proxy) -> None:
        """Serve a proxy no longer."""
        self._leave(proxy)
        watch = self._watches.pop(proxy, None)
        if watch is not None:
            watch.close()

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
                served.watch.close()
        self._database.sweep()
