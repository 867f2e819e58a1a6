"""The messages of Istio's certificate service are those of its .proto file."""

from __future__ import annotations

import sys
from pathlib import Path

import grpc
import grpc_tools
import pytest

from mizzen.signing import (
    CREATE_TOKEN,
    SERVICE,
    TOKEN_SERVICE,
    CertificateRequest,
    CertificateResponse,
    Lifetime,
    Token,
)

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


def test_the_service_of_tokens_is_that_of_the_proto_file(monkeypatch: pytest.MonkeyPatch) -> None:
    wellknown = Path(str(grpc_tools.__file__)).with_name("_proto")
    monkeypatch.setattr(sys, "path", [str(PROTO), str(wellknown), *sys.path])
    file = grpc.protos("token.proto").DESCRIPTOR
    [service] = file.services_by_name.values()
    [method] = service.methods
    assert (service.full_name, method.name) == (TOKEN_SERVICE, CREATE_TOKEN)
    named = (method.input_type.full_name, method.output_type.full_name)
    assert named == (Lifetime.DESCRIPTOR.full_name, Token.DESCRIPTOR.full_name)
