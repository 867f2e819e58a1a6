"""Listener filters: what they learn about a connection before its filter chain is chosen.

Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/listener_filters/listener_filters
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from mizzen.simulate.call import Protocol
from mizzen.simulate.connection import Connection
from mizzen.simulate.typed_config import type_name

PortPredicate = Callable[[int], bool]
ListenerFilter = tuple[str, str, PortPredicate | None]
"""Name, kind (empty if the filter learns nothing), and the ports where it is switched off."""

ORIGINAL_DESTINATION: Final = "original_dst"
_TLS_INSPECTOR: Final = "tls_inspector"
_HTTP_INSPECTOR: Final = "http_inspector"
_KINDS: Final = {
    "envoy.extensions.filters.listener.original_dst.v3.OriginalDst": ORIGINAL_DESTINATION,
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector": _TLS_INSPECTOR,
    "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector": _HTTP_INSPECTOR,
}
_SNIFFED: Final = {
    Protocol.HTTP10: ("http/1.0",),
    Protocol.HTTP1: ("http/1.1",),
    Protocol.HTTP2: ("h2c",),
}


def listener_filters(listener: Any) -> tuple[ListenerFilter, ...]:
    """Return the listener filters in the order in which Envoy runs them.

    Envoy adds two itself: `original_dst` for `use_original_dst`, and the TLS inspector if the match of a
    filter chain needs it.
    """
    found = [
        (
            each.name,
            _KINDS.get(type_name(each.typed_config), ""),
            _predicate(each.filter_disabled) if each.HasField("filter_disabled") else None,
        )
        for each in listener.listener_filters
    ]
    kinds = {kind for _, kind, _ in found}
    if listener.use_original_dst.value and ORIGINAL_DESTINATION not in kinds:
        found.append(("envoy.filters.listener.original_dst", ORIGINAL_DESTINATION, None))
    if _TLS_INSPECTOR not in kinds and any(map(_needs_inspector, listener.filter_chains)):
        found.append(("envoy.filters.listener.tls_inspector", _TLS_INSPECTOR, None))
    return tuple(found)


def run(filters: Iterable[ListenerFilter], connection: Connection) -> tuple[str, ...]:
    """Let the filters inspect the connection; return the names of those that were not switched off."""
    ran = []
    call = connection.call
    for name, kind, disabled in filters:
        if disabled is not None and disabled(connection.port):
            continue
        ran.append(name)
        if kind == ORIGINAL_DESTINATION:
            connection.address = call.address
            connection.port = call.port
            connection.restored = True
        elif kind and call.tls is None and not call.client_speaks_first:
            connection.waits = True
        elif kind == _TLS_INSPECTOR and call.tls is not None:
            connection.transport_protocol = "tls"
            connection.server_name = call.tls.server_name.lower()
            connection.application_protocols = call.tls.application_protocols
        elif kind == _HTTP_INSPECTOR and call.tls is None:
            connection.application_protocols = _SNIFFED.get(call.protocol, ())
    return tuple(ran)


def _needs_inspector(chain: Any) -> bool:
    match = chain.filter_chain_match
    return match.transport_protocol == "tls" or bool(
        not match.transport_protocol and (match.server_names or match.application_protocols)
    )


def _predicate(message: Any) -> PortPredicate:
    rule = message.WhichOneof("rule")
    if rule == "destination_port_range":
        start, end = message.destination_port_range.start, message.destination_port_range.end
        return lambda port: start <= port < end
    if rule == "not_match":
        inner = _predicate(message.not_match)
        return lambda port: not inner(port)
    if rule in ("or_match", "and_match"):
        rules = [_predicate(each) for each in getattr(message, rule).rules]
        every = all if rule == "and_match" else any
        return lambda port: every(each(port) for each in rules)
    return lambda port: rule == "any_match"
