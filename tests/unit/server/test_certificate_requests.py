"""Whatever a request for a certificate holds, it is signed for the caller or refused in words."""

from __future__ import annotations

import asyncio
import base64
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from mizzen.identity import Authority, SpiffeId, create_authority
from mizzen.server import certificate_service
from mizzen.server.certificate_service import MOST_AT_ONCE, CertificateService
from mizzen.server.one_request import RequestRefused
from mizzen.signing import CertificateRequest

NOW = datetime(2026, 11, 28, tzinfo=UTC)
CALLER = SpiffeId("cluster.local", "shop", "reviews")
DER = (
    x509.CertificateSigningRequestBuilder()
    .subject_name(x509.Name([]))
    .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    .public_bytes(Encoding.DER)
)


def pem_of(der: bytes) -> str:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> CertificateService:
    authority: Authority = create_authority(Path(tmp_path_factory.mktemp("ca")), NOW)
    return CertificateService(
        lambda: authority, lambda peer: peer, lambda: ("cluster.local",), timedelta(hours=24), lambda: NOW
    )


def answered(service: CertificateService, text: str, seconds: int) -> None:
    code = None
    try:
        leaf, *_ = service.create(CALLER, text, seconds)
    except RequestRefused as refused:
        code = refused.code
    if code is not None:
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        return
    made = x509.load_pem_x509_certificate(leaf.encode())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [str(CALLER)]
    assert made.not_valid_after_utc <= NOW + timedelta(hours=24)
    assert made.public_key() is not None


@given(text=st.text(max_size=300), seconds=st.integers(-(2**63), 2**63 - 1))
def test_any_text(service: CertificateService, text: str, seconds: int) -> None:
    answered(service, text, seconds)


@given(data=st.binary(max_size=300), seconds=st.integers(-5, 2**40))
def test_any_bytes(service: CertificateService, data: bytes, seconds: int) -> None:
    answered(service, pem_of(data), seconds)


@given(place=st.integers(0, len(DER) - 1), byte=st.integers(0, 255))
def test_a_request_that_was_touched(service: CertificateService, place: int, byte: int) -> None:
    answered(service, pem_of(DER[:place] + bytes([byte]) + DER[place + 1 :]), 60)


class RequestOfA:
    """A certificate signing request whose signature nobody may check, as that may take long."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def public_key(self) -> Any:
        return self._key.public_key()

    @property
    def is_signature_valid(self) -> bool:
        raise AssertionError("the signature is checked")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (dsa.generate_private_key(1024), "Envoy does not take keys of this kind"),
        (rsa.generate_private_key(65537, 2048), "an RSA key of 2048 bits; 2047 are the most"),
    ],
    ids=["of-another-kind", "large"],
)
def test_the_key_is_judged_before_its_signature_is_checked(
    service: CertificateService, monkeypatch: pytest.MonkeyPatch, key: Any, said: str
) -> None:
    monkeypatch.setattr(certificate_service, "LARGEST_RSA_KEY", 2047)
    monkeypatch.setattr(x509, "load_pem_x509_csr", lambda data: RequestOfA(key))
    with pytest.raises(RequestRefused, match=said):
        service.create(CALLER, pem_of(DER), 60)


class OneRequest:
    """The context of a call."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self) -> bytes:
        return self._data


async def test_who_floods_keeps_nobody_else_waiting(
    service: CertificateService, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, working = threading.Event(), []

    def slow(_: CertificateService, identity: SpiffeId, csr: str, seconds: int) -> list[str]:
        working.append(identity)
        may_end.wait(60)
        return []

    monkeypatch.setattr(CertificateService, "create", slow)
    request = OneRequest(CertificateRequest(csr="any").SerializeToString())
    other = SpiffeId("cluster.local", "shop", "ratings")
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for _ in range(MOST_AT_ONCE):
            tasks.create_task(service._created(CALLER, request))
        await asyncio.sleep(0)
        with pytest.raises(RequestRefused) as refused:
            await service._created(CALLER, request)
        assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        tasks.create_task(service._created(other, request))
        await asyncio.sleep(0)
        may_end.set()
    assert working.count(CALLER) == MOST_AT_ONCE
    assert working.count(other) == 1
    assert await service._created(CALLER, request) == []


def test_a_good_request_is_signed(service: CertificateService) -> None:
    assert len(service.create(CALLER, pem_of(DER), 60)) == 2
