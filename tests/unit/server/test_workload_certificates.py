"""Certificates of connected workloads: issued once, renewed in time, taken up again after a restart."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from structlog.testing import capture_logs

from mizzen.identity import Authority, SpiffeId, rotation
from mizzen.identity.authority import fingerprint, new_root, pem
from mizzen.identity.certificate_store import CertificateStore
from mizzen.server.certificate_service import CertificateService
from mizzen.server.metrics import Metrics
from mizzen.server.workload_certificates import WorkloadCertificates
from mizzen.xds import Resource

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ONE = SpiffeId("cluster.local", "shop", "one")
OTHER = SpiffeId("cluster.local", "shop", "other")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


def authority(lifetime: timedelta = timedelta(days=3650)) -> Authority:
    root = new_root(NOW, lifetime)
    return Authority(root, pem([root.certificate]))


def leaf(secret: Resource | None) -> x509.Certificate:
    assert secret is not None
    message = secret_pb2.Secret.FromString(secret.value)
    return x509.load_pem_x509_certificate(message.tls_certificate.certificate_chain.inline_bytes)


def issuer_of(certificates: WorkloadCertificates) -> x509.Name:
    return leaf(certificates.current(ONE)).issuer


def value(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(f"mizzen_{name}") or 0.0


def test_one_identity_has_one_certificate(clock: Clock, metrics: Metrics) -> None:
    certificates = WorkloadCertificates(authority(), None, metrics, clock=clock)
    assert certificates.current(ONE) is None
    secret = certificates.secret_of(ONE)
    assert secret is certificates.secret_of(ONE) is certificates.current(ONE)
    assert secret is not None
    assert secret.name == "default"
    assert certificates.secret_of(OTHER) is not secret
    assert value(metrics, "workload_certificates_issued_total") == 2


def test_it_is_renewed_well_before_it_expires(clock: Clock, metrics: Metrics) -> None:
    certificates = WorkloadCertificates(authority(), None, metrics, clock=clock)
    first = certificates.secret_of(ONE)
    clock.passes(hours=11.9)
    assert not certificates.renew({ONE})
    assert certificates.current(ONE) is first
    clock.passes(hours=7.5)
    certificates.renew({ONE})
    second = certificates.current(ONE)
    assert leaf(second).not_valid_after_utc == clock.now + timedelta(hours=24)
    assert leaf(second).public_key() != leaf(first).public_key()
    assert value(metrics, "workload_certificates_renewed_total") == 1
    assert (
        value(metrics, "workload_certificates_first_expiry_seconds")
        == (clock.now + timedelta(hours=24)).timestamp()
    )


def test_nothing_is_renewed_for_those_that_have_gone(clock: Clock, metrics: Metrics) -> None:
    certificates = WorkloadCertificates(authority(), None, metrics, clock=clock)
    first = certificates.secret_of(ONE)
    clock.passes(hours=20)
    certificates.renew(set())
    assert certificates.current(ONE) is first
    assert not certificates.as_json()["workloads"]
    # It comes back: it is given what still holds, and a new one at once.
    assert certificates.secret_of(ONE) is first
    certificates.renew({ONE})
    assert certificates.current(ONE) is not first
    clock.passes(hours=30)
    certificates.renew(set())
    certificates.renew(set())
    assert certificates.current(ONE) is None


def test_a_restart_issues_nothing_that_still_holds(tmp_path: Path, clock: Clock, metrics: Metrics) -> None:
    mine = authority()
    before = WorkloadCertificates(mine, CertificateStore(tmp_path), metrics, clock=clock)
    first, other = before.secret_of(ONE), before.secret_of(OTHER)
    before.close()
    clock.passes(hours=2)
    after = WorkloadCertificates(mine, CertificateStore(tmp_path), metrics, clock=clock)
    assert leaf(after.secret_of(ONE)) == leaf(first)
    assert leaf(after.secret_of(OTHER)) == leaf(other)
    assert value(metrics, "workload_certificates_issued_total") == 2


def test_a_restart_with_another_authority_issues_anew(tmp_path: Path, clock: Clock, metrics: Metrics) -> None:
    before = WorkloadCertificates(authority(), CertificateStore(tmp_path), metrics, clock=clock)
    before.secret_of(ONE)
    before.close()
    another = authority()
    after = WorkloadCertificates(another, CertificateStore(tmp_path), metrics, clock=clock)
    after.secret_of(ONE)
    assert issuer_of(after) == another.issuer.certificate.subject


def test_a_rotation_replaces_certificates_in_a_wave(tmp_path: Path, clock: Clock, metrics: Metrics) -> None:
    old = rotation.open_state_authority(tmp_path, NOW)
    certificates = WorkloadCertificates(old, None, metrics, clock=clock)
    used = {SpiffeId("cluster.local", "shop", f"a{number}") for number in range(20)} | {ONE}
    for each in used:
        certificates.secret_of(each)
    roots = certificates.roots
    certificates.adopt(rotation.begin(tmp_path, NOW))
    certificates.renew(used)
    assert certificates.roots is not roots
    assert issuer_of(certificates) == old.issuer.certificate.subject

    new = rotation.sign(tmp_path, NOW)
    certificates.adopt(new)
    certificates.renew(used)
    clock.passes(minutes=5)
    while certificates.renew(used):
        pass
    replaced = [each["of_former_authority"] for each in certificates.as_json()["workloads"]].count(False)
    assert 3 < replaced < 18, "the wave is spread"
    clock.passes(minutes=5)
    while certificates.renew(used):
        pass
    told = certificates.as_json()
    assert not any(each["of_former_authority"] for each in told["workloads"])
    assert told["authority"]["fingerprint"] == fingerprint(new.issuer.certificate)
    assert issuer_of(certificates) == new.issuer.certificate.subject


def test_certificates_whose_keys_are_elsewhere_count_in_a_rotation(
    tmp_path: Path, clock: Clock, metrics: Metrics
) -> None:
    mine = authority()
    certificates = WorkloadCertificates(mine, CertificateStore(tmp_path), metrics, clock=clock)
    service = CertificateService(
        lambda: mine,
        lambda peer: peer,
        lambda: ("cluster.local",),
        timedelta(hours=1),
        clock,
        note=certificates.note_signed,
    )
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    service.create(ONE, request.public_bytes(Encoding.PEM).decode(), 0)
    certificates.close()
    held = CertificateStore(tmp_path).in_force(NOW)
    assert held == {fingerprint(mine.issuer.certificate): [(str(ONE), NOW + timedelta(hours=1))]}


def test_an_authority_near_its_end_is_warned_of(clock: Clock, metrics: Metrics) -> None:
    certificates = WorkloadCertificates(authority(timedelta(days=100)), None, metrics, clock=clock)
    assert certificates.warnings == []
    clock.passes(days=85)
    [warning] = certificates.warnings
    assert "in 15 days" in warning
    assert "mizzen ca rotate" in warning


def test_certificates_that_end_with_the_authority_are_not_renewed_for_nothing(
    clock: Clock, metrics: Metrics
) -> None:
    certificates = WorkloadCertificates(authority(timedelta(hours=10)), None, metrics, clock=clock)
    first = certificates.secret_of(ONE)
    clock.passes(hours=9)
    assert not certificates.renew({ONE})
    assert certificates.current(ONE) is first


def test_an_expired_authority_is_said_and_ends_nothing(clock: Clock, metrics: Metrics) -> None:
    certificates = WorkloadCertificates(authority(timedelta(hours=10)), None, metrics, clock=clock)
    first = certificates.secret_of(ONE)
    clock.passes(hours=11)
    with capture_logs() as logs:
        assert certificates.secret_of(OTHER) is None
        assert certificates.secret_of(ONE) is first
    assert [log["log_level"] for log in logs] == ["error"]
    [warning] = certificates.warnings
    assert "expired" in warning


def test_no_key_is_told(tmp_path: Path, clock: Clock, metrics: Metrics) -> None:
    with capture_logs() as logs:
        certificates = WorkloadCertificates(authority(), CertificateStore(tmp_path), metrics, clock=clock)
        secret = certificates.secret_of(ONE)
        clock.passes(hours=20)
        certificates.renew({ONE})
    told = repr((secret, certificates._current, certificates.authority, certificates.roots, logs))
    told += json.dumps(certificates.as_json()) + metrics.render().decode()
    for each in (secret, certificates.current(ONE)):
        assert each is not None
        key = secret_pb2.Secret.FromString(each.value).tls_certificate.private_key.inline_bytes.decode()
        assert key.splitlines()[1] not in told
    assert "PRIVATE" not in told
