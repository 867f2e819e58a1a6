"""TLS towards clients: for the servers of gateways, and for the workload behind a sidecar.

Sources: https://istio.io/latest/docs/reference/config/networking/gateway/#ServerTLSSettings and
pilot/pkg/networking/core/listener.go, pilot/pkg/security/authn of Istio.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import Server, ServerTLSMode, ServerTLSSettings
from mizzen.config.tls_parameters import effective_cipher_suites, effective_curves
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

_Parameters = common_pb2.TlsParameters

_VERSIONS = {
    "TLS_AUTO": _Parameters.TLS_AUTO,
    "TLSV1_0": _Parameters.TLSv1_0,
    "TLSV1_1": _Parameters.TLSv1_1,
    "TLSV1_2": _Parameters.TLSv1_2,
    "TLSV1_3": _Parameters.TLSv1_3,
}

HTTP_ALPN = ("h2", "http/1.1")
MESH_TCP_ALPN = ("istio-peer-exchange", "h2", "http/1.1")

_MESH_CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
)

_TERMINATING = frozenset(
    {
        ServerTLSMode.SIMPLE,
        ServerTLSMode.MUTUAL,
        ServerTLSMode.OPTIONAL_MUTUAL,
        ServerTLSMode.ISTIO_MUTUAL,
    }
)


def gateway_transport_socket(
    server: Server, mesh_config: MeshConfig, *, has_agent: bool = False, is_http: bool = True
) -> base_pb2.TransportSocket | None:
    """Return the transport socket of a gateway's server, or None if it does not terminate TLS (no `tls`,
    PASSTHROUGH, AUTO_PASSTHROUGH). `is_http` is False for opaque TCP. `has_agent`: the proxy asks its agent
    for its own certificate."""
    settings = server.tls
    if settings is None or settings.mode not in _TERMINATING:
        return None
    return server_transport_socket(settings, mesh_config, has_agent=has_agent, is_http=is_http)


def server_transport_socket(
    settings: ServerTLSSettings, mesh_config: MeshConfig, *, has_agent: bool = False, is_http: bool = True
) -> base_pb2.TransportSocket:
    """Return the transport socket for settings that terminate TLS (Gateway servers and Sidecar.ingress.tls).

    Envoy fetches certificates by name over the aggregated stream, even those in files (secrets.py). So new
    certificates take effect without a new listener.
    """
    mesh = settings.mode == ServerTLSMode.ISTIO_MUTUAL
    demands = mesh or settings.mode == ServerTLSMode.MUTUAL
    context = tls_pb2.DownstreamTlsContext(require_client_certificate={"value": demands})
    shared = context.common_tls_context
    shared.alpn_protocols.extend(MESH_TCP_ALPN if mesh and not is_http else HTTP_ALPN)
    for name in _certificates(settings):
        shared.tls_certificate_sds_secret_configs.append(sds_config(name, has_agent=has_agent))
    if demands or settings.mode == ServerTLSMode.OPTIONAL_MUTUAL:
        _verify_clients(shared.combined_validation_context, settings, has_agent=has_agent)
    if not mesh:
        _set_parameters(shared, settings, mesh_config)
    return typed(base_pb2.TransportSocket, TLS_SOCKET, context)


def inbound_transport_socket(mesh_config: MeshConfig, *, has_agent: bool = False) -> base_pb2.TransportSocket:
    """Return the transport socket of a workload's port with mutual TLS (PeerAuthentication PERMISSIVE and
    STRICT alike): the client must prove an identity in the mesh's trust domains.

    Like an istiod without metadata exchange, the socket never accepts the protocol `istio-peer-exchange`.
    Otherwise a client of Istio would first send a message that stock Envoy takes for the application's bytes.
    """
    context = tls_pb2.DownstreamTlsContext(require_client_certificate={"value": True})
    shared = context.common_tls_context
    shared.alpn_protocols.extend(HTTP_ALPN)
    own = sds_config(WORKLOAD_CERTIFICATE, has_agent=has_agent)
    shared.tls_certificate_sds_secret_configs.append(own)
    validation = shared.combined_validation_context
    validation.validation_context_sds_secret_config.CopyFrom(sds_config(TRUST_BUNDLE, has_agent=has_agent))
    validation.default_validation_context.match_subject_alt_names.extend(
        string_pb2.StringMatcher(prefix=f"spiffe://{domain}/") for domain in mesh_config.spiffe_trust_domains
    )
    _set_mesh_parameters(shared.tls_params, mesh_config)
    return typed(base_pb2.TransportSocket, TLS_SOCKET, context)


def _set_mesh_parameters(parameters: Any, mesh_config: MeshConfig) -> None:
    mesh = mesh_config.mesh_mtls
    only_newest = mesh is not None and mesh.min_protocol_version == "TLSV1_3"
    parameters.tls_minimum_protocol_version = _Parameters.TLSv1_3 if only_newest else _Parameters.TLSv1_2
    parameters.tls_maximum_protocol_version = _Parameters.TLSv1_3
    ciphers = effective_cipher_suites(mesh.cipher_suites) if mesh is not None else ()
    parameters.cipher_suites.extend(ciphers or _MESH_CIPHERS)
    if mesh is not None:
        parameters.ecdh_curves.extend(effective_curves(mesh.ecdh_curves))


def _certificates(settings: ServerTLSSettings) -> Iterable[str]:
    """Return the SDS names of the server's certificates; there may be one for each type of key."""
    if settings.mode == ServerTLSMode.ISTIO_MUTUAL:
        return (WORKLOAD_CERTIFICATE,)
    credentials = settings.credential_names or (settings.credential_name,)
    if credentials[0]:
        return tuple(credential_secret_name(name) for name in credentials)
    if settings.tls_certificates:
        return tuple(
            file_certificate_name(each.server_certificate, each.private_key)
            for each in settings.tls_certificates
        )
    return (file_certificate_name(settings.server_certificate, settings.private_key),)


