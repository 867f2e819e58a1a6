"""Issuing the certificate of the control plane itself, for its host names and addresses."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from mizzen.identity.workload_certificate import CLOCK_SKEW, Issuer, private_key_pem

SERVER_LIFETIME: Final = timedelta(hours=24)


def issue_server_certificate(
    issuer: Issuer, names: Iterable[str], now: datetime, lifetime: timedelta = SERVER_LIFETIME
) -> tuple[bytes, bytes, datetime]:
    """Make a key (ECDSA P-256) and a certificate for `names`: host names and IP addresses.

    Return the key and the chain in PEM, and when the certificate expires. Raises ValueError if the issuer has
    expired at `now`, or if a name is invalid.
    """
    now = now.replace(microsecond=0)
    end = min(now + lifetime, issuer.certificate.not_valid_after_utc)
    if end <= now:
        raise ValueError(
            f"the certificate authority expired at {issuer.certificate.not_valid_after_utc.isoformat()}"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - CLOCK_SKEW, issuer.certificate.not_valid_before_utc))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=True)
        .add_extension(authority, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM) + issuer.chain
    return private_key_pem(key), chain, end


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)
