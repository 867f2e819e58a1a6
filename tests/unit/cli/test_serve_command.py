"""What `mizzen serve` hands on to the server; how commands end."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.cli import main
from mizzen.mesh.rules.token_keys import KeySource
from mizzen.server.address import Address
from mizzen.server.options import ServeOptions, TlsFiles
from mizzen.server.process import StartError
from tests.unit.cli.conftest import Command


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[ServeOptions]:
    """The options of every server that was started; none is."""
    chosen: list[ServeOptions] = []
    monkeypatch.setattr("mizzen.server.process.run", lambda options, **_: chosen.append(options))
    return chosen


def test_unless_told_otherwise_it_listens_on_this_machine_alone(
    mizzen: Command, started: list[ServeOptions]
) -> None:
    assert mizzen("serve", "--config", "a").code == 0
    [options] = started
    assert options == ServeOptions((Path("a"),)), "the defaults of the command line and of the library agree"
    assert options.grpc_address.is_loopback
    assert options.admin_address.is_loopback
    assert options.tls_address.is_loopback
    assert options.tls is None
    assert not options.start_anyway


def test_every_option_is_handed_on(mizzen: Command, started: list[ServeOptions]) -> None:
    ended = mizzen(
        *("serve", "--config", "a", "--config", "b", "c", "--mesh-config", "m", "--domain", "mesh.test"),
        *("--grpc-address", ":1", "--admin-address", "[::1]:2", "--tls-address", "10.0.0.1:3"),
        *("--tls-cert", "crt", "--tls-key", "key", "--tls-client-ca", "ca", "--start-anyway"),
        *("--state", "s", "--secrets-to-anyone", "--admin-host", "n"),
        *("--log-format", "json", "--log-level", "debug"),
    )
    assert ended.code == 0, ended.err
    assert started == [
        ServeOptions(
            paths=(Path("a"), Path("b"), Path("c")),
            mesh_config=Path("m"),
            grpc_address=Address("0.0.0.0", 1),
            admin_address=Address("::1", 2),
            tls_address=Address("10.0.0.1", 3),
            tls=TlsFiles(Path("crt"), Path("key"), Path("ca")),
            domain="mesh.test",
            start_anyway=True,
            state=Path("s"),
            secrets_to_anyone=True,
            admin_hosts=("n",),
            log_format="json",
            log_level="debug",
        )
    ]


def test_keys_of_issuers_are_in_files_or_at_uris(mizzen: Command, started: list[ServeOptions]) -> None:
    given = ("a=b=keys.json", "https://c=https://d/keys?e=f", "g=http://127.0.0.1:1/keys")
    assert mizzen("serve", "--config", "a", *(f"--token-issuer={each}" for each in given)).code == 0
    assert started[0].token_issuers == (
        ("a=b", Path("keys.json")),
        ("https://c", KeySource("https://d/keys?e=f")),
        ("g", KeySource("http://127.0.0.1:1/keys")),
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tls-cert", "c"), "--tls-cert and --tls-key belong together; give both or neither"),
        (("--tls-key", "k"), "--tls-cert and --tls-key belong together; give both or neither"),
        (("--tls-client-ca", "c"), "--tls-client-ca needs --tls-cert and --tls-key"),
        (("--admin-address", "x"), "--admin-address: 'x' is not an address"),
        (("--tls-address", "x"), "--tls-address: 'x' is not an address"),
        (("--token-issuer", "x"), "--token-issuer x: write ISSUER=FILE or ISSUER=URL"),
        (("--token-issuer", "mizzen=f"), "--token-issuer mizzen=f: mizzen is this control plane itself"),
        (("--token-issuer", "x=f", "--token-issuer", "x=g"), "--token-issuer x=g: x is named already"),
        (("--token-issuer", "x=http://x.example/k"), "--token-issuer x: whoever is on the way could change"),
        (("--token-issuer", "x=https:///k"), "--token-issuer x: this is not a URI of http or https"),
    ],
)
def test_a_command_line_that_is_wrong_starts_nothing(
    mizzen: Command, started: list[ServeOptions], arguments: tuple[str, ...], said: str
) -> None:
    ended = mizzen("serve", "--config", "a", *arguments)
    assert ended.code == 2
    assert ended.err.startswith(f"mizzen: {said}")
    assert started == []


def test_why_it_cannot_start_is_one_line(mizzen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: ServeOptions, **__: bool) -> None:
        raise StartError("--grpc-address 127.0.0.1:1: something else listens on this port already")

    monkeypatch.setattr("mizzen.server.process.run", fails)
    ended = mizzen("serve", "--config", "a")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "mizzen: --grpc-address 127.0.0.1:1: something else listens on this port already\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (OSError(28, "No space left on device"), 1, "mizzen: [Errno 28] No space left on device\n"),
    ],
)
def test_interrupted_or_failed_there_is_no_traceback(
    mizzen: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(main, "_program", lambda: fails)
    ended = mizzen("version")
    assert (ended.code, ended.err) == (code, said)
