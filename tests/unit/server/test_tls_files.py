"""The files of the TLS address: what is wrong with one is said with its name and nothing of its content."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization

from mizzen.server.options import TlsFiles
from mizzen.server.tls_files import TlsFileError, server_credentials
from tests.self_signed import certificate_and_key


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    certificate, key = certificate_and_key()
    (tmp_path / "tls.crt").write_text(certificate)
    (tmp_path / "tls.key").touch(mode=0o640)
    (tmp_path / "tls.key").write_text(key)
    return TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")


def encrypted(key: bytes) -> bytes:
    loaded = serialization.load_pem_private_key(key, password=None)
    return loaded.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hunter2"),
    )


def test_a_key_that_everybody_may_read_is_refused(files: TlsFiles) -> None:
    server_credentials(files)
    files.key.chmod(0o644)
    with pytest.raises(TlsFileError, match=r"tls\.key: others may read it \(mode 644\).*chmod 600"):
        server_credentials(files)


@pytest.mark.parametrize(
    ("file", "spoil", "said"),
    [
        ("tls.crt", None, "cannot be read (no such file or directory); give a readable file"),
        ("tls.key", None, "cannot be read (no such file or directory); give a readable file"),
        ("tls.crt", lambda _: b"swordfish", "is not a certificate in PEM form; give -----BEGIN CERTIFICATE"),
        ("tls.key", lambda _: b"swordfish", "is not a private key in PEM form; give one"),
        ("tls.key", lambda key: key[: len(key) // 2], "is not a private key in PEM form; give one"),
        ("tls.key", encrypted, "is encrypted; give the key without a passphrase"),
        ("tls.key", lambda _: certificate_and_key()[1].encode(), "does not belong to the certificate in"),
    ],
)
def test_what_cannot_be_used_is_named_and_not_shown(
    files: TlsFiles, file: str, spoil: Callable[[bytes], bytes] | None, said: str
) -> None:
    path = files.certificate.parent / file
    if spoil is None:
        path.unlink()
    else:
        path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(TlsFileError) as refused:
        server_credentials(files)
    assert str(refused.value).startswith(f"{path}: {said}")
    held = [line for each in path.parent.iterdir() for line in each.read_text().split("\n") if line]
    assert [line for line in held if line in str(refused.value) and not line.startswith("-")] == []


def test_an_authority_that_is_none_is_named(files: TlsFiles, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("words")
    with pytest.raises(TlsFileError, match=r"ca\.crt: is not a certificate in PEM form"):
        server_credentials(replace(files, client_ca=tmp_path / "ca.crt"))
    with pytest.raises(TlsFileError, match=r"gone\.crt: cannot be read"):
        server_credentials(replace(files, client_ca=tmp_path / "gone.crt"))


async def handshake(files: TlsFiles, client: tuple[str, str] | None) -> bool:
    """Serve with these files; return whether a client, with or without a certificate, gets an answer."""

    async def echo(data: bytes, _: Any) -> bytes:
        return data

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t", {"echo": handler}),))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(files))
    await server.start()
    credentials = grpc.ssl_channel_credentials(
        files.certificate.read_bytes(),
        *((client[1].encode(), client[0].encode()) if client else ()),
    )
    options = [("grpc.ssl_target_name_override", "shop.example"), ("grpc.enable_retries", 0)]
    try:
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
            return bool(await channel.unary_unary("/t/echo")(b"a", timeout=10) == b"a")
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False
    finally:
        await server.stop(None)


async def test_with_an_authority_only_its_clients_are_let_in(files: TlsFiles, tmp_path: Path) -> None:
    own = (files.certificate.read_text(), files.key.read_text())
    demanding = replace(files, client_ca=files.certificate)
    assert await handshake(files, None)
    assert not await handshake(demanding, None)
    assert await handshake(demanding, own)
    assert not await handshake(demanding, certificate_and_key())
