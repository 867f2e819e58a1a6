"""Listener filters: they inspect a connection before Envoy chooses its filter chain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.listener.original_src.v3 import original_src_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from google.protobuf import wrappers_pb2

from mizzen.translator.base.typed_config import typed

_TPROXY_MARK = 1337
_TLS_INITIAL_READ_BUFFER = 512


def original_destination() -> Any:
    """Return the filter that restores the original destination of a captured connection."""
    return _filter("envoy.filters.listener.original_dst", original_dst_pb2.OriginalDst())


def original_source() -> Any:
    """Return the filter that uses the client's address towards the endpoint (TPROXY)."""
    return _filter("envoy.filters.listener.original_src", original_src_pb2.OriginalSrc(mark=_TPROXY_MARK))


def tls_inspector(inbound: bool = False) -> Any:
    """Return the filter that reads SNI and ALPN. Inbound it starts with a small buffer, as in Istio."""
    config = tls_inspector_pb2.TlsInspector()
    if inbound:
        config.initial_read_buffer_size.CopyFrom(wrappers_pb2.UInt32Value(value=_TLS_INITIAL_READ_BUFFER))
    return _filter("envoy.filters.listener.tls_inspector", config)


def http_inspector() -> Any:
    """Return the filter that detects HTTP by the first bytes."""
    return _filter("envoy.filters.listener.http_inspector", http_inspector_pb2.HttpInspector())


def proxy_protocol() -> Any:
    """Return the filter that reads the PROXY protocol header."""
    from envoy.extensions.filters.listener.proxy_protocol.v3 import proxy_protocol_pb2

    return _filter("envoy.filters.listener.proxy_protocol", proxy_protocol_pb2.ProxyProtocol())


def disabled_on_ports(listener_filter: Any, ports: Iterable[int], default_disabled: bool) -> Any:
    """Return `listener_filter`, switched off on `ports`; with `default_disabled`, on all ports but those.

    Protocols in which the server sends first hang if an inspector waits for the client's first bytes. So an
    inspector runs only on ports whose filter chains need its result.
    """
    listed = sorted(ports)
    if default_disabled:
        predicate = _any_port(listed)
        listener_filter.filter_disabled.not_match.CopyFrom(predicate) if listed else _disable(listener_filter)
    elif listed:
        listener_filter.filter_disabled.CopyFrom(_any_port(listed))
    return listener_filter


def _disable(listener_filter: Any) -> None:
    listener_filter.filter_disabled.any_match = True


def _any_port(ports: list[int]) -> Any:
    predicate = listener_components_pb2.ListenerFilterChainMatchPredicate
    ranges = [predicate(destination_port_range={"start": port, "end": port + 1}) for port in ports]
    if len(ranges) == 1:
        return ranges[0]
    return predicate(or_match=predicate.MatchSet(rules=ranges))


def _filter(name: str, config: Any) -> Any:
    return typed(listener_components_pb2.ListenerFilter, name, config)
