"""The tables of a connected proxy's resources (`mizzen.explain.tables`), with what it has accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mizzen import xds
from mizzen.explain.missing_secrets import MissingSecrets
from mizzen.explain.origins import PartOrigins
from mizzen.explain.suspect_parts import suspect_places
from mizzen.explain.tables.row import Row
from mizzen.explain.tables.rows import rows
from mizzen.explain.tables.sent import Sent
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.plan.resource_changes import resource_changes
from mizzen.server.control_plane import ControlPlane
from mizzen.server.origins import CurrentOrigin, told_origins
from mizzen.translator.translation import Translation

_MOST = 5
_CUT = 200
"""Most characters of Envoy's words in a row; `mizzen status` shows all."""


class Clients(Protocol):
    """The part of `xds.Server` that tables use."""

    def clients(self) -> list[xds.ClientStatus]:
        """Return the open streams."""

    def client_resources(self, number: int) -> dict[str, xds.ClientResources]:
        """Return what the client of a stream has of each type."""


class ProxyTables:
    """Makes tables for connected proxies."""

    def __init__(self, control_plane: ControlPlane, clients: Clients) -> None:
        self._control_plane = control_plane
        self._clients = clients

    def find(self, name: str) -> xds.ClientStatus | None:
        """Return the stream of a proxy, by its name (with or without the namespace) or node id; if there are
        several, the one that connected last."""
        clients = self._clients.clients()
        found = [each for each in clients if name in (each.node_id, self._name(each))]
        found = found or [each for each in clients if self._short_name(each) == name]
        return found[-1] if found else None

    async def table(self, name: str, kind: str) -> Mapping[str, Any] | None:
        """Return a table of `explain.tables.KINDS` as JSON values; None if the proxy is not connected.

        The worker makes it after all more urgent work. The cost grows with the proxy's resources of the kind.
        """
        client = self.find(name)
        if client is None:
            return None
        by_type = self._clients.client_resources(client.number)
        states = _states(client, by_type)

        proxy = self._control_plane.proxy_of(client.group)

        def made(translation_of: Callable[[Proxy], Translation], _: Mesh) -> tuple[Row, ...]:
            if proxy is None:
                return ()
            sent = {type_url: of_type.sent for type_url, of_type in by_type.items()}
            translation = translation_of(proxy)
            missing = MissingSecrets(translation, proxy)
            return rows(kind, Sent(sent, PartOrigins(translation, proxy), states, missing))

        found = await self._control_plane.ask(made)
        return {"proxy": self._name(client), "kind": kind, "rows": [row.as_dict() for row in found]}

    async def difference(self, name: str) -> Mapping[str, Any] | None:
        """Return, as a table of JSON values, the difference between a proxy's accepted resources and its
        current ones; None if the proxy is not connected."""
        client = self.find(name)
        if client is None:
            return None
        by_type = self._clients.client_resources(client.number)
        current = self._control_plane.current_origin
        proxy = self._control_plane.proxy_of(client.group)

        # In the worker: this decodes the resources that differ, and the loop must serve streams.
        def made(translation_of: Callable[[Proxy], Translation], _: Mesh) -> list[dict[str, Any]]:
            origins = PartOrigins(translation_of(proxy), proxy) if proxy is not None else None
            return _difference_rows(client, by_type, origins, current)

        found = await self._control_plane.ask(made)
        return {"proxy": self._name(client), "rows": found}

    def _short_name(self, client: xds.ClientStatus) -> str:
        proxy = self._control_plane.proxy_of(client.group)
        return proxy.id.removesuffix(f".{proxy.namespace}") if proxy is not None else ""

    def _name(self, client: xds.ClientStatus) -> str:
        proxy = self._control_plane.proxy_of(client.group)
        return proxy.id if proxy is not None else client.node_id


def _difference_rows(
    client: xds.ClientStatus,
    by_type: Mapping[str, xds.ClientResources],
    origins: PartOrigins | None,
    current: CurrentOrigin,
) -> list[dict[str, Any]]:
    def lines(resource: xds.Resource, accepted: xds.Resource | None, words: str) -> tuple[str, ...]:
        """Return the lines of the parts that differ; of the whole resource if no version was accepted."""
        if origins is None or accepted is None:
            return tuple(told_origins(resource.origins, current))
        places = suspect_places(resource, accepted, origins, words)
        return tuple(told_origins(places or resource.origins, current))

    return [
        Row(
            {
                "TYPE": xds.short_name(type_url),
                "RESOURCE": one.resource.name,
                "WHAT": one.what,
                "DIFFERENCE": _meaning(one.accepted, one.resource),
            },
            lines(one.resource, one.accepted, one.words),
            one.resource.name,
        ).as_dict()
        for type_url, of_type in sorted(by_type.items())
        for one in _differences(client, type_url, of_type)
    ]


@dataclass(frozen=True, slots=True)
class _Difference:
    """A resource whose current version the client has not accepted: what is wrong, the last accepted version,
    and Envoy's words if it was rejected."""

    resource: xds.Resource
    what: str
    accepted: xds.Resource | None = None
    words: str = ""


def _differences(
    client: xds.ClientStatus, type_url: str, of_type: xds.ClientResources
) -> Iterator[_Difference]:
    rejected = {each.resource.name: each for each in client.rejected if each.resource.type_url == type_url}
    for name in sorted(of_type.wanted.keys() | of_type.accepted.keys() | rejected.keys()):
        wanted, accepted = of_type.wanted.get(name), of_type.accepted.get(name)
        if name in rejected:
            kept = "an older version stays" if rejected[name].replacement else "it is left out"
            one = rejected[name]
            what = f"{kept}; Envoy rejected it: {_shown(one.message)}"
            yield _Difference(one.resource, what, one.replacement or accepted, one.message)
        elif wanted is None and accepted is not None:
            yield _Difference(accepted, "to be removed, and still accepted")
        elif wanted is not None and accepted is None:
            yield _Difference(wanted, "new, and not accepted yet")
        elif wanted is not None and accepted is not None and wanted.version != accepted.version:
            yield _Difference(wanted, "changed, and not accepted yet", accepted)


def _meaning(accepted: xds.Resource | None, wanted: xds.Resource) -> str:
    """Return the difference in the words of `mizzen plan`; `-` if no version was accepted."""
    if accepted is None:
        return "-"
    told = []
    for change in resource_changes(accepted, wanted)[:_MOST]:
        what = ", ".join(each for each in (change.what, *change.details) if each)
        told.append(f"{change.sign} {change.kind} {change.name}{f': {what}' if what else ''}")
    return _shown("; ".join(told))


def _shown(message: str) -> str:
    words = " ".join(message.split())
    return words if len(words) <= _CUT else f"{words[:_CUT]}..."


def _states(
    client: xds.ClientStatus, by_type: Mapping[str, xds.ClientResources]
) -> Mapping[tuple[str, str], str]:
    """Return the states of the resources whose current version the client has not accepted."""
    states: dict[tuple[str, str], str] = {}
    for type_url, of_type in by_type.items():
        for name, resource in of_type.sent.items():
            accepted, wanted = of_type.accepted.get(name), of_type.wanted.get(name)
            if accepted is None or accepted.version != resource.version:
                states[type_url, name] = "sent, not accepted yet"
            elif wanted is not None and wanted.version != resource.version:
                states[type_url, name] = "a newer version is on its way"
    for each in client.rejected:
        states[each.resource.type_url, each.resource.name] = (
            f"an older version; Envoy rejected it: {_shown(each.message)}"
        )
    return states
