"""The protocols that a port may name, and the classes that Istio puts them in.

https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/
"""

from __future__ import annotations

from enum import StrEnum


class Protocol(StrEnum):
    """A protocol of a port, in Istio's spelling. UNSUPPORTED: none or an unknown one; it is found out."""

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
        """Return the protocol that `text` names, whatever its case; UNSUPPORTED if it names none."""
        return _BY_NAME.get(text.lower(), cls.UNSUPPORTED)

    @property
    def is_http(self) -> bool:
        """Whether requests can be told apart: HTTP in any version, gRPC, an HTTP proxy."""
        return self in _HTTP

    @property
    def is_http2(self) -> bool:
        """Whether endpoints are spoken to in HTTP/2."""
        return self in (Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB)

    @property
    def is_grpc(self) -> bool:
        """Whether the requests are gRPC's."""
        return self in (Protocol.GRPC, Protocol.GRPC_WEB)

    @property
    def is_tls(self) -> bool:
        """Whether connections are TLS, and routed by SNI."""
        return self in (Protocol.HTTPS, Protocol.TLS)

    @property
    def is_tcp(self) -> bool:
        """Whether connections are forwarded as they are (TLS among them)."""
        return self in _TCP

    @property
    def is_auto(self) -> bool:
        """Whether the protocol is not known, so that it is found out from the traffic."""
        return self is Protocol.UNSUPPORTED


_BY_NAME = {protocol.lower(): protocol for protocol in Protocol if protocol is not Protocol.UNSUPPORTED}
_HTTP = frozenset({Protocol.HTTP, Protocol.HTTP2, Protocol.HTTP_PROXY, Protocol.GRPC, Protocol.GRPC_WEB})
_TCP = frozenset({Protocol.TCP, Protocol.HTTPS, Protocol.TLS, Protocol.MONGO, Protocol.REDIS, Protocol.MYSQL})
