"""What directory makes an authority, and what is said of one that does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from mizzen.identity import (
    Authority,
    AuthorityError,
    Issuer,
    SpiffeId,
    issue,
    open_authority,
    open_or_create_authority,
)
from mizzen.identity.authority import cross_signed, new_root, path_to_root, pem
from mizzen.identity.workload_certificate import private_key_pem

NOW = datetime(2030, 1, 1, tzinfo=UTC)
IDENTITY = SpiffeId("cluster.local", "shop", "reviews")


def intermediate(
    above: Issuer,
    *,
    ca: bool = True,
    path_length: int | None = 0,
    begin: datetime = NOW - timedelta(days=1),
    end: datetime = NOW + timedelta(days=30),
    name: str = "intermediate",
) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(above.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca, path_length if ca else None), critical=True)
    )
    return Issuer(builder.sign(above.key, hashes.SHA256()), key)


def written(directory: Path, issuer: Issuer, chain: list[x509.Certificate], roots: list[Issuer]) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "ca-cert.pem").write_bytes(pem([issuer.certificate]))
    (directory / "ca-key.pem").write_bytes(private_key_pem(issuer.key))
    (directory / "ca-key.pem").chmod(0o600)
    (directory / "cert-chain.pem").write_bytes(pem(chain))
    (directory / "root-cert.pem").write_bytes(pem([root.certificate for root in roots]))
    return directory


def leads_to_a_root(authority: Authority) -> list[str]:
    """Verify a workload certificate as a peer does; return the names from it to the root."""
    leaf, *between = x509.load_pem_x509_certificates(issue(authority.issuer, IDENTITY, NOW).certificate_chain)
    path = path_to_root(leaf, between, authority.roots)
    return [each.subject.rfc4514_string() for each in path]


def test_a_root_is_made_once(tmp_path: Path) -> None:
    directory = tmp_path / "state" / "ca"
    made = open_or_create_authority(directory, NOW)
    assert {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()} == dict.fromkeys(
        ("ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"), 0o600
    )
    assert directory.stat().st_mode & 0o777 == 0o700
    again = open_or_create_authority(directory, NOW + timedelta(days=100))
    assert again.issuer.certificate == made.issuer.certificate
    assert again.roots == made.roots == (made.issuer.certificate,)
    assert made.issuer.chain == again.issuer.chain == b""
    assert made.ends == NOW + timedelta(days=3650)
    assert len(leads_to_a_root(again)) == 2
    assert "PRIVATE" not in repr(again)


@pytest.mark.parametrize("moved", range(5))
def test_a_root_whose_making_was_interrupted_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    rename, left = Path.rename, [moved]

    def crashing(path: Path, target: Path) -> Path:
        if target.parent == tmp_path:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", crashing)
    monkeypatch.setattr(Path, "rmdir", crashing_rmdir)
    with pytest.raises(KeyboardInterrupt):
        open_or_create_authority(tmp_path, NOW)
    monkeypatch.undo()
    made = open_or_create_authority(tmp_path, NOW)
    assert open_or_create_authority(tmp_path, NOW).issuer.certificate == made.issuer.certificate
    assert {path.name for path in tmp_path.iterdir()} == {
        "ca-cert.pem",
        "ca-key.pem",
        "cert-chain.pem",
        "root-cert.pem",
    }


def crashing_rmdir(path: Path) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("lost", ["ca-cert.pem", "ca-key.pem", "root-cert.pem"])
def test_an_authority_that_lost_a_file_is_not_replaced(tmp_path: Path, lost: str) -> None:
    made = open_or_create_authority(tmp_path, NOW)
    content = (tmp_path / lost).read_bytes()
    (tmp_path / lost).unlink()
    with pytest.raises(AuthorityError, match=rf"{lost}: cannot be read \(no such file"):
        open_or_create_authority(tmp_path, NOW)
    (tmp_path / lost).write_bytes(content)
    (tmp_path / lost).chmod(0o600)
    assert open_or_create_authority(tmp_path, NOW).issuer.certificate == made.issuer.certificate


def test_an_intermediate_of_the_user_leads_to_the_root(tmp_path: Path) -> None:
    root = new_root(NOW)
    upper = intermediate(root, path_length=1, name="upper", end=NOW + timedelta(days=20))
    lower = intermediate(upper, name="lower")
    # Istio's makefile writes all of them into the chain, the intermediate itself and the root too.
    chain = [lower.certificate, upper.certificate, root.certificate]
    opened = open_authority(written(tmp_path, lower, chain, [root]), NOW)
    assert leads_to_a_root(opened)[1:] == ["CN=lower", "CN=upper", root.certificate.subject.rfc4514_string()]
    assert opened.issuer.chain == pem([lower.certificate, upper.certificate])
    assert opened.ends == NOW + timedelta(days=20)


def test_without_a_chain_the_root_itself_must_have_signed(tmp_path: Path) -> None:
    root = new_root(NOW)
    one = intermediate(root)
    directory = written(tmp_path, one, [], [root])
    (directory / "cert-chain.pem").unlink()
    assert open_authority(directory, NOW).issuer.chain == pem([one.certificate])


ROOT = new_root(NOW)
OTHER = new_root(NOW)
UPPER = intermediate(ROOT, path_length=0, name="upper")


@pytest.mark.parametrize(
    ("spoil", "file", "said"),
    [
        (lambda d: (d / "ca-key.pem").chmod(0o640), "ca-key.pem", "others may read it (mode 640)"),
        (lambda d: (d / "ca-key.pem").unlink(), "ca-key.pem", "no such file"),
        (lambda d: (d / "ca-key.pem").write_text("x"), "ca-key.pem", "not a private key in PEM"),
        (
            lambda d: (d / "ca-key.pem").write_bytes(private_key_pem(OTHER.key)),
            "ca-key.pem",
            "does not belong to",
        ),
        (lambda d: (d / "ca-cert.pem").write_text(""), "ca-cert.pem", "not a certificate in PEM"),
        (lambda d: (d / "root-cert.pem").write_text("junk"), "root-cert.pem", "not a certificate in PEM"),
        (lambda d: (d / "root-cert.pem").unlink(), "root-cert.pem", "no such file"),
        (lambda d: (d / "cert-chain.pem").write_text("junk"), "cert-chain.pem", "not a certificate in PEM"),
        (
            lambda d: (d / "root-cert.pem").write_bytes(pem([OTHER.certificate])),
            "ca-cert.pem",
            "leads to no root of",
        ),
        (
            lambda d: written(d, intermediate(ROOT, ca=False), [], [ROOT]),
            "ca-cert.pem",
            "no certificate of an authority",
        ),
        (
            lambda d: written(d, intermediate(ROOT, end=NOW - timedelta(hours=1)), [], [ROOT]),
            "ca-cert.pem",
            "expired at 2029-12-31T23:00:00",
        ),
        (
            lambda d: written(d, intermediate(ROOT, begin=NOW + timedelta(hours=1)), [], [ROOT]),
            "ca-cert.pem",
            "valid from 2030-01-01T01:00:00",
        ),
        (
            lambda d: written(d, intermediate(UPPER), [UPPER.certificate], [ROOT]),
            "cert-chain.pem",
            "allows 0 authorities below it, and 1 are there",
        ),
    ],
)
def test_a_fault_names_its_file(
    tmp_path: Path, spoil: Callable[[Path], object], file: str, said: str
) -> None:
    directory = written(tmp_path, intermediate(ROOT), [], [ROOT])
    spoil(directory)
    with pytest.raises(AuthorityError) as raised:
        open_authority(directory, NOW)
    assert str(raised.value).startswith(f"{directory / file}: ")
    assert said in str(raised.value)
    assert "PRIVATE" not in str(raised.value)


def test_what_is_there_and_unusable_is_not_made_anew(tmp_path: Path) -> None:
    open_or_create_authority(tmp_path, NOW)
    (tmp_path / "ca-key.pem").unlink()
    with pytest.raises(AuthorityError, match=r"ca-key\.pem"):
        open_or_create_authority(tmp_path, NOW)


def test_a_new_root_is_believed_by_who_knows_the_old_one() -> None:
    old, new = new_root(NOW), new_root(NOW)
    cross = cross_signed(new, old, NOW)
    leaf, *between = x509.load_pem_x509_certificates(
        issue(Issuer(new.certificate, new.key, pem([cross])), IDENTITY, NOW).certificate_chain
    )
    assert path_to_root(leaf, between, [old.certificate])[1:] == (cross, old.certificate)
    assert path_to_root(leaf, between, [new.certificate])[1:] == (new.certificate,)
    with pytest.raises(AuthorityError):
        path_to_root(leaf, between, [new_root(NOW).certificate])


FILES = {
    "ca-cert.pem": pem([ROOT.certificate]),
    "ca-key.pem": private_key_pem(ROOT.key),
    "cert-chain.pem": pem([UPPER.certificate]),
    "root-cert.pem": pem([ROOT.certificate, OTHER.certificate]),
}


@given(
    name=st.sampled_from(sorted(FILES)),
    cut=st.tuples(st.integers(0, 2000), st.integers(0, 2000)),
    put=st.binary(max_size=20) | st.sampled_from(list(FILES.values())),
)
def test_files_of_any_content_are_an_authority_or_named(
    tmp_path_factory: pytest.TempPathFactory, name: str, cut: tuple[int, int], put: bytes
) -> None:
    directory = tmp_path_factory.mktemp("ca")
    for each, content in FILES.items():
        whole = content if each != name else content[: min(cut)] + put + content[max(cut) :]
        (directory / each).touch(mode=0o600)
        (directory / each).write_bytes(whole)
    said = ""
    try:
        opened = open_or_create_authority(directory, NOW)
    except AuthorityError as error:
        said = str(error)
    shutil.rmtree(directory)
    if said:
        assert str(directory) in said
        assert "PRIVATE" not in said
        return
    assert opened.issuer.certificate == ROOT.certificate
    assert ROOT.certificate in opened.roots
