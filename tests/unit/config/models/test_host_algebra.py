"""Matching and inclusion of hosts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config.models.host import is_subset_of, matches
from mizzen.config.models.protocol import Protocol

HOSTS = st.from_regex(r"(\*\.?)?([ab]\.){0,2}[ab]?", fullmatch=True)


@pytest.mark.parametrize(
    ("one", "other", "match", "subset"),
    [
        ("a.com", "a.com", True, True),
        ("a.com", "b.com", False, False),
        ("a.com", "*.com", True, True),
        ("*.com", "a.com", True, False),
        ("a.com", "*", True, True),
        ("*", "a.com", True, False),
        ("a.com", "*.a.com", False, False),
        ("xa.com", "*a.com", True, True),
        ("*.a.com", "*.com", True, True),
        ("*.com", "*.a.com", True, False),
        ("*.a.com", "*.b.com", False, False),
        ("*", "*", True, True),
        ("*", "*.com", True, False),
        ("*", "*c", True, False),
    ],
)
def test_hosts(one: str, other: str, match: bool, subset: bool) -> None:
    assert matches(one, other) is match
    assert is_subset_of(one, other) is subset


@given(HOSTS, HOSTS)
def test_matching_is_symmetric_and_follows_from_inclusion(one: str, other: str) -> None:
    assert matches(one, other) == matches(other, one)
    assert not is_subset_of(one, other) or matches(one, other)


@given(HOSTS, HOSTS, HOSTS)
def test_inclusion_is_transitive(one: str, two: str, three: str) -> None:
    if is_subset_of(one, two) and is_subset_of(two, three):
        assert is_subset_of(one, three)


@pytest.mark.parametrize(
    ("text", "protocol"),
    [
        ("http", Protocol.HTTP),
        ("gRPC-Web", Protocol.GRPC_WEB),
        ("MONGO", Protocol.MONGO),
        ("", Protocol.UNSUPPORTED),
        ("http_proxy", Protocol.HTTP_PROXY),
        ("unsupportedprotocol", Protocol.UNSUPPORTED),
    ],
)
def test_protocols_are_read_in_any_case(text: str, protocol: Protocol) -> None:
    assert Protocol.parse(text) is protocol


def test_classes_of_protocols() -> None:
    assert {it for it in Protocol if it.is_http} == {"HTTP", "HTTP2", "HTTP_PROXY", "GRPC", "GRPC-Web"}
    assert {it for it in Protocol if it.is_http2} == {"HTTP2", "GRPC", "GRPC-Web"}
    assert {it for it in Protocol if it.is_tls} == {"HTTPS", "TLS"}
    assert {it for it in Protocol if it.is_tcp} == {"TCP", "HTTPS", "TLS", "Mongo", "Redis", "MySQL"}
    assert {it for it in Protocol if it.is_grpc} == {"GRPC", "GRPC-Web"}
