"""A call: one connection of a client, and for HTTP one request on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Capture(StrEnum):
    """How the connection reaches the proxy."""

    NONE = "none"
    """The client connects to an address on which the proxy listens."""
    OUTBOUND = "outbound"
    """The application calls a different host, and iptables redirects the connection (port 15001)."""
    INBOUND = "inbound"
    """A client calls the application, and iptables redirects the connection (port 15006)."""


class Protocol(StrEnum):
    """The protocol of the client, inside TLS if there is TLS."""

    HTTP10 = "http/1.0"
    HTTP1 = "http/1.1"
    HTTP2 = "http/2"
    HTTP3 = "http/3"
    TCP = "tcp"

    @property
    def is_http(self) -> bool:
        """True for every version of HTTP."""
        return self is not Protocol.TCP


@dataclass(frozen=True, slots=True)
class ClientTls:
    """What the client sends in its TLS handshake."""

    server_name: str = ""
    """The SNI; empty if there is none."""
    application_protocols: tuple[str, ...] = ()
    """ALPN, in the client's order."""
    certificate: bool = False
    """True if the client has a certificate."""
    names: tuple[str, ...] = ()
    """The names in that certificate, such as a SPIFFE ID; empty if they are not known."""


@dataclass(frozen=True, slots=True)
class Call:
    """One connection, and the request that is sent on it.

    The client connects to `address` and `port`; for a captured connection they are the original destination.
    A Unix socket is an address that begins with `/`, with port 0.
    """

    port: int
    address: str = "127.0.0.1"
    capture: Capture = Capture.NONE
    protocol: Protocol = Protocol.HTTP1
    tls: ClientTls | None = None
    client_speaks_first: bool = True
    """False for protocols such as MySQL's, in which the client waits for the server."""
    source_address: str = "192.0.2.1"
    source_port: int = 50000
    method: str = "GET"
    authority: str = ""
    """The Host header, or `:authority` in HTTP/2."""
    path: str = "/"
    """Including the query."""
    headers: tuple[tuple[str, str], ...] = ()
    dynamic_metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What filters learned from the request before it is routed: filter -> values. The payload of a verified
    JWT is under `envoy.filters.http.jwt_authn`, key `payload`."""
    claims: Mapping[str, Any] | None = None
    """The claims of a token in the request, besides the tokens in its headers: `iss` has signed it, and it is
    where the issuer's tokens are looked for."""
    moment: float | None = None
    """When the call is made, in seconds since 1970; None to ignore the times in tokens."""
