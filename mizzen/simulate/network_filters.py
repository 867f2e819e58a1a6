"""What a filter chain does with a connection: TLS, and its network filters."""

from __future__ import annotations

from typing import Any, Final

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3 import sni_dynamic_forward_proxy_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.transport_sockets.quic.v3 import quic_transport_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2

from mizzen.simulate.call import ClientTls
from mizzen.simulate.http_connection_manager import HttpConnectionManager
from mizzen.simulate.secrets import HasSecret, missing_secrets
from mizzen.simulate.security_filters import SecurityFilter, security_filter
from mizzen.simulate.shares import shares
from mizzen.simulate.typed_config import type_name, unpacked
from mizzen.simulate.verdict import FilterChainStep, FilterStep

_SNI_CLUSTER: Final = "envoy.extensions.filters.network.sni_cluster.v3.SniCluster"
_WITHOUT_EFFECT: Final = frozenset({"envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy"})
"""Filters that change nothing about where a connection goes."""

_TLS_PORT: Final = 443

DEFAULT: Final = -1
"""The index of a listener's default filter chain."""


class ChainFilters:
    """The compiled filters of one filter chain.

    If the simulator knows the filter that takes the connection, exactly one of `manager` (the chain reads
    HTTP) and `tcp` (the clusters that the connection is proxied to, with their shares) is set. `security` are
    the filters that may refuse the connection before. `asks_for_certificate`: the client's certificate is
    requested. `resolved_port`: the port that is called at the name in the SNI, by a cluster that resolves it;
    0 without such a filter.
    """

    __slots__ = (
        "_application_protocols",
        "asks_for_certificate",
        "manager",
        "resolved_port",
        "security",
        "sni_cluster",
        "step",
        "tcp",
        "terminal",
    )

    def __init__(self, chain: Any, index: int, has_secret: HasSecret) -> None:
        self.manager: HttpConnectionManager | None = None
        self.tcp: tuple[tuple[str, float], ...] = ()
        self.sni_cluster = False
        self.resolved_port = 0
        self.terminal = False
        self.security: tuple[SecurityFilter, ...] = ()
        steps = tuple(self._compile(each) for each in chain.filters)
        context = _tls_context(chain)
        self._application_protocols: tuple[str, ...] = (
            tuple(context.common_tls_context.alpn_protocols) if context is not None else ()
        )
        self.asks_for_certificate = context is not None and (
            context.require_client_certificate.value
            or context.common_tls_context.WhichOneof("validation_context_type") is not None
        )
        self.step = FilterChainStep(
            name=str(chain.name),
            index=index,
            is_default=index == DEFAULT,
            filters=steps,
            terminates_tls=chain.HasField("transport_socket") and not _passes_through(chain),
            requires_client_certificate=context is not None and context.require_client_certificate.value,
            certificates=_certificates(context),
            missing_secrets=missing_secrets(context, has_secret),
        )

    def negotiated(self, tls: ClientTls) -> str:
        """Return the protocol that server and client agree on by ALPN, by the
        server's preference; empty if there is none."""
        return next((each for each in self._application_protocols if each in tls.application_protocols), "")

    def _compile(self, network_filter: Any) -> FilterStep:
        packed = network_filter.typed_config
        kind = type_name(packed)
        judged = kind == _SNI_CLUSTER or kind in _WITHOUT_EFFECT
        if kind == _SNI_CLUSTER:
            self.sni_cluster = True
        manager = unpacked(packed, http_connection_manager_pb2.HttpConnectionManager)
        if manager is not None:
            self.manager = HttpConnectionManager(manager)
            self.terminal = judged = True
        resolver = unpacked(packed, sni_dynamic_forward_proxy_pb2.FilterConfig)
        if resolver is not None:
            self.resolved_port = resolver.port_value or _TLS_PORT
            judged = True
        tcp = unpacked(packed, tcp_proxy_pb2.TcpProxy)
        if tcp is not None:
            self.tcp = _tcp_clusters(tcp)
            self.terminal = judged = True
        security = security_filter(str(network_filter.name), packed)
        if security is not None:
            self.security += (security,)
            judged = True
        return FilterStep(str(network_filter.name), kind, judged)


def _tcp_clusters(tcp: Any) -> tuple[tuple[str, float], ...]:
    if tcp.HasField("weighted_clusters"):
        clusters = tcp.weighted_clusters.clusters
        return tuple(
            (str(each.name), share)
            for each, share in zip(clusters, shares([each.weight for each in clusters]), strict=True)
            if share
        )
    return ((str(tcp.cluster), 1.0),)


def _passes_through(chain: Any) -> bool:
    return bool(chain.transport_socket.name == "envoy.transport_sockets.raw_buffer")


def _tls_context(chain: Any) -> Any | None:
    packed = chain.transport_socket.typed_config
    quic = unpacked(packed, quic_transport_pb2.QuicDownstreamTransport)
    if quic is not None:
        return quic.downstream_tls_context
    return unpacked(packed, tls_pb2.DownstreamTlsContext)


def _certificates(context: Any | None) -> tuple[str, ...]:
    if context is None:
        return ()
    return tuple(str(each.name) for each in context.common_tls_context.tls_certificate_sds_secret_configs)
