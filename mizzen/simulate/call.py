"""A call: one connection of a client, and for HTTP one request on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Capture(StrEnum):
    """How the connection comes to the proxy."""

    NONE = "none"
    """The client connects to an address on which the proxy listens."""
    OUTBOUND = "outbound"
    """The application connects to somebody else, and iptables redirects the connection (port 15001)."""
    INBOUND = "inbound"
    """Somebody connects to the application, and iptables redirects the connection (port 15006)."""


class Protocol(StrEnum):
    """What the client speaks, inside TLS if there is TLS."""

    HTTP10 = "http/1.0"
    HTTP1 = "http/1.1"
    HTTP2 = "http/2"
    HTTP3 = "http/3"
    TCP = "tcp"

    @property
    def is_http(self) -> bool:
        """Whether it is some version of HTTP."""
        return self is not Protocol.TCP


@dataclass(frozen=True, slots=True)
class ClientTls:
    """What the client says in its TLS handshake."""

    server_name: str = ""
    """The SNI, empty for none."""
    application_protocols: tuple[str, ...] = ()
    """ALPN, in the client's order."""
    certificate: bool = False
    """Whether the client has a certificate to show."""
    names: tuple[str, ...] = ()
    """The names in that certificate, such as a SPIFFE ID. Without any they are not known."""


@dataclass(frozen=True, slots=True)
class Call:
    """One connection, and the request that is sent on it.

    `address` and `port` are where the client connects to; for a captured connection that is the original
    destination. A Unix socket is an address that begins with `/`, with port 0.
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
    """With the query."""
    headers: tuple[tuple[str, str], ...] = ()
    dynamic_metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What filters found out of the request before it is routed: filter -> values. The payload of a verified
    JWT stands under `envoy.filters.http.jwt_authn`, key `payload`."""
    claims: Mapping[str, Any] | None = None
    """The claims of a token that the request brings besides those in its headers: one that `iss` has signed,
    and that stands where the issuer's tokens are looked for."""
    moment: float | None = None
    """When the call is made, in seconds since 1970; None if the times in tokens are not to count."""
