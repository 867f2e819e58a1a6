"""The certificate authority in a directory, in files with Istio's names (plugin CA certificates).

    ca-cert.pem      the issuer: a root, or an intermediate
    ca-key.pem       its key
    cert-chain.pem   the certificates between it and the root; not needed if a root signed it, or if it is one
    root-cert.pem    all roots that are trusted

No message here shows the content of a key.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mizzen.identity.authority import (
    Authority,
    AuthorityError,
    certificates_of,
    new_root,
    path_to_root,
    pem,
)
from mizzen.identity.private_file import OpenToOthersError, read_private, write_private
from mizzen.identity.workload_certificate import CURVES, SMALLEST_RSA_KEY, Issuer, private_key_pem

FOLDER: Final = "ca"
"""The folder of the authority in a server's state directory."""

CERTIFICATE: Final = "ca-cert.pem"
KEY: Final = "ca-key.pem"
CHAIN: Final = "cert-chain.pem"
ROOTS: Final = "root-cert.pem"
FILES: Final = (CERTIFICATE, KEY, CHAIN, ROOTS)
_FIRST: Final = "first"
"""Where a new authority is written. While this folder exists, its content is unused."""


def open_authority(directory: Path, now: datetime) -> Authority:
    """Read and check an authority.

    Raises AuthorityError, which names the file: it is missing, malformed, or expired at `now`; the key does
    not belong to the certificate, or other users may read it; the chain leads to no root.
    """
    roots = _certificates(directory / ROOTS)
    certificate = _certificates(directory / CERTIFICATE)[0]
    key = _key(directory / KEY)
    if _public(key.public_key()) != _public(certificate.public_key()):
        raise AuthorityError(
            f"{directory / KEY}: does not belong to {directory / CERTIFICATE}; give the pair that was made "
            "together"
        )
    chain_file = directory / CHAIN
    between = _certificates(chain_file) if chain_file.exists() and chain_file.read_bytes().strip() else ()
    try:
        path = path_to_root(certificate, between, roots)
    except AuthorityError as error:
        raise AuthorityError(
            f"{directory / CERTIFICATE}: leads to no root of {directory / ROOTS}: {error}; put it into "
            f"{CHAIN} or {ROOTS}"
        ) from error
    files = [directory / CERTIFICATE, *(chain_file for _ in path[1:-1]), directory / ROOTS]
    for height, (each, file) in enumerate(zip(path, files, strict=False)):
        _check_ca(each, file, height, now)
    # A root that signs may have a certificate that the previous root made for it (see `rotation`).
    chain = path[:-1] if len(path) > 1 else _cross_certificates(certificate, between)
    return Authority(Issuer(certificate, key, pem(chain)), pem(dict.fromkeys(roots)))


def create_authority(directory: Path, now: datetime) -> Authority:
    """Make a root, and write it into `directory`, which is created if needed. Raises OSError."""
    root = new_root(now)
    first = directory / _FIRST
    if first.exists():
        shutil.rmtree(first)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    first.mkdir(mode=0o700)
    certificate = pem([root.certificate])
    contents = {KEY: private_key_pem(root.key), CERTIFICATE: certificate, CHAIN: b"", ROOTS: certificate}
    for name, content in contents.items():
        write_private(first / name, content)
    for name in contents:
        (first / name).rename(directory / name)
    first.rmdir()
    return Authority(root, certificate)


def open_or_create_authority(directory: Path, now: datetime) -> Authority:
    """Return the authority in `directory`; make one with a new root if there never was one.

    Raises AuthorityError if there is one that cannot be used: to replace it would break every connection.
    """
    try:
        was_never_whole = (directory / _FIRST).exists()
        if was_never_whole or not any((directory / name).exists() for name in FILES):
            return create_authority(directory, now)
        return open_authority(directory, now)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise AuthorityError(f"{error.filename or directory}: {reason}") from error


def _cross_certificates(
    root: x509.Certificate, between: Sequence[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """Return the certificates among `between` that other authorities made for the key of `root`."""
    return tuple(
        each
        for each in between
        if each != root
        and each.subject == root.subject
        and _public(each.public_key()) == _public(root.public_key())
    )


def _check_ca(certificate: x509.Certificate, file: Path, height: int, now: datetime) -> None:
    """Check one certificate of the path, with `height` authorities between it and
    the workload certificates."""
    name = certificate.subject.rfc4514_string()
    if now >= certificate.not_valid_after_utc:
        raise AuthorityError(
            f"{file}: {name!r} expired at {certificate.not_valid_after_utc.isoformat()}; give a new one"
        )
    if now < certificate.not_valid_before_utc:
        raise AuthorityError(
            f"{file}: {name!r} is valid from {certificate.not_valid_before_utc.isoformat()} on; look at the "
            "clock of this machine"
        )
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        constraints = x509.BasicConstraints(ca=False, path_length=None)
    if not constraints.ca:
        raise AuthorityError(
            f"{file}: {name!r} is no certificate of an authority (CA:TRUE); give one that is"
        )
    if constraints.path_length is not None and constraints.path_length < height:
        raise AuthorityError(
            f"{file}: {name!r} allows {constraints.path_length} authorities below it, and {height} "
            "are there; give one with a longer pathlen"
        )
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise AuthorityError(f"{file}: {name!r} may sign no certificates (keyCertSign); give one that may")


def _certificates(path: Path) -> tuple[x509.Certificate, ...]:
    try:
        found = certificates_of(_read(path))
    except ValueError:
        found = ()
    if not found:
        raise AuthorityError(f"{path}: is not a certificate in PEM form; give -----BEGIN CERTIFICATE-----...")
    return found


def _key(path: Path) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    try:
        text = read_private(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    except OpenToOthersError as error:
        raise AuthorityError(str(error)) from None
    try:
        key = load_pem_private_key(text, password=None)
    except TypeError:
        raise AuthorityError(f"{path}: is encrypted; give the key without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise AuthorityError(f"{path}: is not a private key in PEM form; give one") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= SMALLEST_RSA_KEY:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, CURVES):
        return key
    raise AuthorityError(
        f"{path}: is a key of a kind that Envoy does not take; give ECDSA P-256, or RSA of "
        f"{SMALLEST_RSA_KEY} bits or more"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> AuthorityError:
    reason = (error.strerror or str(error)).lower()
    return AuthorityError(f"{path}: cannot be read ({reason}); give a readable file")


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded
