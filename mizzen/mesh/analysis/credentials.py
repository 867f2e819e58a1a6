"""Checks whether a Secret has what a gateway's TLS needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mizzen.config import models
from mizzen.config.document import Config

_CLIENT_CERTIFICATE_MODES: Final = frozenset(
    {models.ServerTLSMode.MUTUAL, models.ServerTLSMode.OPTIONAL_MUTUAL}
)


def secret_name(credential: str, namespace: str) -> str | None:
    """Return the name of the Secret that a credentialName of a Gateway in `namespace` means, or None if it
    does not mean a Secret in that namespace."""
    scheme, separator, rest = credential.partition("://")
    if not separator:
        return credential
    if scheme != "kubernetes":
        return None
    place, slash, name = rest.partition("/")
    if not slash:
        return rest
    return name if place == namespace else None


def named_namespace(credential: str) -> str | None:
    """Return the namespace that a credentialName names, as `kubernetes://edge/web` does; else None."""
    scheme, _, rest = credential.partition("://")
    namespace, slash, _ = rest.partition("/")
    return namespace if scheme == "kubernetes" and slash else None


def needs_client_ca(server: models.Server) -> bool:
    """Return True if the server verifies certificates of clients by the credential's CA."""
    tls = server.tls
    return tls is not None and tls.mode in _CLIENT_CERTIFICATE_MODES and not tls.ca_cert_credential_name


def authority_of(secret: Config[Any]) -> bytes | None:
    """Return the CA for clients' certificates in a Secret, or None."""
    data: Mapping[str, bytes] = secret.spec.data
    return data.get("ca.crt") or data.get("cacert")


def credential_problem(secret: Config[Any], server: models.Server, authority: Config[Any] | None) -> str:
    """Return what is wrong with the Secret of a server's credential, or an empty text.

    A generic Secret has the keys cert, key and cacert, one of type kubernetes.io/tls has tls.crt, tls.key and
    ca.crt. `authority` is the Secret `NAME-cacert`, if it exists. The result quotes no content of a Secret.
    """
    data = secret.spec.data
    certificate = data.get("tls.crt") or data.get("cert")
    key = data.get("tls.key") or data.get("key")
    if not certificate or not key:
        return "has no certificate and key; give it tls.crt and tls.key (or cert and key)"
    if needs_client_ca(server) and not (authority_of(secret) or (authority and authority_of(authority))):
        return "has no CA for clients' certificates; give it ca.crt, or create a Secret NAME-cacert with it"
    return _pair_problem(certificate, key)


def _pair_problem(certificate: bytes, key: bytes) -> str:
    # Imported only here: few meshes have Secrets among their files, and loading it takes long.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        leaf = x509.load_pem_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "has a certificate that is not in PEM form; correct it"
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "has a private key that is not in PEM form, or has a password; correct it"
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if leaf.public_bytes(*form) != private.public_key().public_bytes(*form):
        return "has a private key that is not the certificate's; put the pair that belongs together"
    return ""
