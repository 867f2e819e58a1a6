"""The status of the server as JSON values, for `GET /status` and `mizzen status`."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from mizzen import xds
from mizzen.config.diagnostics import Origin
from mizzen.mesh.proxy.node import Proxy
from mizzen.server.origins import (
    NAMING_SECRETS,
    CurrentOrigin,
    origins_of,
    resources_naming,
    told_origins,
    unmoved,
)
from mizzen.server.proxy_warnings import same_address_warnings, same_node_warnings

ProxyOf = Callable[[Hashable], Proxy | None]

Lines = Callable[[xds.Resource, xds.Resource | None], Sequence[Origin]]
"""Returns the lines of a rejected resource, from it and its last accepted version (`RejectedLines.of`)."""


def whole_resource(rejected: xds.Resource, _: xds.Resource | None) -> tuple[Origin, ...]:
    """Return the lines of all documents that a resource was made of."""
    return tuple(origin for origin in rejected.origins if isinstance(origin, Origin))


Count = Callable[[frozenset[str], xds.Collection], int]


def _count(names: frozenset[str], there: xds.Collection) -> int:
    return sum(name in there for name in names)


IsNamed = Callable[[str, xds.Collection], bool]


def _is_named(secret: str, collection: xds.Collection) -> bool:
    return any(True for _ in resources_naming(secret, collection))


def proxy_status(
    client: xds.ClientStatus,
    proxy: Proxy | None,
    snapshot: xds.Snapshot | None,
    now: float,
    *,
    warnings: Iterable[str] = (),
    with_names: bool = False,
    count: Count = _count,
    is_named: IsNamed = _is_named,
) -> dict[str, Any]:
    """Return the status of one stream: the proxy, and for each type what was sent and Envoy's answer.

    The requested names are counted; `with_names` lists them (an Envoy asks for thousands). `warnings` are
    added to those about the proxy's own node. `count` returns how many of some names are in a collection,
    `is_named` whether a listener or cluster of a collection names a secret.
    """
    return {
        "id": proxy.id if proxy is not None else client.node_id,
        "node_id": client.node_id,
        "type": proxy.type if proxy is not None else "?",
        "namespace": proxy.namespace if proxy is not None else "",
        "envoy_version": proxy.envoy_version if proxy is not None else "",
        "warnings": [*(proxy.warnings if proxy is not None else ()), *warnings],
        "peer": client.peer,
        "method": client.method.rpartition("/")[2],
        "connected": _moment(client.connected_at),
        "connected_seconds": _since(client.connected_at, now),
        "phase": client.phase,
        "synced": client.synced,
        "types": {
            xds.short_name(type_url): {
                **_type_status(client, status, snapshot, now, count, is_named),
                **({"names": sorted(status.names)} if with_names else {}),
            }
            for type_url, status in sorted(client.types.items())
        },
    }


def _type_status(
    client: xds.ClientStatus,
    status: xds.TypeStatus,
    snapshot: xds.Snapshot | None,
    now: float,
    count: Count,
    is_named: IsNamed,
) -> dict[str, Any]:
    resources = len(status.names)
    if snapshot is not None:
        there = snapshot.collection(status.type_url)
        resources = len(there) if status.wildcard else count(status.names, there)
    return {
        "state": state_of(client, status),
        "type_url": status.type_url,
        "subscribed": "*" if status.wildcard else len(status.names),
        "resources": resources,
        "sent_version": status.sent_version,
        "sent": _moment(status.sent_at),
        "acked_version": status.accepted_version,
        "acked": _moment(status.accepted_at),
        "pending_seconds": _since(status.sent_at, now) if status.pending else None,
        "waiting_for": list(status.stuck),
        "missing": _missing(status, snapshot, is_named),
        "error": status.error,
        "bytes_sent": status.bytes_sent,
        "responses": status.responses,
    }


def _missing(status: xds.TypeStatus, snapshot: xds.Snapshot | None, is_named: IsNamed) -> list[str]:
    """Return requested secrets that do not exist: listeners and clusters that use them refuse connections.

    Envoy drains a removed listener for minutes and requests its secrets until the end. A secret that no
    current listener or cluster names is not missing.
    """
    if status.type_url != xds.type_urls.SECRET or snapshot is None:
        return []
    there = snapshot.collection(status.type_url)
    current = [snapshot.collection(type_url) for type_url in NAMING_SECRETS]
    absent = [name for name in status.names if name not in there]
    return sorted(name for name in absent if any(is_named(name, each) for each in current))


def state_of(client: xds.ClientStatus, status: xds.TypeStatus) -> str:
    """Return ACKED, PENDING, REJECTED, STUCK or NOT_SENT.

    A proxy that came back and has everything already gets no response, and counts as ACKED. REJECTED is the
    state while the snapshot has a resource that Envoy rejected, even if Envoy has accepted the last response,
    which had all but that resource.
    """
    rejected = any(
        entry.resource.type_url == status.type_url
        and (status.wildcard or entry.resource.name in status.names)
        for entry in client.rejected
    )
    if status.error is not None or rejected:
        return "REJECTED"
    if status.stuck:
        return "STUCK"
    if status.pending:
        return "PENDING"
    if not status.responses and not status.synced:
        return "NOT_SENT"
    # Listeners and routes that wait for warm clusters have changes that are not sent yet.
    return "ACKED" if status.synced or client.phase == "rest" else "PENDING"


def rejections(
    clients: Iterable[xds.ClientStatus],
    proxy_of: ProxyOf,
    snapshot_of: Callable[[Any], xds.Snapshot | None] = lambda group: None,
    current_origin: CurrentOrigin = unmoved,
    lines: Lines = whole_resource,
) -> list[dict[str, Any]]:
    """Return the current rejections: Envoy's words, the resources to blame, and their lines.

    There is one entry for each proxy, type and message. `lines` returns the lines of a rejected resource.
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
                entries[entry.resource.name] = _rejected_resource(entry, told_lines)
        for status in client.types.values():
            if status.error is not None:
                entries = told(client, status.type_url, status.error)["resources"]
                for name in status.error_names:
                    unknown = {"name": name, "version": "", "origins": [], "in_force": "", "refusals": 1}
                    entries.setdefault(name, unknown)
    return [{**each, "resources": list(each["resources"].values())} for each in found.values()]


