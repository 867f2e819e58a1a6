"""Certificates that cannot be used, command lines that are wrong: named, and nothing of a key is shown."""

from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.forked_mizzen import run
from tests.robustness.breakable import SERVICE, Serving, until
from tests.self_signed import certificate_and_key

NODE = "id: router~10.0.0.7~gw.default~default.svc.cluster.local\nmetadata: {LABELS: {istio: gw}}\n"


def secret(name: str, certificate: str, key: str) -> str:
    metadata = {"name": name, "namespace": "default"}
    content = {"stringData": {"tls.crt": certificate, "tls.key": key}, "type": "kubernetes.io/tls"}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **content})


def gateway(name: str, port: int) -> str:
    server = {
        "port": {"number": port, "name": f"https-{port}", "protocol": "HTTPS"},
        "hosts": ["*"],
        "tls": {"mode": "SIMPLE", "credentialName": name},
    }
    spec = {"selector": {"istio": "gw"}, "servers": [server]}
    metadata = {"name": f"gw-{name}", "namespace": "default"}
    return yaml.safe_dump(
        {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": metadata, "spec": spec}
    )


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, list[str]]:
    """A folder with a good, a mismatched, an expired and a garbage pair; and what must never be seen."""
    folder = tmp_path / "mesh"
    folder.mkdir()
    good, other, expired = certificate_and_key(), certificate_and_key(), certificate_and_key(-1)
    garbage = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LW9mLXRoZS1zaG9w\n-----END PRIVATE KEY-----\n"
    pairs = {
        "good": good,
        "mismatched": (good[0], other[1]),
        "expired": expired,
        "garbage": (good[0], garbage),
        "no-pem": (good[0], "plain-words-as-a-key"),
    }
    documents = [SERVICE % "good"]
    for port, (name, (certificate, key)) in enumerate(pairs.items(), 8443):
        documents += [secret(name, certificate, key), gateway(name, port)]
    (folder / "mesh.yaml").write_text("---\n".join(documents))
    (tmp_path / "node.yaml").write_text(NODE)
    texts = [good[1], other[1], expired[1], garbage, "plain-words-as-a-key"]
    lines = [line for text in texts for line in text.splitlines() if not line.startswith("---")]
    return folder, lines + [base64.b64encode(line.encode()).decode().rstrip("=")[:-1] for line in lines]


def test_no_key_is_shown_anywhere_offline(keys: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, hidden = keys
    analyzed = run("analyze", folder, "--notices")
    translated = run("translate", "--config", folder, "--node", tmp_path / "node.yaml")
    seen = analyzed.stdout + analyzed.stderr + translated.stdout + translated.stderr
    assert "[redacted]" in translated.stdout
    for name in ("mismatched", "garbage", "no-pem"):
        assert f"{name}" in seen
    assert "private key that is not the certificate's" in analyzed.stdout
    assert [key for key in hidden if key in seen] == []
    assert "Traceback" not in seen


def test_no_key_is_shown_by_a_server(keys: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, hidden = keys
    server = Serving(folder, "--log-level", "debug", log=tmp_path / "log")
    try:
        until(lambda: server.configuration()["documents"].get("Secret") == 5)
        # Once more in a document that is refused.
        again = yaml.safe_load(secret("again", "x", ""))
        again["stringData"]["tls.key"] = [hidden[0]]
        (folder / "again.yaml").write_text(yaml.safe_dump(again))
        until(lambda: server.configuration()["refused"])
        paths = ("/status", "/metrics", "/version", "/debug/resources?proxy=x")
        seen = server.log() + "".join(server.get(path)[1].decode() for path in paths)
        assert [key for key in hidden if key in seen] == []
    finally:
        with suppress(ProcessLookupError):
            assert server.stop() == 0
    assert "Traceback" not in server.log()


def test_files_of_the_tls_address_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(SERVICE % "good")
    one, other = certificate_and_key(), certificate_and_key()
    files = {"one.crt": one[0], "one.key": one[1], "other.key": other[1], "words": "words"}
    for name, text in files.items():
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(text)
    for certificate, key, said in (
        ("nowhere", "one.key", "nowhere: cannot be read (no such file or directory)"),
        ("words", "one.key", "words: is not a certificate in PEM form"),
        ("one.crt", "words", "words: is not a private key in PEM form"),
        ("one.crt", "other.key", "other.key: does not belong to the certificate in"),
    ):
        ended = run(
            *("serve", "--config", tmp_path / "mesh.yaml", "--grpc-address", "127.0.0.1:0"),
            *("--admin-address", "127.0.0.1:0", "--tls-address", "127.0.0.1:0"),
            *("--tls-cert", tmp_path / certificate, "--tls-key", tmp_path / key),
        )
        assert ended.returncode == 1
        assert f"mizzen: {tmp_path}/{said}" in ended.stderr
        assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("node", "code", "said"),
    [
        (None, 2, "No such file or directory"),
        ("a: [\n", 1, "this is neither YAML nor JSON"),
        ("[" * 50_000, 1, "this is neither YAML nor JSON"),
        ("metadata: {}\n", 1, "four are needed, as in sidecar~"),
        ("id: sidecar~1.1.1.1~a.b~c\nmetadata: 5\n", 1, "metadata is not a mapping"),
        ("- 1\n", 1, "a node file is a mapping with an `id`"),
        ("#" * 2_000_000, 1, "has more than 1048576 bytes"),
    ],
    ids=range(7),
)
def test_node_files_that_are_none(tmp_path: Path, node: str | None, code: int, said: str) -> None:
    (tmp_path / "mesh.yaml").write_text(SERVICE % "good")
    file = tmp_path / "node.yaml"
    if node is not None:
        file.write_text(node)
    ended = run("translate", "--config", tmp_path / "mesh.yaml", "--node", file)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.startswith(f"mizzen: {file}: ")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_path_that_is_missing_ends_a_command_before_it_says_half(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(SERVICE % "good")
    ended = run("analyze", tmp_path / "mesh.yaml", tmp_path / "nowhere")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"mizzen: {tmp_path}/nowhere: there is no such file or folder\n"
