"""TLS from a proxy to the endpoints of a cluster.

Sources: https://istio.io/latest/docs/reference/config/networking/destination-rule/#ClientTLSSettings and
pilot/pkg/networking/core/cluster_tls.go of Istio.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2, proxy_protocol_pb2
from envoy.extensions.transport_sockets.proxy_protocol.v3 import upstream_proxy_protocol_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from google.protobuf import struct_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import ClientTLSMode, ClientTLSSettings, ProxyProtocol, ProxyProtocolVersion
from mizzen.config.tls_parameters import effective_cipher_suites, effective_curves
from mizzen.mesh.rules.destination_rules import MergedDestinationRule
from mizzen.mesh.service import EndpointPool, Service
from mizzen.translator.base.client import CertificateFiles, Client
from mizzen.translator.base.cluster_names import sni_dnat_cluster_name
from mizzen.translator.base.destinations import Destination, Discovery
from mizzen.translator.base.typed_config import typed
from mizzen.translator.tls.certificate_validation import TLS_SOCKET, add_subject_alt_names
from mizzen.translator.tls.secret_names import (
    TRUST_BUNDLE,
    WORKLOAD_CERTIFICATE,
    ca_secret_name,
    credential_secret_name,
    file_certificate_name,
    file_root_name,
    sds_config,
)

_RAW_BUFFER = "envoy.transport_sockets.raw_buffer"
_PROXY_PROTOCOL = "envoy.transport_sockets.upstream_proxy_protocol"

MESH_ALPN = "istio"
"""The ALPN name by which a PERMISSIVE server distinguishes the mesh's TLS from a client's own TLS."""


@dataclass(frozen=True, slots=True)
class ServerName:
    """Whether TLS takes from each request the SNI, and the name that the certificate must hold."""

    auto_sni: bool = False
    auto_san_validation: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """The TLS of one cluster. `automatic`: no rule asks for TLS, and each endpoint decides whether it is
    used.

    `certificate` is the SDS name of the client's certificate, empty for none. `roots` is the SDS name of the
    roots, empty if the server's certificate is not verified.
    """

    mode: ClientTLSMode
    automatic: bool
    sni: str
    subject_alt_names: tuple[str, ...]
    certificate: str
    roots: str
    crl: str = ""
    server_name: ServerName | None = None


class Servers(NamedTuple):
    """The properties of a service's endpoints that the TLS of clusters depends on.

    `identities` are those that their certificates may hold (empty if no cluster names them).
    `take_mutual_tls` is False if a PeerAuthentication has DISABLE for the namespace: then there is no
    automatic mutual TLS. `all_speak_mutual_tls` matters for clusters that call the address that the client
    dialled.
    """

    identities: tuple[str, ...] = ()
    take_mutual_tls: bool = True
    all_speak_mutual_tls: bool = False

    @classmethod
    def of(
        cls,
        service: Service,
        settings: Iterable[ClientTLSSettings | None],
        pool: EndpointPool | None,
        mesh_config: MeshConfig,
        *,
        take_mutual_tls: bool,
        dialled: bool,
    ) -> Servers:
        """Return the properties that clusters with these TLS settings need. `dialled`: some of the clusters
        call the address that the client dialled."""
        automatic = take_mutual_tls and mesh_config.enable_auto_mtls and not service.mesh_external
        named = any(automatic if each is None else _names_identities(each) for each in settings)
        return cls(
            service_identities(service, pool, mesh_config) if named else (),
            take_mutual_tls,
            dialled and _all_speak_mtls(pool),
        )


NOT_ASKED: Final = Servers()
"""Stands for the servers of clusters that add no TLS."""


def upstream_tls(
    destination: Destination,
    rule: MergedDestinationRule | None,
    servers: Servers,
    client: Client,
    mesh_config: MeshConfig,
) -> UpstreamTls | None:
    """Return the TLS of a cluster, or None for plain text. Clusters of AUTO_PASSTHROUGH gateways add none,
    because they forward TLS connections as they are."""
    if destination.is_sni_dnat:
        return None
    settings = destination.policy.tls
    if settings is not None:
        return _as_the_rule_says(settings, destination, rule, servers, client)
    if destination.service.mesh_external or not mesh_config.enable_auto_mtls:
        return None
    if not servers.take_mutual_tls:
        return None
    # Envoy cannot choose TLS for each endpoint of an ORIGINAL_DST cluster, so all must support mutual TLS.
    if destination.discovery is Discovery.ORIGINAL_DST and not servers.all_speak_mutual_tls:
        return None
    return _mesh_mutual(destination, None, servers, client)


def _names_identities(settings: ClientTLSSettings) -> bool:
    """Return whether a cluster with these settings verifies the identities of its endpoints."""
    return settings.mode != ClientTLSMode.DISABLE and not settings.subject_alt_names


def _as_the_rule_says(
    settings: ClientTLSSettings,
    destination: Destination,
    rule: MergedDestinationRule | None,
    servers: Servers,
    client: Client,
) -> UpstreamTls | None:
    if settings.mode == ClientTLSMode.DISABLE:
        return None
    if settings.mode == ClientTLSMode.ISTIO_MUTUAL:
        return _mesh_mutual(destination, settings, servers, client)
    names = rule_secret_names(settings, rule, client)
    if names is None:
        return None
    return _with_names(settings, names, settings.subject_alt_names or servers.identities)


def plain_settings_tls(settings: ClientTLSSettings) -> UpstreamTls:
    """Return the TLS for SIMPLE or MUTUAL settings without a service (the mesh's outboundTrafficPolicy)."""
    names = _named_secrets(settings)
    return _with_names(settings, names or ("", ""), settings.subject_alt_names)


def _with_names(
    settings: ClientTLSSettings, names: tuple[str, str], identities: tuple[str, ...]
) -> UpstreamTls:
    certificate, roots = names
    verifies = not settings.insecure_skip_verify
    server_name = None
    if not settings.sni:
        checks_host = verifies and not settings.subject_alt_names
        server_name = ServerName(auto_sni=True, auto_san_validation=checks_host)
    return UpstreamTls(
        mode=settings.mode,
        automatic=False,
        sni=settings.sni,
        subject_alt_names=identities if verifies else (),
        certificate=certificate,
        roots=roots,
        crl=settings.ca_crl if verifies else "",
        server_name=server_name,
    )


def rule_secret_names(
    settings: ClientTLSSettings, rule: MergedDestinationRule | None, client: Client
) -> tuple[str, str] | None:
    """Return the SDS names of the certificate and the roots for SIMPLE and MUTUAL.

    None if something is missing and Istio then configures no TLS at all: MUTUAL without its files, or a
    credentialName for a sidecar in a rule without workloadSelector.
    """
    if (
        settings.credential_name
        and not client.is_router
        and not (rule is not None and rule.workload_selector is not None)
    ):
        return None
    if client.files is not None and settings.mode == ClientTLSMode.MUTUAL:
        return _proxy_files(client.files)
    return _named_secrets(settings)


def _named_secrets(settings: ClientTLSSettings) -> tuple[str, str] | None:
    mutual = settings.mode == ClientTLSMode.MUTUAL
    certificate = ""
    if settings.credential_name:
        certificate = credential_secret_name(settings.credential_name) if mutual else ""
        roots = ca_secret_name(settings.credential_name)
    else:
        if mutual and not (settings.client_certificate and settings.private_key):
            return None
        if mutual:
            certificate = file_certificate_name(settings.client_certificate, settings.private_key)
        roots = file_root_name(settings.ca_certificates)
    return certificate, "" if settings.insecure_skip_verify else roots


def _proxy_files(files: CertificateFiles) -> tuple[str, str]:
    return file_certificate_name(files.chain, files.key), file_root_name(files.roots)


def _mesh_mutual(
    destination: Destination,
    settings: ClientTLSSettings | None,
    servers: Servers,
    client: Client,
) -> UpstreamTls:
    service = destination.service
    certificate, roots = WORKLOAD_CERTIFICATE, TRUST_BUNDLE
    if settings is not None and client.files is not None:
        certificate, roots = _proxy_files(client.files)
    sni = settings.sni if settings is not None else ""
    identities = settings.subject_alt_names if settings is not None else ()
    return UpstreamTls(
        mode=ClientTLSMode.ISTIO_MUTUAL,
        automatic=settings is None,
        sni=sni or sni_dnat_cluster_name(destination.port.number, destination.subset_name, service.hostname),
        subject_alt_names=identities or servers.identities,
        certificate=certificate,
        roots=roots,
    )


def _all_speak_mtls(pool: EndpointPool | None) -> bool:
    return (
        pool is not None
        and len(pool.endpoints) > 0
        and all(endpoint.tls_mode != "disabled" for endpoint in pool.endpoints)
    )


def service_identities(
    service: Service, pool: EndpointPool | None, mesh_config: MeshConfig
) -> tuple[str, ...]:
    """Return the identities that a service's certificates may hold, sorted.

    These are the identities of its endpoints and its subjectAltNames, each with the mesh's trust domain and
    with all its aliases.
    """
    names = set(service.subject_alt_names)
    if pool is not None:
        names.update(endpoint.identity for endpoint in pool.endpoints if endpoint.identity)
    return tuple(sorted(_with_aliases(names, mesh_config)))


def _with_aliases(names: Iterable[str], mesh_config: MeshConfig) -> set[str]:
    domains = mesh_config.spiffe_trust_domains
    expanded: set[str] = set()
    for name in names:
        expanded.add(name)
        scheme, found, rest = name.partition("spiffe://")
        domain, slash, path = rest.partition("/")
        if not scheme and found and slash and domain in domains:
            expanded.update(f"spiffe://{each}/{path}" for each in domains)
    return expanded


def apply_upstream_tls(
    cluster: cluster_pb2.Cluster,
    tls: UpstreamTls | None,
    proxy_protocol: ProxyProtocol | None,
    mesh_config: MeshConfig,
    *,
    http2: bool,
    has_agent: bool,
) -> None:
    """Set the transport sockets of `cluster`, whose type must already be set. With automatic mutual TLS, the
    tlsMode of each endpoint chooses its socket. The PROXY protocol is wrapped around each socket."""
    if tls is None:
        if proxy_protocol is not None:
            cluster.transport_socket.CopyFrom(_wrapped(_raw_buffer(), proxy_protocol))
        return
    socket = _wrapped(_tls_socket(tls, mesh_config, http2=http2, has_agent=has_agent), proxy_protocol)
    if not tls.automatic or cluster.type == cluster_pb2.Cluster.ORIGINAL_DST:
        cluster.transport_socket.CopyFrom(socket)
        return
    match = struct_pb2.Struct(fields={"tlsMode": struct_pb2.Value(string_value="istio")})
    cluster.transport_socket_matches.add(name="tlsMode-istio", match=match, transport_socket=socket)
    cluster.transport_socket_matches.add(
        name="tlsMode-disabled",
        match=struct_pb2.Struct(),
        transport_socket=_wrapped(_raw_buffer(), proxy_protocol),
    )


def _tls_socket(
    tls: UpstreamTls, mesh_config: MeshConfig, *, http2: bool, has_agent: bool
) -> base_pb2.TransportSocket:
    context = tls_pb2.UpstreamTlsContext(sni=tls.sni)
    shared = context.common_tls_context
    # By default, Envoy as a client does not offer TLS 1.3.
    shared.tls_params.tls_minimum_protocol_version = common_pb2.TlsParameters.TLSv1_2
    shared.tls_params.tls_maximum_protocol_version = common_pb2.TlsParameters.TLSv1_3
    if tls.mode == ClientTLSMode.ISTIO_MUTUAL:
        shared.alpn_protocols.append(MESH_ALPN)
    elif mesh_config.tls_defaults is not None:
        _set_defaults(shared, mesh_config)
    if http2:
        shared.alpn_protocols.append("h2")
    if tls.certificate:
        shared.tls_certificate_sds_secret_configs.append(sds_config(tls.certificate, has_agent=has_agent))
    if not tls.roots:
        shared.validation_context.SetInParent()
    else:
        validation = shared.combined_validation_context
        roots = sds_config(tls.roots, has_agent=has_agent)
        validation.validation_context_sds_secret_config.CopyFrom(roots)
        validation.default_validation_context.SetInParent()
        add_subject_alt_names(validation.default_validation_context, tls.subject_alt_names)
        if tls.crl:
            validation.default_validation_context.crl.filename = tls.crl
    return typed(base_pb2.TransportSocket, TLS_SOCKET, context)


def _set_defaults(shared: Any, mesh_config: MeshConfig) -> None:
    """Set the mesh's ciphers and curves, which hold for clients too; its minimum version is for servers
    only."""
    defaults = mesh_config.tls_defaults
    if defaults is None:
        return
    suites = effective_cipher_suites(defaults.cipher_suites)
    curves = effective_curves(defaults.ecdh_curves)
    if suites or curves:
        shared.tls_params.cipher_suites.extend(suites)
        shared.tls_params.ecdh_curves.extend(curves)


def _raw_buffer() -> base_pb2.TransportSocket:
    return typed(base_pb2.TransportSocket, _RAW_BUFFER, raw_buffer_pb2.RawBuffer())


def _wrapped(
    socket: base_pb2.TransportSocket, proxy_protocol: ProxyProtocol | None
) -> base_pb2.TransportSocket:
    if proxy_protocol is None:
        return socket
    config = proxy_protocol_pb2.ProxyProtocolConfig(
        version=(
            proxy_protocol_pb2.ProxyProtocolConfig.V2
            if proxy_protocol.version == ProxyProtocolVersion.V2
            else proxy_protocol_pb2.ProxyProtocolConfig.V1
        )
    )
    transport = upstream_proxy_protocol_pb2.ProxyProtocolUpstreamTransport(
        config=config, transport_socket=socket
    )
    return typed(base_pb2.TransportSocket, _PROXY_PROTOCOL, transport)
