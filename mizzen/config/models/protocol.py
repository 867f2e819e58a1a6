"""The protocols that a port may name, and how Istio groups them.

https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/
"""

from __future__ import annotations

from enum import StrEnum


class Protocol(StrEnum):
    """A protocol of a port, in Istio's spelling. UNSUPPORTED: none or an unknown one, so it is detected."""

    TCP = "TCP"
    UDP = "UDP"
    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    HTTP_PROXY = "HTTP_PROXY"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-Web"
    HTTPS = "HTTPS"
    TLS = "TLS"
    MONGO = "Mongo"
    REDIS = "Redis"
    MYSQL = "MySQL"
    UNSUPPORTED = "UnsupportedProtocol"

    @classmethod
    def parse(cls, text: str) -> Protocol:
        """Return the protocol that `text` names, in any case; UNSUPPORTED if there is none."""
        return _BY_NAME.get(text.lower(), cls.UNSUPPORTED)

    @property
    def is_http(self) -> bool:
        """True if single requests can be routed: HTTP in any version, gRPC, an HTTP proxy."""
        return self in _HTTP

    @property
    def is_http2(self) -> bool:
        """True if endpoints are called by HTTP/2."""
        return self in (Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB)

    @property
    def is_grpc(self) -> bool:
        """True if the requests are gRPC's."""
        return self in (Protocol.GRPC, Protocol.GRPC_WEB)

    @property
    def is_tls(self) -> bool:
        """True if connections are TLS, and routed by SNI."""
        return self in (Protocol.HTTPS, Protocol.TLS)

    @property
    def is_tcp(self) -> bool:
        """True if connections are forwarded unchanged (including TLS)."""
        return self in _TCP

    @property
    def is_auto(self) -> bool:
        """True if the protocol is unknown, so that it is detected from the traffic."""
        return self is Protocol.UNSUPPORTED


_BY_NAME = {protocol.lower(): protocol for protocol in Protocol if protocol is not Protocol.UNSUPPORTED}
_HTTP = frozenset({Protocol.HTTP, Protocol.HTTP2, Protocol.HTTP_PROXY, Protocol.GRPC, Protocol.GRPC_WEB})
_TCP = frozenset({Protocol.TCP, Protocol.HTTPS, Protocol.TLS, Protocol.MONGO, Protocol.REDIS, Protocol.MYSQL})
