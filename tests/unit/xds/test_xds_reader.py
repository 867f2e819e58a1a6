"""Equal requests are read once: a thousand clients say the same."""

import contextlib

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import given
from hypothesis import strategies as st

from mizzen.xds.type_urls import ENDPOINT
from mizzen.xds.wire import BadRequest, Reader, Request, parse_delta, parse_sotw
from tests.unit.xds.xds_driver import Driver, endpoint

LONGEST = 65_536


def request(*names: str, node: str = "") -> bytes:
    message = discovery_pb2.DiscoveryRequest(type_url=ENDPOINT, resource_names=names)
    if node:
        message.node.id = node
    return message.SerializeToString()


class Counting(Reader):
    """Counts what it reads anew."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        super().__init__(self.parse)

    def parse(self, data: bytes) -> Request:
        self.read.append(data)
        return parse_sotw(data)


def test_an_equal_request_is_the_same_object() -> None:
    reader = Counting()
    first = reader(request("a"))
    assert first.names == ("a",)
    assert reader(request("a")) is first
    assert reader(request("b")).names == ("b",)
    assert reader(request("a")) is first
    assert len(reader.read) == 2


def test_who_a_client_is_is_not_remembered() -> None:
    """A node is said once, and is changed by whoever takes its list of extensions from it."""
    reader = Counting()
    first, second = (reader(request("a", node="me")) for _ in range(2))
    assert first.node is not second.node
    assert len(reader.read) == 2


def test_a_long_request_is_not_remembered() -> None:
    reader = Counting()
    length = LONGEST - len(request("x" * 60_000)) + 60_000
    for extra, readings in ((0, 1), (1, 2)):
        reader.read.clear()
        data = request("x" * (length + extra))
        assert len(data) == LONGEST + extra
        assert reader(data) == reader(data)
        assert len(reader.read) == readings


def test_sixteen_are_remembered_and_the_oldest_is_forgotten_first() -> None:
    reader = Counting()
    for number in range(17):
        reader(request(str(number)))
    reader.read.clear()
    for number in range(1, 17):
        reader(request(str(number)))
    assert reader.read == []
    reader(request("0"))
    assert reader.read == [request("0")]


@pytest.mark.parametrize("parse", [parse_sotw, parse_delta])
def test_what_is_no_request_is_refused_each_time(parse) -> None:
    reader = Reader(parse)
    for _ in range(2):
        with pytest.raises(BadRequest):
            reader(b"\xff\xff\xff")


def valid_request(delta: bool) -> bytes:
    if delta:
        message = discovery_pb2.DeltaDiscoveryRequest(type_url=ENDPOINT, resource_names_subscribe=["a"])
        message.initial_resource_versions["a"] = "1"
    else:
        message = discovery_pb2.DiscoveryRequest(type_url=ENDPOINT, resource_names=["a"], version_info="1")
    message.node.id = "sidecar~10.0.0.7~a.b~c"
    message.node.metadata.update({"LABELS": {"app": "a"}, "LIST": [1, None]})
    message.response_nonce = "1"
    message.error_detail.message = "no"
    return message.SerializeToString()


VALID = {delta: valid_request(delta) for delta in (False, True)}
changes = st.lists(st.tuples(st.integers(0, 150), st.binary(max_size=3)), max_size=4)


@given(delta=st.booleans(), touched=st.lists(changes, min_size=1, max_size=4), noise=st.binary(max_size=50))
def test_any_bytes_are_a_request_that_is_answered_or_a_bad_one(
    delta: bool, touched: list[list[tuple[int, bytes]]], noise: bytes
) -> None:
    driver = Driver(endpoint("a"), delta=delta)
    for each in touched:
        data = VALID[delta]
        for place, put in each:
            data = data[:place] + put + data[place + len(put) :]
        for said in (data, data + noise):
            with contextlib.suppress(BadRequest):
                driver.stream.receive((parse_delta if delta else parse_sotw)(said), driver.now)
                driver.listen()
