"""Where a call goes in the served mesh: `mizzen why` with a running server."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from mizzen import xds
from mizzen.explain.answer import Answer
from mizzen.explain.answer_text import origins_text
from mizzen.explain.callers import (
    Callers,
    DeclaredCallers,
    UnknownCallerError,
    gateway_as_workload,
    gateway_names,
)
from mizzen.explain.question import Question
from mizzen.explain.served_proxy import ServedProxy
from mizzen.explain.suspect_parts import suspect_places
from mizzen.explain.why import why
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.server.control_plane import ControlPlane
from mizzen.server.proxy_tables import Clients
from mizzen.translator.on_demand import TranslationOnDemand
from mizzen.translator.translation import Translation

_REMEMBERED: Final = 8
"""Number of proxies whose decoded resources are cached; each takes some megabytes."""

_KEPT_SECONDS: Final = 60.0
"""Seconds after the last question until the decoded resources, and the mesh of that time, are dropped."""

_NAMED: Final = 10

TranslationOf = Callable[[Proxy], Translation]


class LiveWhy:
    """Answers questions about connected proxies, and about proxies that the documents declare.

    People ask several questions in a row, so what was prepared for one is cached for the next. The cache is
    dropped a while after the last question, or when the mesh has changed.
    """

    def __init__(self, control_plane: ControlPlane, clients: Clients) -> None:
        self._control_plane = control_plane
        self._clients = clients
        self._ready: _Ready | None = None
        self._forgetting: asyncio.TimerHandle | None = None

    async def answer(self, question: Question, caller: str = "", gateway: str = "") -> Answer:
        """Return where a call goes that the workload `caller` makes, or that arrives at `gateway`.

        Raises UnknownCallerError if there is no workload or Gateway with that name.
        """
        question = replace(question, moment=time.time())
        streams = {}
        for client in self._clients.clients():
            proxy = self._control_plane.proxy_of(client.group)
            if proxy is not None:
                streams[proxy] = client
        resources = {
            proxy: self._clients.client_resources(client.number) for proxy, client in streams.items()
        }

        def found(translation_of: TranslationOf, mesh: Mesh) -> Answer:
            ready = self._ready
            if ready is None or ready.mesh is not mesh:
                ready = self._ready = _Ready(mesh)
            callers = LiveCallers(streams, mesh, ready.declared)
            asked = callers.gateway(gateway) if gateway else callers.sidecar(caller)
            serving = _LiveServing(ready, callers, translation_of, streams, resources)
            answer = why(question, asked, serving)
            return replace(answer, notes=(*answer.notes, *serving.behind()))

        try:
            return await self._control_plane.ask(found)
        finally:
            if self._forgetting is not None:
                self._forgetting.cancel()
            self._forgetting = asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._forget)

    def _forget(self) -> None:
        self._ready = None


class _Ready:
    """The cached callers and decoded resources of one mesh. Used in the worker alone."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.declared = DeclaredCallers(mesh)
        self._decoded: OrderedDict[tuple[Proxy, bool], tuple[Translation, ServedProxy]] = OrderedDict()

    def served(self, proxy: Proxy, translation: Translation, *, inbound: bool) -> ServedProxy:
        """Return the decoded resources of a proxy by `translation`; with `inbound`, for calls to its
        workload."""
        known = self._decoded.pop((proxy, inbound), None)
        if known is None or known[0] is not translation:
            # For a proxy that is not connected, translate only the parts that the call needs.
            made = translation if translation.knows(proxy) else TranslationOnDemand(translation)
            known = (translation, ServedProxy(made, proxy, inbound=inbound))
        self._decoded[proxy, inbound] = known
        while len(self._decoded) > _REMEMBERED:
            self._decoded.popitem(last=False)
        return known[1]


