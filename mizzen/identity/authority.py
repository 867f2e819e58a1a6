"""The certificate authority: the issuer, and all roots that are trusted now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mizzen.identity.workload_certificate import CLOCK_SKEW, Issuer

ROOT_LIFETIME: Final = timedelta(days=3650)
"""The lifetime of Istio's own roots."""


class AuthorityError(Exception):
    """The certificate authority cannot be used. The message says why, and shows nothing of a key."""


@dataclass(frozen=True)
class Authority:
    """The issuer that signs now, and all roots that peers may trust now, in PEM."""

    issuer: Issuer
    roots_pem: bytes

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """The roots, each once, in the order of the PEM."""
        return tuple(dict.fromkeys(x509.load_pem_x509_certificates(self.roots_pem)))

    @property
    def ends(self) -> datetime:
        """The first time at which a certificate in the path of its workload certificates expires."""
        above = certificates_of(self.issuer.chain)
        path = path_to_root(self.issuer.certificate, above, self.roots)
        return min(each.not_valid_after_utc for each in path)


def new_root(now: datetime, lifetime: timedelta = ROOT_LIFETIME) -> Issuer:
    """Make a root: ECDSA P-256, with a unique name, so that roots are not confused."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Mizzen"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Root {serial % 16**8:08x}"),
        ]
    )
    begin = now.replace(microsecond=0) - CLOCK_SKEW
    builder = _ca_builder(name, key.public_key(), serial, begin, begin + CLOCK_SKEW + lifetime)
    return Issuer(builder.issuer_name(name).sign(key, hashes.SHA256()), key)


def cross_signed(root: Issuer, by: Issuer, now: datetime) -> x509.Certificate:
    """Return the certificate of `root` signed by a second authority: a peer that knows only the second one
    accepts certificates of `root` that bring this one in their chain."""
    above, mine = by.certificate, root.certificate
    begin = max(now.replace(microsecond=0) - CLOCK_SKEW, above.not_valid_before_utc)
    end = min(mine.not_valid_after_utc, above.not_valid_after_utc)
    builder = _ca_builder(mine.subject, mine.public_key(), x509.random_serial_number(), begin, end)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
    builder = builder.issuer_name(above.subject).add_extension(authority, critical=False)
    return builder.sign(by.key, hashes.SHA256())


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate as `openssl x509 -fingerprint -sha256` writes it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Return certificates in PEM, one after the other."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def certificates_of(text: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates in a PEM; none if it is empty. Raises ValueError if it is not PEM."""
    return tuple(x509.load_pem_x509_certificates(text)) if text.strip() else ()


def path_to_root(
    certificate: x509.Certificate,
    between: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
) -> tuple[x509.Certificate, ...]:
    """Return the certificates from `certificate` up to one of `roots`, both included.

    `between` are the intermediate certificates to choose from, in any order. Raises AuthorityError if none
    leads to a root.
    """
    path = [certificate]
    while path[-1] not in roots:
        below = path[-1]
        above = next((each for each in (*roots, *between) if each not in path and _signed(each, below)), None)
        if above is None:
            raise AuthorityError(
                f"no certificate of {below.issuer.rfc4514_string()!r}, which signed "
                f"{below.subject.rfc4514_string()!r}, is there"
            )
        path.append(above)
    return tuple(path)


def _signed(above: x509.Certificate, below: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _ca_builder(
    name: x509.Name, key: Any, serial: int, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
