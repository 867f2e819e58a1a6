"""What a workload certificate says, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mizzen.identity import Issuer, SpiffeId, SpiffeIdError, issue, sign

NOW = datetime(2030, 1, 1, tzinfo=UTC)
IDENTITY = SpiffeId("cluster.local", "shop", "reviews")


def root(lifetime: timedelta = timedelta(days=3650)) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "test")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + lifetime)
    )
    return Issuer(builder.sign(key, hashes.SHA256()), key)


def test_the_identity_is_the_only_name() -> None:
    issuer = root()
    made = issue(issuer, IDENTITY, NOW)
    leaf = x509.load_pem_x509_certificate(made.certificate_chain)
    leaf.verify_directly_issued_by(issuer.certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [str(IDENTITY)]
    assert leaf.not_valid_before_utc == NOW - timedelta(minutes=2)
    assert leaf.not_valid_after_utc == NOW + timedelta(hours=24) == made.not_after
    assert "PRIVATE" not in repr(made)


def test_it_never_outlives_its_issuer() -> None:
    assert issue(root(timedelta(hours=1)), IDENTITY, NOW).not_after == NOW + timedelta(hours=1)
    with pytest.raises(ValueError, match="expired"):
        issue(root(timedelta(hours=1)), IDENTITY, NOW + timedelta(hours=2))


def test_identities_are_read_as_written() -> None:
    assert SpiffeId.parse(str(IDENTITY)) == IDENTITY
    assert SpiffeId("a@b", "n", "s").trust_domain == "a.b"
    assert {one.trust_domain for one in IDENTITY.aliases(["old"])} == {"cluster.local", "old"}
    for text in (
        "",
        "spiffe://d/ns/n",
        "spiffe://d/ns/n/sa/s/x",
        "https://d/ns/n/sa/s",
        "spiffe://d/ns/n/sa/s\n",
        "spiffe://d/ns/ü/sa/s",
        "spiffe://d/ns/n/sa/..",
        "spiffe://d/ns/./sa/s",
        "spiffe://d/ns/n/sa/s;URI=spiffe://d/ns/n/sa/admin",
        *(f"spiffe://d/ns/n/sa/a{each}b" for each in ";,=\"' %\\:?#\t"),
    ):
        with pytest.raises(SpiffeIdError):
            SpiffeId.parse(text)
    with pytest.raises(SpiffeIdError):
        SpiffeId("d", "n/sa/x", "s")
    assert SpiffeId.parse("spiffe://a.b/ns/n-1/sa/.s_1..").service_account == ".s_1.."


def test_a_key_made_elsewhere_is_signed() -> None:
    issuer = root()
    key = rsa.generate_private_key(65537, 2048)
    made = sign(issuer, key.public_key(), IDENTITY, NOW, timedelta(hours=1))
    leaf = x509.load_pem_x509_certificate(made.certificate_chain)
    leaf.verify_directly_issued_by(issuer.certificate)
    assert leaf.public_key() == key.public_key()
    assert leaf.extensions.get_extension_for_class(x509.KeyUsage).value.key_encipherment
    assert (made.not_before, made.not_after) == (NOW - timedelta(minutes=2), NOW + timedelta(hours=1))


def test_keys_that_envoy_does_not_take_are_not_signed() -> None:
    for key in (rsa.generate_private_key(65537, 1024), ed25519.Ed25519PrivateKey.generate()):
        with pytest.raises(ValueError, match="Envoy"):
            sign(root(), key.public_key(), IDENTITY, NOW)  # type: ignore[arg-type]
