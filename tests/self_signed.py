"""A certificate that signs itself, made on the spot."""

from __future__ import annotations

import datetime
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate_and_key(days: int = 1) -> tuple[str, str]:
    """Return a self-signed certificate and its private key as PEM; it ended yesterday if `days` is -1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=5))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def with_negative_serial(certificate: str) -> str:
    """Return the certificate with a serial number below zero, which the standard forbids and some have."""
    der = bytearray(
        x509.load_pem_x509_certificate(certificate.encode()).public_bytes(serialization.Encoding.DER)
    )
    # After the version, [0] { INTEGER 2 }, come INTEGER, its length, its bytes (RFC 5280, section 4.1).
    version = b"\xa0\x03\x02\x01\x02"
    der[der.index(version) + len(version) + 2] = 0x81
    return ssl.DER_cert_to_PEM_cert(bytes(der))
