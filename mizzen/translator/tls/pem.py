"""Checking that Envoy accepts certificates and keys in PEM form.

Errors never contain the content of a certificate or key.
"""

from __future__ import annotations

from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from mizzen.translator.tls.unusable_secret import UnusableSecretError

_SMALLEST_RSA_KEY: Final = 2048
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


def load_certificates(key: str, text: bytes) -> list[x509.Certificate]:
    """Return the certificates in `text`, the entry `key` of a Secret.

    Raises UnusableSecretError if it is not PEM.
    """
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError:
        raise UnusableSecretError(
            key, "is not a certificate in PEM form; give -----BEGIN CERTIFICATE-----..."
        ) from None


def check_pair(certificate_key: str, certificate: bytes, private_key: str, key: bytes) -> None:
    """Raise UnusableSecretError if Envoy would reject this certificate and key.

    `certificate_key` and `private_key` are the entries of the Secret that hold them.
    """
    first = load_certificates(certificate_key, certificate)[0]
    try:
        loaded = load_pem_private_key(key, password=None)
    except TypeError:
        raise UnusableSecretError(private_key, "is encrypted; give the key without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableSecretError(private_key, "is not a private key in PEM form") from None
    if isinstance(loaded, rsa.RSAPrivateKey):
        if loaded.key_size < _SMALLEST_RSA_KEY:
            message = f"is an RSA key of {loaded.key_size} bits; Envoy takes {_SMALLEST_RSA_KEY} or more"
            raise UnusableSecretError(private_key, message)
    elif not (isinstance(loaded, ec.EllipticCurvePrivateKey) and isinstance(loaded.curve, _CURVES)):
        raise UnusableSecretError(
            private_key, "is of a kind that Envoy does not take; give RSA or ECDSA P-256"
        )
    if _public(loaded.public_key()) != _public(first.public_key()):
        message = (
            f"does not belong to the certificate in {certificate_key}; give the pair that was made together"
        )
        raise UnusableSecretError(private_key, message)


def _public(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded
