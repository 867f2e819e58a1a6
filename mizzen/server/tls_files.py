"""Reads and checks the certificate files of the TLS address before gRPC uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mizzen.identity.private_file import OpenToOthersError, read_private
from mizzen.server.options import TlsFiles


class TlsFileError(Exception):
    """A file of the TLS address cannot be used. The text has its name, and no part of its content."""


def server_credentials(files: TlsFiles) -> Any:
    """Return gRPC's credentials of the server.

    For unusable files gRPC itself only says that it cannot bind the address.

    Raises:
        TlsFileError: a file cannot be read or is not PEM, the key does not belong to the certificate, or all
            users may read the key.
    """
    certificate, key = _read(files.certificate), _read_key(files.key)
    client_ca = _read(files.client_ca) if files.client_ca is not None else None
    leaf = _certificate(files.certificate, certificate)
    if client_ca is not None and files.client_ca is not None:
        _certificate(files.client_ca, client_ca)
    try:
        private = load_pem_private_key(key, password=None)
    except TypeError:
        raise TlsFileError(f"{files.key}: is encrypted; give the key without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise TlsFileError(f"{files.key}: is not a private key in PEM form; give one") from None
    if _public(private.public_key()) != _public(leaf.public_key()):
        raise TlsFileError(
            f"{files.key}: does not belong to the certificate in {files.certificate}; give the pair that was "
            "made together"
        )
    return grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=client_ca, require_client_auth=client_ca is not None
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_key(path: Path) -> bytes:
    try:
        # Its group may read it, as the user chooses: Debian has a group for the keys of servers.
        return read_private(path, group_may=True)
    except OSError as error:
        raise _unreadable(path, error) from error
    except OpenToOthersError as error:
        raise TlsFileError(str(error)) from None


def _unreadable(path: Path, error: OSError) -> TlsFileError:
    reason = (error.strerror or str(error)).lower()
    return TlsFileError(f"{path}: cannot be read ({reason}); give a readable file")


def _certificate(path: Path, data: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(data)[0]
    except ValueError:
        raise TlsFileError(
            f"{path}: is not a certificate in PEM form; give -----BEGIN CERTIFICATE-----..."
        ) from None


def _public(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded
