"""`mizzen serve` with certificates of its own: who is let in, and what the log says of who is not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from mizzen.testing.live_mesh import in_a_new_python
from mizzen.testing.waiting import DEADLINE, eventually
from tests.e2e.serving import NODE, first_answer, started
from tests.self_signed import with_negative_serial


async def test_tls_with_client_certificates(tmp_path: Path) -> None:
    authority = _Authority(tmp_path)
    certificate, key = authority.issue("server", "127.0.0.1")
    client_certificate, client_key = authority.issue("client", "127.0.0.1")
    server, _, [_, tls], _ = await started(
        tmp_path,
        *("--config", str(tmp_path / "none"), "--tls-address", "127.0.0.1:0"),
        *("--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.file)),
    )
    try:
        roots = authority.file.read_bytes()
        credentials = grpc.ssl_channel_credentials(
            roots, client_key.read_bytes(), client_certificate.read_bytes()
        )
        assert (await first_answer(tls, NODE, credentials)).resources
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await first_answer(tls, NODE, grpc.ssl_channel_credentials(roots))
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        await server.stop()


async def test_failed_handshakes_are_lines_of_the_log_with_the_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GRPC_TRACE", "GRPC_VERBOSITY"):
        monkeypatch.delenv(name, raising=False)
    authority = _Authority(tmp_path)
    certificate, key = authority.issue("server", "127.0.0.1")
    certificate.write_text(with_negative_serial(certificate.read_text()))
    server, admin, [plain, tls], log = await started(
        tmp_path,
        *("--config", str(tmp_path / "none"), "--tls-address", "127.0.0.1:0", "--log-format", "json"),
        *("--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.file)),
        launch=in_a_new_python,  # gRPC reads where it logs only once
    )

    def told() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["event"] == "a TLS handshake failed"]

    async def at_least(number: int) -> bool:
        return len(told()) >= number

    try:
        peers = [await _sends(tls, b"GET / HTTP/1.1\r\n\r\n")]
        await eventually(lambda: at_least(1), "the first failure is told")
        peers.append(await _without_certificate(tls))
        await eventually(lambda: at_least(2), "the second failure is told")
        # Neither a second time, nor what is no matter of TLS.
        await _sends(tls, b"GET / HTTP/1.1\r\n\r\n")
        await _sends(plain, b"GET / HTTP/1.1\r\n\r\n")
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:

            async def counted() -> bool:
                metrics = (await client.get(f"http://{admin}/metrics")).text
                return "mizzen_tls_handshakes_failed_total 3.0" in metrics

            await eventually(counted, "each is counted")
    finally:
        await server.stop()
    assert [(line["peer"], line["reason"]) for line in told()] == [
        (peers[0], "it speaks plain HTTP"),
        (peers[1], "it showed no certificate"),
    ]
    for line in log.read_text(encoding="utf-8").splitlines():
        json.loads(line)  # nothing of gRPC's own, and no warning of Python's


async def _sends(address: str, data: bytes) -> str:
    """Send bytes to an address, wait until it closes the connection, and return where they came from."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    peer: tuple[str, int] = writer.get_extra_info("sockname")
    writer.write(data)
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), DEADLINE)
    writer.close()
    return f"{peer[0]}:{peer[1]}"


async def _without_certificate(address: str) -> str:
    """Connect by TLS without a certificate; return where the connection came from."""
    settings = ssl.create_default_context()
    settings.check_hostname, settings.verify_mode = False, ssl.CERT_NONE
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=settings)
    peer: tuple[str, int] = writer.get_extra_info("sockname")
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await asyncio.wait_for(reader.read(), DEADLINE)
    writer.close()
    return f"{peer[0]}:{peer[1]}"


class _Authority:
    """A certificate authority for one test."""

    def __init__(self, directory: Path) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = self._write("ca.pem", self._certificate("authority", self._key.public_key(), None))

    def issue(self, name: str, address: str) -> tuple[Path, Path]:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        certificate = self._certificate(name, key.public_key(), address)
        return self._write(f"{name}.pem", certificate), self._write(f"{name}-key.pem", pem)

    def _certificate(self, name: str, public_key: Any, address: str | None) -> bytes:
        import datetime
        import ipaddress

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.x509.oid import NameOID

        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=address is None, path_length=None), critical=True)
        )
        if address is not None:
            names = x509.SubjectAlternativeName(
                [
                    x509.IPAddress(ipaddress.ip_address(address)),
                    x509.UniformResourceIdentifier("spiffe://cluster.local/ns/default/sa/client"),
                ]
            )
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _write(self, name: str, data: bytes) -> Path:
        path = self._directory / name
        path.touch(mode=0o600)
        path.write_bytes(data)
        return path
