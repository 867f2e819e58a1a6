"""TLS settings of servers: those of gateways, and of a sidecar's ingress listeners."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mizzen.config.models import ServerTLSMode, ServerTLSSettings, TLSCertificate, TLSProtocol
from mizzen.config.models.base import camel_case
from mizzen.config.tls_parameters import ignored_cipher_suites
from mizzen.config.validation.addresses import file_path_problem
from mizzen.config.validation.place import Place

_CERTIFICATE_FIELDS: Final = (
    "server_certificate",
    "private_key",
    "ca_certificates",
    "tls_certificates",
    "credential_name",
    "credential_names",
)
_PASSING_THROUGH: Final = frozenset({ServerTLSMode.PASSTHROUGH, ServerTLSMode.AUTO_PASSTHROUGH})
_VERIFYING_CLIENTS: Final = frozenset({ServerTLSMode.MUTUAL, ServerTLSMode.OPTIONAL_MUTUAL})


def check_server_tls(tls: ServerTLSSettings, place: Place) -> None:
    """Check versions and cipher suites, and that the mode and the certificates agree."""
    _check_cipher_suites(tls, place)
    _check_pins(tls, place)
    _check_paths(tls, ("server_certificate", "private_key", "ca_certificates", "ca_crl"), place)
    for index, certificate in enumerate(tls.tls_certificates):
        fields = ("server_certificate", "private_key", "ca_certificates")
        _check_paths(certificate, fields, place / "tlsCertificates" / index)
    if place.lost("mode", *map(camel_case, _CERTIFICATE_FIELDS)):
        return
    if tls.mode is ServerTLSMode.ISTIO_MUTUAL:
        for name in _CERTIFICATE_FIELDS:
            if getattr(tls, name):
                (place / camel_case(name)).error(
                    "mode ISTIO_MUTUAL uses the proxy's own certificate; leave this out, or change the mode"
                )
        return
    certificates_given = tls.ca_crl or any(getattr(tls, name) for name in _CERTIFICATE_FIELDS)
    if tls.mode in _PASSING_THROUGH and certificates_given:
        place.warning(f"mode {tls.mode} ignores certificates; leave them out, or write mode SIMPLE")
    _check_one_source(tls, place)
    if tls.mode in _PASSING_THROUGH:
        if tls.ca_crl and tls.credential_name:
            _error_crl_with_credential(place)
    elif not (tls.credential_name or tls.credential_names):
        _check_files(tls, place)


def _check_cipher_suites(tls: ServerTLSSettings, place: Place) -> None:
    suites_given = tls.cipher_suites or place.lost("cipherSuites")
    if tls.min_protocol_version in (TLSProtocol.TLSV1_0, TLSProtocol.TLSV1_1) and not suites_given:
        (place / "minProtocolVersion").warning(
            f"{tls.min_protocol_version} has just cipher suites that are off by default; write cipherSuites"
        )
    for index, reason in ignored_cipher_suites(tls.cipher_suites):
        (place / "cipherSuites" / index).warning(reason)


def _check_paths(files: ServerTLSSettings | TLSCertificate, fields: Iterable[str], place: Place) -> None:
    for field in fields:
        (place / camel_case(field)).check(file_path_problem(getattr(files, field)))


def _check_pins(tls: ServerTLSSettings, place: Place) -> None:
    """Check pins: Envoy rejects the whole listener if one has the wrong length."""
    for index, pin in enumerate(tls.verify_certificate_spki):
        if len(pin) != 44:
            (place / "verifyCertificateSpki" / index).error(
                f'"{pin}" is not a hash of a public key; write its SHA-256 in base64, 44 characters'
            )
    for index, pin in enumerate(tls.verify_certificate_hash):
        if not 64 <= len(pin) <= 95:
            (place / "verifyCertificateHash" / index).error(
                f'"{pin}" is not a hash of a certificate; write its SHA-256 in 64 hexadecimal digits'
            )


def _check_one_source(tls: ServerTLSSettings, place: Place) -> None:
    sources = [
        name
        for name, given in (
            ("serverCertificate and privateKey", bool(tls.server_certificate and tls.private_key)),
            ("credentialName", bool(tls.credential_name)),
            ("credentialNames", bool(tls.credential_names)),
            ("tlsCertificates", bool(tls.tls_certificates)),
        )
        if given
    ]
    if len(sources) > 1:
        place.error(f"the certificate is given more than once, by {', '.join(sources)}; keep one of them")


def _check_files(tls: ServerTLSSettings, place: Place) -> None:
    if tls.mode in _VERIFYING_CLIENTS and not tls.ca_certificates:
        (place / "caCertificates").error(
            f"mode {tls.mode} needs the CA of clients' certificates; write its file, or a credentialName"
        )
    if len(tls.tls_certificates) > 2:
        (place / "tlsCertificates").warning(
            "only two certificates can be served; keep an RSA and an ECDSA one"
        )
    certificates = [
        (certificate.server_certificate, certificate.private_key, place / "tlsCertificates" / index)
        for index, certificate in enumerate(tls.tls_certificates)
    ] or [(tls.server_certificate, tls.private_key, place)]
    for certificate, key, here in certificates:
        if not certificate:
            (here / "serverCertificate").error(
                f"mode {tls.mode} needs a certificate; write its file, or a credentialName"
            )
        if not key:
            (here / "privateKey").error(
                f"mode {tls.mode} needs the certificate's key; write its file, or a credentialName"
            )
    if tls.ca_crl and tls.mode is ServerTLSMode.SIMPLE:
        (place / "caCrl").error("mode SIMPLE verifies no clients; leave this out, or write mode MUTUAL")


def _error_crl_with_credential(place: Place) -> None:
    (place / "caCrl").error("the credential of credentialName holds the list of revocations; leave this out")
