"""What gRPC's core writes on standard error: failed handshakes and errors are found in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from mizzen.server.faults import Faults
from mizzen.server.grpc_log import ConnectionLog, Entries, FailedHandshake, captured

HEAD = "I1128 18:11:40.467990   31936 handshaker.cc:155] CallNextHandshakerLocked: "
REST = (
    "\n=== Source Location Trace: ===\nsrc/core/util/status_helper.cc:68\n shutdown=false index=2, args="
    "{endpoint=0x7f4dd4001c40, args={grpc.internal.endpoint_local_address=ipv4:127.0.0.1:37697, "
    "grpc.internal.endpoint_peer_address=PEER, grpc.internal.use_v3_stack=0}, read_buffer.Length()=0}\n"
)
OPENSSL = (
    "error=UNKNOWN: Ssl handshake failed (TSI_PROTOCOL_FAILURE): "
    "SSL_ERROR_SSL: error:1:SSL routines:OPENSSL_internal:"
)


def entry(failure: str, peer: str = "ipv4:10.0.0.7:4711") -> str:
    return HEAD + failure + REST.replace("PEER", peer)


def read(text: str) -> tuple[list[FailedHandshake], list[str], list[str]]:
    """Return the failed handshakes and errors in a text, and the lines that the core did not write."""
    failed: list[FailedHandshake] = []
    errors: list[str] = []
    entries = Entries(failed.append, errors.append)
    lines = text.splitlines(keepends=True)
    return failed, errors, [line for line in lines if entries.take(line.encode())]


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ("WRONG_VERSION_NUMBER: Invalid certificate verification context: OK", "it speaks no TLS"),
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE: Invalid context: OK", "it showed no certificate"),
        (
            "CERTIFICATE_VERIFY_FAILED: certificate has expired: OK",
            "its certificate is not accepted: certificate has expired",
        ),
        ("TLSV1_ALERT_UNKNOWN_CA: Invalid context: OK", "it refused: unknown ca"),
        ("SOMETHING_NEW: OK", "something new"),
    ],
)
def test_a_failed_handshake_has_its_peer_and_a_reason(details: str, reason: str) -> None:
    assert read(entry(OPENSSL + details))[0] == [FailedHandshake("10.0.0.7:4711", reason)]


def test_addresses_are_written_as_logs_have_them() -> None:
    [failed], _, _ = read(entry(OPENSSL + "HTTP_REQUEST: OK", "ipv6:%5B::1%5D:56762"))
    assert failed.peer == "[::1]:56762"


def test_who_closes_the_connection_is_gone() -> None:
    [failed], _, _ = read(entry("error=UNAVAILABLE: Handshake read failed (Socket closed)"))
    assert failed == FailedHandshake("10.0.0.7:4711", "it closed the connection", gone=True)


def test_handshakes_that_go_well_and_other_entries_are_dropped() -> None:
    others = (
        HEAD + "error=OK shutdown=false index=0, args={grpc.internal.endpoint_peer_address=ipv4:1.2.3.4:5}\n"
    )
    others += "I1128 18:11:40.1   31936 ssl_transport_security.cc:2563] Handshake failed with error\n"
    others += "E1128 18:11:40.1   31936 ssl_transport_security.cc:2631] No match found for server name: x\n"
    assert read(others) == ([], [], [])


def test_errors_are_handed_on_and_what_is_not_the_cores_stays() -> None:
    text = "Fatal Python error\nE1128 18:11:40.1   31936 tcp.cc:7] no more files\nmalloc(): corrupted\n"
    assert read(text) == ([], ["tcp.cc: no more files"], ["Fatal Python error\n", "malloc(): corrupted\n"])


def test_a_host_and_reason_are_told_once_and_all_are_counted() -> None:
    counted: list[None] = []
    with capture_logs() as lines:
        log = ConnectionLog(lambda: counted.append(None))
        for port in (1, 2):
            log.failed(FailedHandshake(f"10.0.0.7:{port}", "it showed no certificate"))
        log.failed(FailedHandshake("10.0.0.7:3", "it speaks no TLS"))
        log.failed(FailedHandshake("10.0.0.8:4", "it showed no certificate"))
        log.failed(FailedHandshake("10.0.0.9:5", "it closed the connection", gone=True))
    told = [(line["peer"], line["log_level"]) for line in lines]
    assert told == [
        ("10.0.0.7:1", "warning"),
        ("10.0.0.7:3", "warning"),
        ("10.0.0.8:4", "warning"),
        ("10.0.0.9:5", "debug"),
    ]
    assert len(counted) == 5


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_descriptor_2_is_read_and_standard_error_stays(capfd: pytest.CaptureFixture[str]) -> None:
    failed: list[FailedHandshake] = []
    before = sys.stderr
    with captured(failed.append, lambda _: None, Faults()):
        os.write(2, entry(OPENSSL + "HTTP_REQUEST: OK").encode())
        os.write(2, b"not the core's\n")
        print("a line of Python", file=sys.stderr)
    assert sys.stderr is before
    os.write(2, b"afterwards\n")
    assert [each.reason for each in failed] == ["it speaks plain HTTP"]
    shown = capfd.readouterr().err.splitlines()
    assert sorted(shown) == ["a line of Python", "afterwards", "not the core's"]


def test_a_line_with_which_mizzen_fails_is_noted_and_the_rest_is_read() -> None:
    failed: list[FailedHandshake] = []

    def take(handshake: FailedHandshake) -> None:
        failed.append(handshake)
        if len(failed) == 1:
            raise RuntimeError("a fault")

    faults = Faults()
    with capture_logs() as lines, captured(take, lambda _: None, faults):
        os.write(2, entry(OPENSSL + "HTTP_REQUEST: OK").encode() * 2)
    assert len(failed) == 2
    assert [each["what"] for each in faults.as_json()] == ["a line of gRPC was not understood"]
    assert [line["exc_info"] for line in lines if "a fault of Mizzen" in line["event"]] == [True]


def test_more_than_the_pipe_holds_blocks_nobody() -> None:
    """The core writes with locks held."""
    program = (
        "import os, sys\nfrom mizzen.server.faults import Faults\n"
        "from mizzen.server.grpc_log import captured\n"
        "def wait(_):\n    while not done: pass\n"
        "done = []\n"
        "with captured(wait, lambda _: None, Faults()):\n"
        f"    os.write(2, {entry(OPENSSL + 'HTTP_REQUEST: OK').encode()!r})\n"
        "    try:\n"
        "        for _ in range(10_000): os.write(2, b'I1128 18:11:40.1 1 a.cc:1] ' + b'x' * 1000 + b'\\n')\n"
        "    except BlockingIOError:\n        pass\n"
        "    done.append(1)\n"
        "print('ended')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout == "ended\n"
