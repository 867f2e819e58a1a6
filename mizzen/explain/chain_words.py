"""Describes Envoy's filter chains in short: which connections a chain takes, and what it does with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.transport_sockets.quic.v3 import quic_transport_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2

from mizzen.explain.route_words import shares_words
from mizzen.simulate.typed_config import unpacked

_SOURCE_TYPES: Final = ("", "from this machine", "from elsewhere")


@dataclass(frozen=True, slots=True)
class Target:
    """What a filter chain does. `routes` is the RouteConfiguration inside it, or `routes_name` the name of
    the one that it asks for; `clusters` get its connections, with their weights."""

    routes_name: str = ""
    routes: Any | None = None
    clusters: tuple[tuple[str, int | None], ...] = ()

    def __str__(self) -> str:
        if self.routes_name:
            return f"routes {self.routes_name}"
        return shares_words(self.clusters)


def chains(listener: Any) -> Iterator[tuple[int, Any]]:
    """Yield the filter chains of a Listener with their indexes, last the default one with -1."""
    yield from enumerate(listener.filter_chains)
    if listener.HasField("default_filter_chain"):
        yield -1, listener.default_filter_chain


def chain_match_words(chain: Any, *, is_default: bool = False) -> str:
    """Return which connections a FilterChain takes: `port 9080, SNI shop.example.com`."""
    if is_default:
        return "everything else"
    return ", ".join(_conditions(chain.filter_chain_match)) or "everything"


def tls_words(chain: Any) -> str:
    """Return the TLS that a FilterChain terminates: `mutual TLS`, `TLS`, empty for none."""
    context = downstream_tls(chain)
    if context is None:
        return ""
    return "mutual TLS" if context.require_client_certificate.value else "TLS"


def downstream_tls(chain: Any) -> Any | None:
    """Return the DownstreamTlsContext of a FilterChain, or None if it terminates no TLS."""
    packed = chain.transport_socket.typed_config
    quic = unpacked(packed, quic_transport_pb2.QuicDownstreamTransport)
    if quic is not None:
        return quic.downstream_tls_context
    return unpacked(packed, tls_pb2.DownstreamTlsContext)


def target(chain: Any) -> Target:
    """Return what a FilterChain does with a connection, if it serves HTTP or proxies TCP."""
    for each in chain.filters:
        manager = unpacked(each.typed_config, http_connection_manager_pb2.HttpConnectionManager)
        if manager is not None:
            if manager.HasField("route_config"):
                return Target(str(manager.route_config.name), manager.route_config)
            return Target(str(manager.rds.route_config_name))
        tcp = unpacked(each.typed_config, tcp_proxy_pb2.TcpProxy)
        if tcp is not None:
            if tcp.HasField("weighted_clusters"):
                weighted = tcp.weighted_clusters.clusters
                return Target(clusters=tuple((str(one.name), int(one.weight)) for one in weighted))
            return Target(clusters=((str(tcp.cluster), None),))
    return Target()


def _conditions(match: Any) -> Iterator[str]:
    if match.HasField("destination_port"):
        yield f"port {match.destination_port.value}"
    if match.prefix_ranges:
        yield f"to {_ranges(match.prefix_ranges)}"
    if match.server_names:
        yield f"SNI {' or '.join(match.server_names)}"
    if match.transport_protocol:
        yield "plaintext" if match.transport_protocol == "raw_buffer" else match.transport_protocol.upper()
    if match.application_protocols:
        yield " or ".join(match.application_protocols)
    if match.source_type:
        yield _SOURCE_TYPES[match.source_type]
    for ranges in (match.direct_source_prefix_ranges, match.source_prefix_ranges):
        if ranges:
            yield f"from {_ranges(ranges)}"
    if match.source_ports:
        yield f"from port {' or '.join(map(str, match.source_ports))}"


def _ranges(ranges: Any) -> str:
    texts = []
    for each in ranges:
        whole = 128 if ":" in each.address_prefix else 32
        length = each.prefix_len.value
        texts.append(each.address_prefix if length == whole else f"{each.address_prefix}/{length}")
    return " or ".join(texts)
