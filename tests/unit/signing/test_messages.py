"""The messages of Istio's certificate service are those of its .proto file."""

from __future__ import annotations

import sys
from pathlib import Path

import grpc
import pytest

from mizzen.signing import SERVICE, CertificateRequest, CertificateResponse

PROTO = Path(__file__).parents[3] / "proto"


def test_they_are_those_of_the_proto_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(PROTO), *sys.path])
    compiled = grpc.protos("ca.proto")
    for ours, theirs in (
        (CertificateRequest, compiled.IstioCertificateRequest),
        (CertificateResponse, compiled.IstioCertificateResponse),
    ):
        assert ours.DESCRIPTOR.full_name == theirs.DESCRIPTOR.full_name
        fields = [(f.name, f.number, f.type, f.is_repeated) for f in ours.DESCRIPTOR.fields]
        assert fields == [(f.name, f.number, f.type, f.is_repeated) for f in theirs.DESCRIPTOR.fields]
    assert list(compiled.DESCRIPTOR.services_by_name) == [SERVICE.rpartition(".")[2]]
