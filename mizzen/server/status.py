"""How everything stands, as JSON values: what `GET /status` answers and `mizzen status` shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from mizzen import xds
from mizzen.config.diagnostics import Origin
from mizzen.mesh.proxy.node import Proxy
from mizzen.server.origins import CurrentOrigin, origins_of, told_origins, unmoved
from mizzen.server.proxy_remarks import same_address_remarks, same_node_remarks

ProxyOf = Callable[[Hashable], Proxy | None]

Lines = Callable[[xds.Resource, xds.Resource | None], Sequence[Origin]]
"""The lines of a refused resource, of which this version was accepted last (`RejectedLines.of`)."""


def whole_resource(refused: xds.Resource, _: xds.Resource | None) -> tuple[Origin, ...]:
    """Return the lines of all documents that a resource was made of."""
    return tuple(origin for origin in refused.origins if isinstance(origin, Origin))


Count = Callable[[frozenset[str], xds.Collection], int]


def _count(names: frozenset[str], there: xds.Collection) -> int:
    return sum(name in there for name in names)


def proxy_status(
    client: xds.ClientStatus,
    proxy: Proxy | None,
    snapshot: xds.Snapshot | None,
    now: float,
    *,
    remarks: Iterable[str] = (),
    with_names: bool = False,
    count: Count = _count,
) -> dict[str, Any]:
    """Return how one stream stands: the proxy, and for each type what was sent and what Envoy said of it.

    The names that it asks for are counted; `with_names` lists them (an Envoy asks for thousands). `remarks`
    are told beside those on the proxy's own node. `count` tells how many names are in a collection.
    """
    return {
        "id": proxy.id if proxy is not None else client.node_id,
        "node_id": client.node_id,
        "type": proxy.type if proxy is not None else "?",
        "namespace": proxy.namespace if proxy is not None else "",
        "envoy_version": proxy.envoy_version if proxy is not None else "",
        "remarks": [*(proxy.remarks if proxy is not None else ()), *remarks],
        "peer": client.peer,
        "method": client.method.rpartition("/")[2],
        "connected": _moment(client.connected_at),
        "connected_seconds": _since(client.connected_at, now),
        "phase": client.phase,
        "synced": client.synced,
        "types": {
            xds.short_name(type_url): {
                **_type_status(client, held, snapshot, now, count),
                **({"names": sorted(held.names)} if with_names else {}),
            }
            for type_url, held in sorted(client.types.items())
        },
    }


def _type_status(
    client: xds.ClientStatus,
    held: xds.TypeStatus,
    snapshot: xds.Snapshot | None,
    now: float,
    count: Count,
) -> dict[str, Any]:
    resources = len(held.names)
    if snapshot is not None:
        there = snapshot.collection(held.type_url)
        resources = len(there) if held.wildcard else count(held.names, there)
    return {
        "state": state_of(client, held),
        "type_url": held.type_url,
        "subscribed": "*" if held.wildcard else len(held.names),
        "resources": resources,
        "sent_version": held.sent_version,
        "sent": _moment(held.sent_at),
        "acked_version": held.accepted_version,
        "acked": _moment(held.accepted_at),
        "pending_seconds": _since(held.sent_at, now) if held.pending else None,
        "waiting_for": list(held.stuck),
        "missing": _missing(held, snapshot),
        "error": held.error,
        "bytes_sent": held.bytes_sent,
        "responses": held.responses,
    }


def _missing(held: xds.TypeStatus, snapshot: xds.Snapshot | None) -> list[str]:
    """Return the secrets that are asked for and are not there: what uses them refuses its connections."""
    if held.type_url != xds.type_urls.SECRET or snapshot is None:
        return []
    there = snapshot.collection(held.type_url)
    return sorted(name for name in held.names if name not in there)


def state_of(client: xds.ClientStatus, held: xds.TypeStatus) -> str:
    """Return ACKED, PENDING, REJECTED, STUCK or NOT_SENT.

    A proxy that came back and holds everything already is sent nothing, and counts as ACKED. REJECTED holds
    for as long as something is wanted that Envoy refused, though it may have accepted the last response, from
    which the offender was left out.
    """
    refused = any(
        entry.resource.type_url == held.type_url and (held.wildcard or entry.resource.name in held.names)
        for entry in client.rejected
    )
    if held.error is not None or refused:
        return "REJECTED"
    if held.stuck:
        return "STUCK"
    if held.pending:
        return "PENDING"
    if not held.responses and not held.synced:
        return "NOT_SENT"
    # Listeners and routes that wait for clusters to become warm have news that is not sent yet.
    return "ACKED" if held.synced or client.phase == "rest" else "PENDING"


def rejections(
    clients: Iterable[xds.ClientStatus],
    proxy_of: ProxyOf,
    snapshot_of: Callable[[Any], xds.Snapshot | None] = lambda group: None,
    current_origin: CurrentOrigin = unmoved,
    lines: Lines = whole_resource,
) -> list[dict[str, Any]]:
    """Return what Envoys refuse now: their words, the resources that they mean, and where these come from.

    One entry for each proxy, type and message. `lines` knows the lines of a resource that was refused.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}

    def told(client: xds.ClientStatus, type_url: str, message: str) -> dict[str, Any]:
        proxy = proxy_of(client.group)
        name = proxy.id if proxy is not None else client.node_id
        kind = xds.short_name(type_url)
        message = message.strip()
        empty = {"proxy": name, "type": kind, "message": message, "resources": {}}
        return found.setdefault((name, kind, message), empty)

    for client in clients:
        for entry in client.rejected:
            if entry.resource.type_url in client.types:
                entries = told(client, entry.resource.type_url, entry.message)["resources"]
                places = lines(entry.resource, entry.replacement)
                places = places or origins_of(entry.resource, snapshot_of(client.group))
                told_lines = told_origins(places, current_origin)
                entries[entry.resource.name] = _refused_resource(entry, told_lines)
        for held in client.types.values():
            if held.error is not None:
                entries = told(client, held.type_url, held.error)["resources"]
                for name in held.error_names:
                    unknown = {"name": name, "version": "", "origins": [], "in_force": "", "refusals": 1}
                    entries.setdefault(name, unknown)
    return [{**each, "resources": list(each["resources"].values())} for each in found.values()]