def _roots(settings: ServerTLSSettings) -> str:
    """Return the SDS name of the roots that verify clients' certificates."""
    if settings.mode == ServerTLSMode.ISTIO_MUTUAL:
        return TRUST_BUNDLE
    credentials = settings.credential_names or (settings.credential_name,)
    roots = settings.ca_cert_credential_name
    if roots:
        # A certificate and roots cannot have the same name.
        return ca_secret_name(roots) if roots in credentials else credential_secret_name(roots)
    if credentials[0]:
        return ca_secret_name(credentials[0])
    certificates = settings.tls_certificates
    own = certificates[0].ca_certificates if certificates else ""
    return file_root_name(own or settings.ca_certificates)


def _verify_clients(validation: Any, settings: ServerTLSSettings, *, has_agent: bool) -> None:
    roots = sds_config(_roots(settings), has_agent=has_agent)
    validation.validation_context_sds_secret_config.CopyFrom(roots)
    defaults = validation.default_validation_context
    defaults.SetInParent()
    add_subject_alt_names(defaults, settings.subject_alt_names)
    if settings.mode == ServerTLSMode.ISTIO_MUTUAL:
        return
    defaults.verify_certificate_spki.extend(settings.verify_certificate_spki)
    defaults.verify_certificate_hash.extend(settings.verify_certificate_hash)
    if settings.ca_crl:
        defaults.crl.filename = settings.ca_crl
    if settings.insecure_skip_verify:
        defaults.trust_chain_verification = common_pb2.CertificateValidationContext.ACCEPT_UNTRUSTED


def _set_parameters(shared: Any, settings: ServerTLSSettings, mesh_config: MeshConfig) -> None:
    """Set versions, ciphers and curves: the server's, else the mesh's, else Envoy's (TLS 1.2 at least)."""
    parameters = _Parameters()
    defaults = mesh_config.tls_defaults
    if defaults is not None:
        parameters.tls_minimum_protocol_version = _VERSIONS[defaults.min_protocol_version]
        parameters.cipher_suites.extend(effective_cipher_suites(defaults.cipher_suites))
        parameters.ecdh_curves.extend(effective_curves(defaults.ecdh_curves))
    if settings.min_protocol_version != "TLS_AUTO":
        parameters.tls_minimum_protocol_version = _VERSIONS[settings.min_protocol_version]
    if settings.max_protocol_version != "TLS_AUTO":
        parameters.tls_maximum_protocol_version = _VERSIONS[settings.max_protocol_version]
    if settings.cipher_suites:
        del parameters.cipher_suites[:]
        parameters.cipher_suites.extend(effective_cipher_suites(settings.cipher_suites))
    if parameters.ByteSize():
        shared.tls_params.CopyFrom(parameters)
