"""The matches of filter chains for a workload's port: which connections, HTTP or not, and whether TLS ends
there.

Source: pilot/pkg/networking/core/filterchain_options.go of Istio. The ALPN names in the handshake show
whether a client uses the mesh's mutual TLS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mizzen.config.models import MutualTLSMode
from mizzen.mesh.service import Protocol
from mizzen.translator.listeners.filter_chains import ChainMatch
from mizzen.translator.listeners.http_connection_manager import plaintext_http_protocols
from mizzen.translator.tls.mesh_protocols import MESH_HTTP_PROTOCOLS, MESH_PROTOCOLS, MESH_TCP_PROTOCOLS

_TLS: Final = "tls"
_RAW_BUFFER: Final = "raw_buffer"


class _Served(Enum):
    """How a port is served: as HTTP, as bytes, or as detected for each connection."""

    HTTP = "http"
    BYTES = "bytes"
    AUTO = "auto"


class _Offered(Enum):
    """The protocols that a connection must offer; ANYTHING is no condition."""

    ANYTHING = "anything"
    MESH = "mesh"
    MESH_HTTP = "mesh http"
    MESH_BYTES = "mesh bytes"
    PLAIN_HTTP = "plain http"


@dataclass(frozen=True, slots=True)
class _Row:
    transport: str
    offered: _Offered
    is_http: bool
    terminates: bool


def _row(
    transport: str, offered: _Offered = _Offered.ANYTHING, *, http: bool = False, terminates: bool = False
) -> _Row:
    return _Row(transport, offered, http, terminates)


_STRICT, _PERMISSIVE, _DISABLE = MutualTLSMode.STRICT, MutualTLSMode.PERMISSIVE, MutualTLSMode.DISABLE

_ROWS: Final[dict[tuple[MutualTLSMode, _Served], tuple[_Row, ...]]] = {
    (_STRICT, _Served.HTTP): (_row(_TLS, http=True, terminates=True),),
    (_STRICT, _Served.BYTES): (_row(_TLS, terminates=True),),
    (_STRICT, _Served.AUTO): (
        _row(_TLS, _Offered.MESH_HTTP, http=True, terminates=True),
        _row(_TLS, terminates=True),
    ),
    (_PERMISSIVE, _Served.HTTP): (
        _row(_TLS, _Offered.MESH, http=True, terminates=True),
        _row(_RAW_BUFFER, http=True),
    ),
    (_PERMISSIVE, _Served.BYTES): (
        _row(_TLS, _Offered.MESH, terminates=True),
        _row(_TLS),
        _row(_RAW_BUFFER),
    ),
    (_PERMISSIVE, _Served.AUTO): (
        _row(_TLS, _Offered.MESH_HTTP, http=True, terminates=True),
        _row(_RAW_BUFFER, _Offered.PLAIN_HTTP, http=True),
        _row(_TLS, _Offered.MESH_BYTES, terminates=True),
        _row(_RAW_BUFFER),
        _row(_TLS),
    ),
    (_DISABLE, _Served.HTTP): (_row(_RAW_BUFFER, http=True),),
    (_DISABLE, _Served.BYTES): (_row(_RAW_BUFFER),),
    (_DISABLE, _Served.AUTO): (_row(_RAW_BUFFER, _Offered.PLAIN_HTTP, http=True), _row(_RAW_BUFFER)),
}


@dataclass(frozen=True, slots=True)
class InboundMatch:
    """The connections that one filter chain takes, whether it handles them as HTTP, and whether it terminates
    their TLS."""

    match: ChainMatch
    is_http: bool
    terminates: bool


def inbound_matches(
    mode: MutualTLSMode, protocol: Protocol, number: int | None, *, http10: bool
) -> Iterator[InboundMatch]:
    """Yield the matches for port `number` in mTLS mode `mode`. None stands for all ports without chains of
    their own."""
    for row in _ROWS[mode, _served(protocol)]:
        match = ChainMatch(
            application_protocols=_protocols(row.offered, http10),
            transport_protocol=row.transport,
            destination_port=number,
        )
        yield InboundMatch(match, row.is_http, row.terminates)


def looks_for_tls(mode: MutualTLSMode) -> bool:
    """Return whether Envoy must detect TLS on ports with this mode."""
    return mode is not MutualTLSMode.DISABLE


def looks_for_http(mode: MutualTLSMode, protocol: Protocol) -> bool:
    """Return whether Envoy must detect plain-text HTTP. STRICT accepts no plain text."""
    return protocol.is_auto and mode is not MutualTLSMode.STRICT


def _served(protocol: Protocol) -> _Served:
    if protocol.is_auto:
        return _Served.AUTO
    return _Served.HTTP if protocol.is_http else _Served.BYTES


def _protocols(offered: _Offered, http10: bool) -> tuple[str, ...]:
    return {
        _Offered.ANYTHING: (),
        _Offered.MESH: MESH_PROTOCOLS,
        _Offered.MESH_HTTP: MESH_HTTP_PROTOCOLS,
        _Offered.MESH_BYTES: MESH_TCP_PROTOCOLS,
        _Offered.PLAIN_HTTP: tuple(plaintext_http_protocols(http10)),
    }[offered]