def _faults(
    clients: Iterable[xds.ClientStatus], proxy_of: ProxyOf, fault_of: Callable[[Hashable], str]
) -> list[dict[str, Any]]:
    """Return the proxies for which nothing can be translated, as if they had rejected it."""
    found: dict[str, dict[str, Any]] = {}
    for client in clients:
        proxy, fault = proxy_of(client.group), fault_of(client.group)
        if fault:
            name = proxy.id if proxy is not None else client.node_id
            found[name] = {"proxy": name, "type": "translation", "message": fault, "resources": []}
    return list(found.values())


def _refused_resource(entry: xds.RejectedResource, origins: list[str]) -> dict[str, Any]:
    kept = "its last accepted version stays in force" if entry.replacement else "it is left out"
    times = entry.retry.rejections
    return {
        "name": entry.resource.name,
        "version": entry.resource.version,
        "origins": origins,
        "in_force": f"{kept}; tried again every minute or so, refused {times} time{'s' * (times != 1)}",
        "refusals": times,
    }


def whole(
    server: Mapping[str, Any],
    configuration: Mapping[str, Any],
    clients: list[xds.ClientStatus],
    snapshot_of: Callable[[Any], xds.Snapshot | None],
    proxy_of: ProxyOf,
    *,
    mesh_remarks: Callable[[Hashable], Iterable[str]],
    current_origin: CurrentOrigin = unmoved,
    lines: Lines = whole_resource,
    refused_proxies: list[dict[str, Any]],
    fault_of: Callable[[Hashable], str] = lambda _: "",
    with_names: bool = False,
    certificates: Mapping[str, Any] | None = None,
    gone_proxies: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the whole status: the server, its configuration, every proxy, every rejection, every refusal.

    `certificates` says how those of the workloads stand; None if none are served.
    """
    now = time.time()
    count = cache(_count)  # proxies of a kind ask for the same thousands of names
    twice = same_node_remarks(clients)
    shared = same_address_remarks(clients, proxy_of, snapshot_of)
    proxies = [
        proxy_status(
            client,
            proxy_of(client.group),
            snapshot_of(client.group),
            now,
            remarks=(
                *mesh_remarks(client.group),
                *twice.get(client.node_id, ()),
                *shared.get(client.node_id, ()),
            ),
            with_names=with_names,
            count=count,
        )
        for client in clients
    ]
    proxies.sort(key=lambda proxy: (proxy["id"], proxy["connected"]))
    return {
        "server": dict(server),
        "configuration": dict(configuration),
        "certificates": dict(certificates) if certificates is not None else None,
        "proxies": proxies,
        "gone_proxies": list(gone_proxies),
        "refused_proxies": refused_proxies,
        "rejections": [
            *rejections(clients, proxy_of, snapshot_of, current_origin, lines),
            *_faults(clients, proxy_of, fault_of),
        ],
    }


def _since(moment: float, now: float) -> float:
    """Return the seconds since then; none if the machine's clock was set back in the meantime."""
    return max(0.0, round(now - moment, 3))


def _moment(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds") if seconds else None
