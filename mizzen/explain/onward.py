"""Follows a call from one proxy to the next: the call as it arrives at the proxy of an endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from mizzen.explain.callers import Callers
from mizzen.explain.served_proxy import ServedProxy
from mizzen.explain.upstream_connection import upstream_protocol
from mizzen.mesh.proxy.node import Proxy
from mizzen.simulate import Call, Capture, Verdict
from mizzen.simulate.verdict import Destination, Endpoint, HeaderChange
from mizzen.translator.base.cluster_names import parse_cluster_name


@dataclass(frozen=True, slots=True)
class Onward:
    """The next proxy of a call, and the call as it arrives there.

    `server` is None if there is no proxy, or if the call cannot be followed; `note` then says why.
    """

    call: Call
    server: Proxy | None = None
    note: str = ""


def onward(verdict: Verdict, destination: Destination, served: ServedProxy, callers: Callers) -> Onward:
    """Return where a forwarded call arrives next: at the proxy of the destination's first endpoint."""
    cluster, endpoint = destination.cluster.name, next(iter(destination.cluster.endpoints), None)
    parsed, message = parse_cluster_name(cluster), served.cluster(cluster)
    if endpoint is None or message is None:
        return Onward(verdict.call)
    if parsed is None or parsed.direction == "inbound":
        return Onward(_call_at_server(verdict, destination.request_headers, served, message, endpoint))
    server = callers.at(endpoint.address)
    note = _not_followed(server, endpoint, served, parsed.hostname)
    capture = verdict.call.capture
    if server is not None and not note:
        capture = Capture.NONE if server.interception_mode == "NONE" else Capture.INBOUND
    call = _call_at_server(verdict, destination.request_headers, served, message, endpoint, capture)
    return Onward(call, note=note) if note else Onward(call, server)


def past_the_proxy(server: ServedProxy, call: Call) -> str:
    """Return a sentence if a call reaches the workload directly: the call is plain text, the workload's
    traffic is not captured, and its proxy does not listen there. Empty if the proxy gets the call."""
    if call.capture is not Capture.NONE or call.tls is not None:
        return ""
    if server.simulator.listeners.accepts(call) is not None:
        return ""
    return (
        f"traffic of {server.proxy.id} is not captured, and its proxy does not listen at {call.address}:"
        f"{call.port} (a Sidecar's ingress would let it): the call comes to the workload itself"
    )


def _not_followed(server: Proxy | None, endpoint: Endpoint, served: ServedProxy, host: str) -> str:
    """Return why a call cannot be followed to the proxy of an endpoint, or an empty text if it can."""
    place = f"{endpoint.address}:{endpoint.port}"
    service = served.scope.destination_service(host)
    if service is not None and service.mesh_external:
        return f"{place} is outside the mesh, as {service.hostname} is MESH_EXTERNAL; no sidecar is there"
    if server is None:
        return f"{place} is no workload of the mesh; what happens there is not known"
    if server.type == "router":
        return f"{place} is the gateway {server.id}; ask again with --gateway to follow the call there"
    return ""


def _call_at_server(
    verdict: Verdict,
    changes: tuple[HeaderChange, ...],
    served: ServedProxy,
    cluster: Any,
    endpoint: Endpoint,
    capture: Capture = Capture.NONE,
) -> Call:
    call = verdict.call
    upstream = verdict.upstream
    by_route = verdict.route.request_headers if verdict.route is not None else ()
    tls = served.upstream_tls(cluster, endpoint)
    filtered = upstream.headers if upstream is not None else None
    headers = call.headers if filtered is None else filtered
    return replace(
        call,
        address=endpoint.address,
        port=endpoint.port,
        capture=capture,
        protocol=upstream_protocol(cluster, call.protocol) if verdict.http_filters else call.protocol,
        tls=tls if verdict.http_filters or tls is not None else call.tls,
        source_address=served.proxy.ip_addresses[0],
        authority=upstream.authority if upstream is not None else call.authority,
        path=upstream.path if upstream is not None else call.path,
        headers=_changed(headers, (*changes, *by_route)) if changes or by_route else headers,
        claims=call.claims if upstream is None or upstream.claims else None,
    )


def _changed(
    headers: tuple[tuple[str, str], ...], changes: Iterable[HeaderChange]
) -> tuple[tuple[str, str], ...]:
    """Return the headers after a proxy has changed them."""
    found = list(headers)
    for change in changes:
        name = change.name.lower()
        there = any(key.lower() == name for key, _ in found)
        if change.operation in ("remove", "overwrite_if_exists_or_add") or (
            change.operation == "overwrite_if_exists" and there
        ):
            found = [(key, value) for key, value in found if key.lower() != name]
        adds = change.operation in ("append_if_exists_or_add", "overwrite_if_exists_or_add")
        if (
            adds
            or (change.operation == "add_if_absent" and not there)
            or (change.operation == "overwrite_if_exists" and there)
        ):
            found.append((change.name, change.value))
    return tuple(found)
