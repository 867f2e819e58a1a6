"""The secrets that a listener or cluster refers to. A proxy is sent only those."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.transport_sockets.proxy_protocol.v3 import upstream_proxy_protocol_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2

from mizzen.xds import type_urls
from mizzen.xds.resource import Resource

_TLS_PACKAGE = b"envoy.extensions.transport_sockets.tls.v3."
_CONTEXTS = {
    f"type.googleapis.com/{message.DESCRIPTOR.full_name}": message
    for message in (tls_pb2.UpstreamTlsContext, tls_pb2.DownstreamTlsContext)
}


@dataclass(frozen=True, slots=True)
class SecretNames:
    """SDS names of certificates and of roots. A secret cannot be both, so neither can a name."""

    certificates: frozenset[str] = frozenset()
    roots: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.certificates or self.roots)

    def filtered(self, keep: Callable[[str], bool]) -> SecretNames:
        """Return the names for which `keep` is true."""
        return SecretNames(frozenset(filter(keep, self.certificates)), frozenset(filter(keep, self.roots)))


NO_SECRETS = SecretNames()


def all_secrets(several: Iterable[SecretNames]) -> SecretNames:
    """Return the names of several resources together."""
    found = list(several)
    return SecretNames(
        frozenset().union(*(names.certificates for names in found)),
        frozenset().union(*(names.roots for names in found)),
    )


def secret_references(resource: Resource) -> SecretNames:
    """Return the SDS names in a Listener or Cluster."""
    if _TLS_PACKAGE not in resource.value:
        return NO_SECRETS
    contexts = [context for socket in _sockets(resource) for context in _contexts(socket)]
    return SecretNames(
        frozenset(name for context in contexts for name in _certificates(context)),
        frozenset(name for context in contexts for name in _roots(context)),
    )


def secret_names(resource: Resource) -> tuple[str, ...]:
    """Return the SDS names in a Listener or Cluster, sorted, each once."""
    found = secret_references(resource)
    return tuple(sorted(found.certificates | found.roots))


def _sockets(resource: Resource) -> Iterator[Any]:
    if resource.type_url == type_urls.CLUSTER:
        cluster = cluster_pb2.Cluster.FromString(resource.value)
        yield cluster.transport_socket
        for match in cluster.transport_socket_matches:
            yield match.transport_socket
    else:
        listener = listener_pb2.Listener.FromString(resource.value)
        for chain in (*listener.filter_chains, listener.default_filter_chain):
            yield chain.transport_socket


def _contexts(socket: Any) -> Iterator[Any]:
    packed = socket.typed_config
    wrapper = upstream_proxy_protocol_pb2.ProxyProtocolUpstreamTransport()
    if packed.Is(wrapper.DESCRIPTOR):
        packed.Unpack(wrapper)
        packed = wrapper.transport_socket.typed_config
    message = _CONTEXTS.get(packed.type_url)
    if message is not None:
        yield message.FromString(packed.value).common_tls_context


def _certificates(context: Any) -> Iterator[str]:
    for certificate in context.tls_certificate_sds_secret_configs:
        yield certificate.name


def _roots(context: Any) -> Iterator[str]:
    for validation in (
        context.validation_context_sds_secret_config,
        context.combined_validation_context.validation_context_sds_secret_config,
    ):
        if validation.name:
            yield validation.name