class LiveCallers:
    """Finds proxies: first connected ones, then those that the documents declare."""

    def __init__(self, connected: Iterable[Proxy], mesh: Mesh, declared: DeclaredCallers) -> None:
        self._connected = tuple(connected)
        self._mesh = mesh
        self._declared = declared

    def sidecar(self, name: str) -> Proxy:
        """Return the sidecar of a workload. Raises UnknownCallerError."""
        found = self._named(name, "sidecar") or self.at(name)
        if found is None and self._named(name, "router") is not None:
            raise gateway_as_workload(name)
        if found is None:
            found = self._expected(self._declared.sidecar, name)
            found = self._named(found.id, found.type) or found
        return found

    def gateway(self, name: str) -> Proxy:
        """Return a proxy that serves the Gateway `name`, or whose own name it is. Raises
        UnknownCallerError."""
        for proxy in self._connected:
            if proxy.type != "router":
                continue
            for config in self._mesh.gateway_index.selecting(self._mesh.workload_labels(proxy)):
                if name in gateway_names(config):
                    return proxy
        return self._named(name, "router") or self._expected(self._declared.gateway, name)

    def at(self, address: str) -> Proxy | None:
        """Return the proxy of the workload at an address; None if there is none."""
        own = (each for each in self._connected if each.type == "sidecar" and address in each.ip_addresses)
        return next(own, None) or self._declared.at(address)

    def _named(self, name: str, kind: str) -> Proxy | None:
        own = (each for each in self._connected if each.type == kind)
        return next((each for each in own if name in _names(each)), None)

    def _expected(self, find: Callable[[str], Proxy], name: str) -> Proxy:
        try:
            return find(name)
        except UnknownCallerError as error:
            connected = ", ".join(sorted(each.id for each in self._connected)[:_NAMED]) or "none"
            raise UnknownCallerError(f"{error} (connected: {connected})") from None


class _LiveServing:
    def __init__(
        self,
        ready: _Ready,
        callers: Callers,
        translation_of: TranslationOf,
        streams: Mapping[Proxy, xds.ClientStatus],
        resources: Mapping[Proxy, Mapping[str, xds.ClientResources]],
    ) -> None:
        self.callers = callers
        self._ready = ready
        self._translation_of = translation_of
        self._streams = streams
        self._resources = resources
        self._on_the_way: dict[tuple[Proxy, str, str], None] = {}

    def served(self, proxy: Proxy, *, inbound: bool = False) -> ServedProxy:
        return self._ready.served(proxy, self._translation_of(proxy), inbound=inbound)

    def refused(self, proxy: Proxy, type_url: str, name: str) -> str:
        """Return Envoy's words and the lines to blame if Envoy rejected the current version of a resource;
        else an empty text.

        `why` calls this for each resource on the way of the call.
        """
        self._on_the_way[proxy, type_url, name] = None
        stream = self._streams.get(proxy)
        if stream is None:
            return ""
        entry = next((each for each in stream.rejected if _is(each.resource, type_url, name)), None)
        if entry is None:
            return ""
        origins = self.served(proxy).origins
        places = suspect_places(entry.resource, entry.replacement, origins, entry.message)
        lines = origins_text(tuple(map(str, places)), " (new in it: ")
        return f"{entry.message.strip()}{lines})" if lines else entry.message.strip()

    def behind(self) -> Iterator[str]:
        """Yield a note for each proxy on the way that is not connected, and for each of its resources whose
        current version Envoy has not accepted."""
        for proxy in dict.fromkeys(proxy for proxy, _, _ in self._on_the_way):
            if proxy not in self._streams:
                yield (
                    f"{proxy.id} is not connected: it has no open stream to this server now, so the answer "
                    "is computed from the configuration"
                )
        for proxy, type_url, name in self._on_the_way:
            of_type = self._resources.get(proxy, {}).get(type_url)
            wanted = of_type.wanted.get(name) if of_type is not None else None
            if of_type is None or wanted is None:
                continue
            accepted = of_type.accepted.get(name)
            if accepted is None or accepted.version != wanted.version:
                has = "has not accepted" if accepted is None else "still has an older version of"
                yield f"{proxy.id} {has} {xds.short_name(type_url)} {name}"


def _is(resource: Any, type_url: str, name: str) -> bool:
    return bool(resource.type_url == type_url and resource.name == name)


def _names(proxy: Proxy) -> tuple[str, str, str]:
    return proxy.id, proxy.node_id, proxy.id.removesuffix(f".{proxy.namespace}")
