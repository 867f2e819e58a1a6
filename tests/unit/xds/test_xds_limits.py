"""What clients may cost, in gRPC's words, and the log of those that are refused."""

import logging
from datetime import timedelta

import pytest

from mizzen.xds import Limits
from mizzen.xds.refusal_log import RefusalLog


def test_limits_in_the_words_of_grpc() -> None:
    """https://grpc.github.io/grpc/core/group__grpc__arg__keys.html: a name that gRPC does not know is ignored
    in silence.
    """
    limits = Limits(
        max_request_bytes=12345,
        keepalive=timedelta(seconds=1.5),
        keepalive_timeout=timedelta(milliseconds=700),
    )
    assert dict(limits.channel_options()) == {
        "grpc.max_receive_message_length": 12345,
        "grpc.max_send_message_length": -1,
        "grpc.keepalive_time_ms": 1500,
        "grpc.keepalive_timeout_ms": 700,
        "grpc.http2.ping_timeout_ms": 700,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.min_ping_interval_without_data_ms": 5000,
        "grpc.http2.max_ping_strikes": 0,
        "grpc.http2.max_pings_without_data": 0,
        "grpc.so_reuseport": 0,
    }


def test_a_connection_has_an_age_if_it_is_given_one() -> None:
    base = dict(Limits().channel_options())
    aged = Limits(
        max_connection_age=timedelta(minutes=30), max_connection_age_grace=timedelta(seconds=2)
    ).channel_options()
    assert dict(aged) == base | {
        "grpc.max_connection_age_ms": 1_800_000,
        "grpc.max_connection_age_grace_ms": 2000,
    }


class TestTheLogOfRefusals:
    @pytest.fixture(autouse=True)
    def level(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, "mizzen.xds")

    def test_twenty_lines_in_ten_seconds(self, caplog: pytest.LogCaptureFixture) -> None:
        refusals = RefusalLog()
        for number in range(25):
            refusals.say(100.0 + number / 10, "peer", "method", "reason")
        assert len(caplog.messages) == 20
        refusals.say(109.9, "peer", "method", "reason")
        assert len(caplog.messages) == 20
        refusals.say(110.0, "peer", "method", "reason")
        assert caplog.messages[20:] == ["6 further streams were refused", "peer method: refused: reason"]

    def test_from_the_start_of_the_machine(self, caplog: pytest.LogCaptureFixture) -> None:
        refusals = RefusalLog()
        for _ in range(25):
            refusals.say(0.0, "peer", "method", "reason")
        assert len(caplog.messages) == 20
        refusals.say(10.0, "peer", "method", "reason")
        assert len(caplog.messages) == 22

    def test_nothing_is_said_of_none(self, caplog: pytest.LogCaptureFixture) -> None:
        refusals = RefusalLog()
        for now in (100.0, 200.0, 300.0):
            refusals.say(now, "peer", "method", "reason")
        assert caplog.messages == ["peer method: refused: reason"] * 3
