"""What of an encoded response is kept for the next client."""

from __future__ import annotations

from mizzen.xds.resource import Resource
from mizzen.xds.response import Dialect, ResponseContent
from mizzen.xds.type_urls import CLUSTER

DELTA = Dialect(delta=True)


def batch(size: int) -> ResponseContent:
    return ResponseContent(CLUSTER, "1", (Resource(CLUSTER, "a", b"a" * size),))


def test_a_small_response_is_encoded_once() -> None:
    small = batch(100)
    assert small.encode(DELTA, "1") is small.encode(DELTA, "1")


def test_a_large_response_is_kept_from_the_second_client_on() -> None:
    large = batch(100_000)
    first, second, third = (large.encode(DELTA, "1") for _ in range(3))
    assert first == second
    assert first is not second
    assert second is third


def test_another_nonce_or_dialect_is_another_response() -> None:
    both = batch(100)
    sotw = Dialect(delta=False)
    assert len({both.encode(DELTA, "1"), both.encode(DELTA, "2"), both.encode(sotw, "1")}) == 3
