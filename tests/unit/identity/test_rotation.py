"""The steps of a rotation: two workloads believe each other even if one was told of the last step only."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from mizzen.identity import Authority, AuthorityError, SpiffeId, WorkloadCertificate, issue, rotation
from mizzen.identity.authority import path_to_root, pem
from mizzen.identity.rotation import Phase
from tests.unit.identity.test_authority_files import intermediate, written

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def certificate(authority: Authority) -> WorkloadCertificate:
    return issue(authority.issuer, SpiffeId("cluster.local", "shop", "reviews"), NOW)


def believes(peer: Authority, shown: WorkloadCertificate) -> bool:
    """Whether a workload that was told the roots of `peer` believes a certificate."""
    leaf, *between = x509.load_pem_x509_certificates(shown.certificate_chain)
    try:
        path_to_root(leaf, between, peer.roots)
    except AuthorityError:
        return False
    return True


def test_neighbouring_steps_believe_each_other(tmp_path: Path) -> None:
    steps = [
        rotation.open_state_authority(tmp_path, NOW),
        rotation.begin(tmp_path, NOW),
        rotation.sign(tmp_path, NOW),
        rotation.finish(tmp_path, NOW),
    ]
    assert [len(step.roots) for step in steps] == [1, 2, 2, 1]
    assert steps[0].issuer.certificate == steps[1].issuer.certificate
    assert steps[2].issuer.certificate == steps[3].issuer.certificate != steps[0].issuer.certificate
    for one, other in itertools.pairwise(steps):
        assert believes(one, certificate(other))
    for earlier, later in ((steps[0], steps[1]), (steps[1], steps[2])):
        assert believes(later, certificate(earlier)), (
            "certificates of before are in use until they are renewed"
        )
    assert believes(steps[0], certificate(steps[2])), "who could not be told yet believes the new root"
    assert believes(steps[3], certificate(steps[2]))
    assert not believes(steps[3], certificate(steps[0])), "in the end the old root is not trusted"


def test_the_phase_is_told(tmp_path: Path) -> None:
    rotation.open_state_authority(tmp_path, NOW)
    found = [rotation.phase(tmp_path)]
    for step in (rotation.begin, rotation.sign, rotation.finish):
        step(tmp_path, NOW)
        found.append(rotation.phase(tmp_path))
    assert found == [Phase.REST, Phase.TRUSTING, Phase.SIGNING, Phase.REST]


def test_no_file_can_be_read_by_others(tmp_path: Path) -> None:
    directory = tmp_path / "ca"
    rotation.open_state_authority(directory, NOW)
    rotation.begin(directory, NOW)
    found = {path: path.stat().st_mode & 0o077 for path in directory.rglob("*")}
    assert directory / "next" / "ca-key.pem" in found
    assert set(found.values()) == {0}


def test_steps_out_of_turn_are_refused(tmp_path: Path) -> None:
    rotation.open_state_authority(tmp_path, NOW)
    for step in (rotation.sign, rotation.finish):
        with pytest.raises(AuthorityError, match="no rotation is under way"):
            step(tmp_path, NOW)
    rotation.begin(tmp_path, NOW)
    with pytest.raises(AuthorityError, match="a rotation is under way"):
        rotation.begin(tmp_path, NOW)
    with pytest.raises(AuthorityError, match="does not sign yet"):
        rotation.finish(tmp_path, NOW)
    rotation.sign(tmp_path, NOW)
    with pytest.raises(AuthorityError, match="a rotation is under way"):
        rotation.begin(tmp_path, NOW)


@pytest.mark.parametrize("copied", range(4))
def test_a_crash_while_the_new_root_takes_over_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: int
) -> None:
    rotation.open_state_authority(tmp_path, NOW)
    before = rotation.begin(tmp_path, NOW)
    write, left = rotation.write_private, [copied + 1]

    def crashing(path: Path, content: bytes) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write(path, content)

    monkeypatch.setattr(rotation, "write_private", crashing)
    if copied < 3:
        with pytest.raises(KeyboardInterrupt):
            rotation.sign(tmp_path, NOW)
    else:
        monkeypatch.setattr(rotation.shutil, "rmtree", lambda path: None)  # ended before it could clean up
        rotation.sign(tmp_path, NOW)
    monkeypatch.undo()
    after = rotation.open_state_authority(tmp_path, NOW)
    assert after.issuer.certificate == before.roots[1]
    assert rotation.phase(tmp_path) is Phase.SIGNING
    assert believes(before, certificate(after))


def test_a_crash_before_the_new_root_is_trusted_leaves_a_fresh_start(tmp_path: Path) -> None:
    old = rotation.open_state_authority(tmp_path, NOW)
    rotation.begin(tmp_path, NOW)
    (tmp_path / "root-cert.pem").write_bytes(pem(old.roots))  # as it was: the last file was not written
    assert len(rotation.begin(tmp_path, NOW).roots) == 2


def test_what_the_user_brings_is_rotated_by_the_user(tmp_path: Path) -> None:
    root = rotation.open_state_authority(tmp_path / "root", NOW).issuer
    directory = written(tmp_path / "own", intermediate(root), [], [root])
    with pytest.raises(AuthorityError, match=r"ca-cert\.pem: is an intermediate"):
        rotation.begin(directory, NOW)


def test_a_new_root_made_late_lives_on_after_the_old_one(tmp_path: Path) -> None:
    rotation.open_state_authority(tmp_path, NOW)
    late = NOW + timedelta(days=3640)
    rotation.begin(tmp_path, late)
    assert rotation.sign(tmp_path, late).ends == late + timedelta(days=3650)
