"""`mizzen ca`: what it shows, and what it refuses."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from mizzen.cli.ca import ca
from mizzen.identity import Authority, SpiffeId, issue, rotation
from mizzen.identity.authority import fingerprint
from mizzen.identity.certificate_store import CertificateStore
from mizzen.identity.renewal import IssuedCertificate
from mizzen.server.state import State
from mizzen.server.workload_certificates import now_utc
from tests.unit.cli.conftest import Command

IDENTITY = SpiffeId("cluster.local", "shop", "reviews")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return rotation.open_state_authority(tmp_path / "ca", now_utc())


def keep_a_certificate(tmp_path: Path, authority: Authority, *, lifetime: timedelta) -> str:
    now = now_utc().replace(microsecond=0)
    made = issue(authority.issuer, IDENTITY, now, lifetime)
    mine = fingerprint(authority.issuer.certificate)
    store = CertificateStore(tmp_path)
    store.keep([IssuedCertificate(made, now, mine, mine)])
    store.close()
    return made.private_key.decode().splitlines()[1]


def test_a_reader_that_ends_early_is_no_failure(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unheard(*_: object, **__: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("typer.echo", unheard)
    with pytest.raises(BrokenPipeError):
        ca(state=tmp_path)


def test_it_shows_what_is_in_force(mizzen: Command, tmp_path: Path, authority: Authority) -> None:
    key = keep_a_certificate(tmp_path, authority, lifetime=timedelta(hours=1))
    shown = mizzen("ca", "--state", tmp_path)
    assert shown.code == 0, shown.err
    assert fingerprint(authority.issuer.certificate) in shown.out
    assert "no rotation" in shown.out
    assert "1 workload certificates, the next renewal is due at 20" in shown.out
    told = mizzen("ca", "--state", tmp_path, "-o", "json")
    state = json.loads(told.out)
    assert state["workload_certificates"] == state["roots"][0]["workload_certificates"] == 1
    own = (tmp_path / "ca" / "ca-key.pem").read_text().splitlines()[1]
    for secret in (key, own, "PRIVATE"):
        assert secret not in shown.out + shown.err + told.out + told.err


def test_it_is_made_before_the_server_starts_and_stays(mizzen: Command, tmp_path: Path) -> None:
    state = tmp_path / "mesh" / "state"
    made = mizzen("ca", "create", "--state", state)
    assert (made.code, str(state / "ca" / "root-cert.pem") in made.out) == (0, True), made.err
    root = (state / "ca" / "root-cert.pem").read_bytes()
    assert [folder.stat().st_mode & 0o777 for folder in (state, state / "ca")] == [0o700, 0o700]
    assert mizzen("ca", "create", "--state", state).code == 0
    assert (state / "ca" / "root-cert.pem").read_bytes() == root
    assert mizzen("ca", "--state", state).code == 0


def test_a_rotation_goes_its_way(mizzen: Command, tmp_path: Path, authority: Authority) -> None:
    keep_a_certificate(tmp_path, authority, lifetime=timedelta(hours=1))
    assert mizzen("ca", "rotate", "--state", tmp_path).code == 0
    assert "the old one signs" in mizzen("ca", "--state", tmp_path).out
    again = mizzen("ca", "rotate", "--state", tmp_path)
    assert (again.code, "under way" in again.err) == (1, True)
    rotation.sign(tmp_path / "ca", now_utc())  # as the server does
    assert "the new root signs" in mizzen("ca", "--state", tmp_path).out
    early = mizzen("ca", "finish", "--state", tmp_path)
    assert early.code == 1
    assert "1 certificate of the old root still holds" in early.err
    assert f"{IDENTITY} until" in early.err
    assert rotation.phase(tmp_path / "ca") is rotation.Phase.SIGNING
    assert mizzen("ca", "finish", "--state", tmp_path, "--force").code == 0
    assert rotation.phase(tmp_path / "ca") is rotation.Phase.REST


def test_finish_does_not_wait_for_what_has_expired(
    mizzen: Command, tmp_path: Path, authority: Authority
) -> None:
    now = now_utc()
    made = replace(issue(authority.issuer, IDENTITY, now), not_after=now - timedelta(seconds=1))
    mine = fingerprint(authority.issuer.certificate)
    store = CertificateStore(tmp_path)
    store.keep([IssuedCertificate(made, now, mine, mine)])
    store.close()
    rotation.begin(tmp_path / "ca", now_utc())
    rotation.sign(tmp_path / "ca", now_utc())
    ended = mizzen("ca", "finish", "--state", tmp_path)
    assert ended.code == 0, ended.err


def test_mistakes_are_told(mizzen: Command, tmp_path: Path) -> None:
    with_its_own = tmp_path / "state"
    State(with_its_own).close()
    for arguments, code, said in (
        (("ca",), 2, "--state DIR or --ca DIR"),
        (("ca", "--state", with_its_own), 1, "there is no certificate authority"),
        (("ca", "rotate", "--ca", tmp_path), 2, "you rotate the authority that you bring"),
        (("ca", "--ca", tmp_path), 1, "root-cert.pem: cannot be read"),
    ):
        ended = mizzen(*arguments)
        assert (ended.code, ended.out) == (code, "")
        assert said in ended.err


@pytest.mark.parametrize("there", [False, True], ids=["no folder", "another folder"])
@pytest.mark.parametrize(
    "command",
    [
        ("ca",),
        ("ca", "rotate"),
        ("ca", "finish"),
        ("ca", "--ca", "brought"),
        ("token", "--service-account", "reviews"),
    ],
    ids=" ".join,
)
def test_a_folder_that_is_no_state_directory_is_left_as_it_is(
    mizzen: Command, tmp_path: Path, command: tuple[str, ...], there: bool
) -> None:
    mistyped = tmp_path / "mistyped"
    if there:
        mistyped.mkdir()
    refused = mizzen(*command, "--state", mistyped)
    assert (refused.code, refused.out) == (1, "")
    assert f"--state {mistyped}: " in refused.err
    assert "give the folder that the server's --state names" in refused.err
    assert (mistyped.exists(), list(tmp_path.rglob("*.pem"))) == (there, [])


def test_before_the_first_start_tokens_come_after_the_authority(mizzen: Command, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert mizzen("ca", "create", "--state", state).code == 0
    issued = mizzen("token", "--state", state, "--service-account", "reviews")
    assert (issued.code, issued.out.count(".")) == (0, 2), issued.err


def test_commands_run_as_the_owner_of_the_directory(
    mizzen: Command, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others write there, the server could not read."""
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    for command in (["ca"], ["ca", "rotate"], ["token", "--service-account", "reviews"]):
        refused = mizzen(*command, "--state", tmp_path)
        assert (refused.code, refused.out) == (1, "")
        assert f"belongs to the user {tmp_path.stat().st_uid}; run this as that user" in refused.err
    assert not (tmp_path / "token-key.pem").exists()
