"""Certificates on disk: what was kept is read again, and by nobody else."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mizzen.identity import Issuer, SpiffeId, issue
from mizzen.identity.authority import new_root
from mizzen.identity.certificate_store import CertificateStore
from mizzen.identity.renewal import IssuedCertificate, renewal_time, wave_time

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ROOT = new_root(NOW)


def issued(
    account: str, *, lifetime: timedelta = timedelta(hours=24), root: str = "A", issuer: Issuer = ROOT
) -> IssuedCertificate:
    made = issue(issuer, SpiffeId("cluster.local", "shop", account), NOW, lifetime)
    return IssuedCertificate(made, NOW, root, root)


def test_what_was_kept_is_read_after_a_restart(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    one, other = issued("one"), issued("other", lifetime=timedelta(hours=1))
    store.keep([issued("one"), other])
    store.keep([one])
    store.close()
    again = CertificateStore(tmp_path)
    assert again.read(NOW) == [one, other]
    assert again.read(NOW + timedelta(hours=2)) == [one], "what has expired is forgotten"
    assert again.read(NOW) == [one]


def test_no_file_can_be_read_by_others(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    store.keep([issued("one")])
    found = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert set(found.values()) == {0o600}, found


def test_what_holds_is_counted_by_root(tmp_path: Path) -> None:
    store = CertificateStore(tmp_path)
    store.keep([issued("one", root="A"), issued("two", root="B", lifetime=timedelta(hours=1))])
    store.note_signed(SpiffeId("cluster.local", "shop", "agent"), "A", NOW + timedelta(hours=3))
    store.note_signed(SpiffeId("cluster.local", "shop", "agent"), "A", NOW + timedelta(hours=2))
    found = store.in_force(NOW)
    assert {root: [identity.rpartition("/")[2] for identity, _ in held] for root, held in found.items()} == {
        "A": ["one", "agent"],
        "B": ["two"],
    }
    assert found["A"][1][1] == NOW + timedelta(hours=3)
    assert store.in_force(NOW + timedelta(hours=4)).keys() == {"A"}


def test_a_repr_has_no_key() -> None:
    held = issued("one")
    assert "PRIVATE" not in repr(held)
    assert held.certificate.private_key.decode().splitlines()[1] not in repr(held)


def test_a_wave_of_renewals_is_spread() -> None:
    held = [issued(f"account-{number}") for number in range(200)]
    moments = sorted(renewal_time(each) - NOW for each in held)
    assert timedelta(hours=12) <= moments[0] < timedelta(hours=13)
    assert timedelta(hours=18) < moments[-1] <= timedelta(hours=19.2)
    longest_gap = max(later - earlier for earlier, later in itertools.pairwise(moments))
    assert longest_gap < timedelta(hours=1)
    assert [renewal_time(each) for each in held] == [renewal_time(each) for each in held]


def test_a_new_authority_replaces_certificates_within_ten_minutes() -> None:
    moments = [wave_time(issued(f"account-{number}"), NOW) - NOW for number in range(100)]
    assert min(moments) < timedelta(minutes=1)
    assert timedelta(minutes=9) < max(moments) <= timedelta(minutes=10)
    assert wave_time(issued("short", lifetime=timedelta(seconds=10)), NOW) - NOW <= timedelta(seconds=1)