def _faults(
    clients: Iterable[xds.ClientStatus], proxy_of: ProxyOf, fault_of: Callable[[Hashable], str]
) -> list[dict[str, Any]]:
    """Return the proxies whose translation fails, in the form of rejections."""
    found: dict[str, dict[str, Any]] = {}
    for client in clients:
        proxy, fault = proxy_of(client.group), fault_of(client.group)
        if fault:
            name = proxy.id if proxy is not None else client.node_id
            found[name] = {"proxy": name, "type": "translation", "message": fault, "resources": []}
    return list(found.values())


def _rejected_resource(entry: xds.RejectedResource, origins: list[str]) -> dict[str, Any]:
    kept = "its last accepted version stays in force" if entry.replacement else "it is left out"
    times = entry.retry.rejections
    return {
        "name": entry.resource.name,
        "version": entry.resource.version,
        "origins": origins,
        "in_force": f"{kept}; tried again every minute or so, rejected {times} time{'s' * (times != 1)}",
        "refusals": times,
    }


def whole(
    server: Mapping[str, Any],
    configuration: Mapping[str, Any],
    clients: list[xds.ClientStatus],
    snapshot_of: Callable[[Any], xds.Snapshot | None],
    proxy_of: ProxyOf,
    *,
    mesh_warnings: Callable[[Hashable], Iterable[str]],
    current_origin: CurrentOrigin = unmoved,
    lines: Lines = whole_resource,
    refused_proxies: list[dict[str, Any]],
    fault_of: Callable[[Hashable], str] = lambda _: "",
    with_names: bool = False,
    certificates: Mapping[str, Any] | None = None,
    gone_proxies: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the whole status: the server, its configuration, all proxies, rejections and refused proxies.

    `certificates` is the status of workload certificates; None if none are served.
    """
    now = time.time()
    count = cache(_count)  # proxies of a class ask for the same thousands of names
    is_named = cache(_is_named)
    twice = same_node_warnings(clients)
    shared = same_address_warnings(clients, proxy_of, snapshot_of)
    proxies = [
        proxy_status(
            client,
            proxy_of(client.group),
            snapshot_of(client.group),
            now,
            warnings=(
                *mesh_warnings(client.group),
                *twice.get(client.node_id, ()),
                *shared.get(client.node_id, ()),
            ),
            with_names=with_names,
            count=count,
            is_named=is_named,
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
    """Return the seconds since a moment; 0 if the machine's clock was set back meanwhile."""
    return max(0.0, round(now - moment, 3))


def _moment(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds") if seconds else None
