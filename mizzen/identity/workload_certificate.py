"""Issuing the certificate of one workload. The time is an argument: this module has no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from mizzen.identity.spiffe_id import SpiffeId

LIFETIME: Final = timedelta(hours=24)
CLOCK_SKEW: Final = timedelta(minutes=2)
"""Certificates begin this much in the past, so that a workload with a slow clock accepts them (as Istio)."""

SMALLEST_RSA_KEY: Final = 2048
CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
"""The curves that Envoy accepts."""

_NO_SUBJECT: Final = x509.Name([])
_CONSTRAINTS: Final = x509.BasicConstraints(ca=False, path_length=None)
_BOTH_ENDS: Final = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


@dataclass(frozen=True)
class Issuer:
    """The certificate and key that sign: those of a root or an intermediate. `chain` has, in PEM, the
    certificates from the intermediate itself up to the root, without the root; it is empty if a root
    signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = field(repr=False)
    chain: bytes = b""


@dataclass(frozen=True)
class SignedCertificate:
    """A signed certificate and those above it in PEM, leaf first, and its period of validity."""

    identity: SpiffeId
    certificate_chain: bytes
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True)
class WorkloadCertificate:
    """A key and its certificates in PEM, leaf first. The key is not part of the repr."""

    identity: SpiffeId
    certificate_chain: bytes
    private_key: bytes = field(repr=False)
    not_before: datetime
    not_after: datetime


def issue(
    issuer: Issuer, identity: SpiffeId, now: datetime, lifetime: timedelta = LIFETIME
) -> WorkloadCertificate:
    """Make a key (ECDSA P-256) and sign its certificate; see `sign`."""
    key = ec.generate_private_key(ec.SECP256R1())
    signed = sign(issuer, key.public_key(), identity, now, lifetime)
    return WorkloadCertificate(
        identity, signed.certificate_chain, private_key_pem(key), signed.not_before, signed.not_after
    )


def sign(
    issuer: Issuer,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    identity: SpiffeId,
    now: datetime,
    lifetime: timedelta = LIFETIME,
) -> SignedCertificate:
    """Sign a certificate for a key of someone else. The identity is its only name; it is for clients and
    servers, and never outlives the certificate of the issuer.

    Raises ValueError if the issuer has expired at `now`, or if Envoy does not accept keys of this kind.
    """
    check_key(public_key)
    now = now.replace(microsecond=0)  # X.509 counts in seconds
    end = min(now + lifetime, issuer.certificate.not_valid_after_utc)
    if end <= now:
        raise ValueError(
            f"the certificate authority expired at {issuer.certificate.not_valid_after_utc.isoformat()}"
        )
    begin = max(now - CLOCK_SKEW, issuer.certificate.not_valid_before_utc)
    encrypts = isinstance(public_key, rsa.RSAPublicKey)  # key transport: TLS 1.2 with RSA uses it
    usage = x509.KeyUsage(True, False, encrypts, False, False, False, False, False, False)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(identity))])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_NO_SUBJECT)
        .issuer_name(issuer.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(_CONSTRAINTS, critical=True)
        .add_extension(usage, critical=True)
        .add_extension(_BOTH_ENDS, critical=False)
        .add_extension(names, critical=True)  # critical, as the subject is empty (RFC 5280, 4.2.1.6)
        .add_extension(authority, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM) + issuer.chain
    return SignedCertificate(identity, chain, begin, end)


def private_key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """Return a key as unencrypted PKCS #8 in PEM, the form that Envoy reads."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def check_key(key: object) -> None:
    """Raise ValueError if Envoy does not accept public keys of this kind."""
    weak = isinstance(key, rsa.RSAPublicKey) and key.key_size < SMALLEST_RSA_KEY
    known = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES)
    if weak or not (known or isinstance(key, rsa.RSAPublicKey)):
        raise ValueError(
            f"Envoy does not take keys of this kind; make it ECDSA P-256, or RSA of {SMALLEST_RSA_KEY} bits"
        )
