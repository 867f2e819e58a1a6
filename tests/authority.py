"""A certificate authority for one test."""

from __future__ import annotations

import base64
import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes

    @property
    def serial(self) -> int:
        return x509.load_pem_x509_certificate(self.certificate).serial_number

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Put both into files; return their paths."""
        paths = directory / f"{name}.pem", directory / f"{name}-key.pem"
        paths[0].write_bytes(self.certificate)
        paths[1].touch(mode=0o600)
        paths[1].write_bytes(self.key)
        return paths


class Authority:
    """Issues certificates for host names."""

    def __init__(self, name: str = "authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = name
        self.certificate = self._sign(name, self._key.public_key(), ()).public_bytes(
            serialization.Encoding.PEM
        )

    def issue(self, *hosts: str, uris: tuple[str, ...] = ()) -> Certificate:
        """Return a new certificate for these host names and URIs."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        signed = self._sign(hosts[0], key.public_key(), hosts, uris)
        return Certificate(signed.public_bytes(serialization.Encoding.PEM), pem)

    def revocations(self, *revoked: Certificate) -> bytes:
        """Return the list of revoked certificates, as PEM."""
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._name)]))
            .last_update(now - datetime.timedelta(minutes=5))
            .next_update(now + datetime.timedelta(days=1))
        )
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def client_context(self) -> ssl.SSLContext:
        """Return the settings of a TLS client that trusts this authority alone."""
        return ssl.create_default_context(cadata=self.certificate.decode())

    def _sign(
        self, name: str, public_key: Any, hosts: tuple[str, ...], uris: tuple[str, ...] = ()
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._name)]))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=not hosts, path_length=None), critical=True)
        )
        if hosts:
            names = x509.SubjectAlternativeName(
                [*map(x509.DNSName, hosts), *map(x509.UniformResourceIdentifier, uris)]
            )
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def secret(name: str, certificate: Certificate, authority: bytes = b"") -> dict[str, Any]:
    """Return a Kubernetes Secret with a certificate, and with the authority of its clients if given."""
    data = {"tls.crt": certificate.certificate, "tls.key": certificate.key}
    if authority:
        data["ca.crt"] = authority
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }
