import asyncio
import contextlib
import io
import json
import logging
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import structlog

import mizzen
from mizzen.server import log_output, one_request
from mizzen.server.address import Address
from mizzen.server.admin import AdminServer
from mizzen.server.admin_hosts import Hosts
from mizzen.server.log_output import FirstOfItsKind, LogFormat, ResilientStream, configure_logging
from tests.unit.server.shown_mesh import ShownMesh


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in log_output._CALLERS:
        logging.getLogger(name).filters.clear()
    logging.raiseExceptions = True
    structlog.reset_defaults()


def test_json_lines_hold_what_was_said() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    structlog.get_logger("mizzen.server").warning("too late", proxy="a")
    structlog.get_logger("mizzen.server").debug("not worth it")
    logging.getLogger("mizzen.xds").warning("%s: refused: %s", "peer", "why")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("too late", "warning"),
        ("peer: refused: why", "warning"),
    ]
    assert lines[0]["proxy"] == "a"


def test_a_text_line_is_one_line() -> None:
    stream = io.StringIO()
    configure_logging("text", "info", stream=stream)
    structlog.get_logger("mizzen.server").info("ready", admin="127.0.0.1:1")
    assert stream.getvalue().count("\n") == 1
    assert "ready" in stream.getvalue()
    assert "admin=127.0.0.1:1" in stream.getvalue()


def test_what_a_client_says_looks_like_no_other_line_and_steers_no_terminal() -> None:
    stream = io.StringIO()
    configure_logging("text", "info", stream=stream)
    hostile = "no proxy\n2030-01-01T00:00:00Z [info     ] all is well\x1b[2J\r\u2028"
    logging.getLogger("mizzen.xds").warning("%s refused: %s", "peer", hostile)
    structlog.get_logger("mizzen.server").warning(hostile, proxy=hostile)
    short = "a\x1b[2Jb\u2028c"  # structlog quotes no value without spaces
    structlog.get_logger("mizzen.server").warning("too late", proxy=short, names=[short])
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert "no proxy\\n2030" in lines[0]


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    lost: list[None] = []
    full = Path("/dev/full").open("w", encoding="utf-8", buffering=1)  # noqa: SIM115 (closing it fails)
    try:
        stream = ResilientStream(full, lambda: lost.append(None))
        configure_logging("text", "info", stream=full, on_lost=lambda: lost.append(None))
        structlog.get_logger("mizzen.server").warning("said in vain")
        assert lost
        before = len(lost)
        stream.write("more\n")
        stream.flush()
        assert len(lost) > before
    finally:
        with contextlib.suppress(OSError):
            full.close()


def test_a_closed_stream_is_no_fault() -> None:
    closed = io.StringIO()
    closed.close()
    lost: list[None] = []
    configure_logging("text", "info", stream=closed, on_lost=lambda: lost.append(None))
    structlog.get_logger("mizzen.server").warning("said in vain")
    assert lost


def test_the_same_complaint_of_another_peer_is_not_said_again() -> None:
    once = FirstOfItsKind()

    def passes(*arguments: str) -> bool:
        record = logging.LogRecord("mizzen.xds", logging.WARNING, "", 0, "%s %s: %s", arguments, None)
        return once.filter(record)

    assert passes("ipv4:127.0.0.1:1", "Delta", "no id")
    assert not passes("ipv4:127.0.0.1:2", "Delta", "no id")
    assert passes("ipv4:127.0.0.1:3", "Delta", "another reason")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_traceback_does_not_tell_what_variables_held(log_format: LogFormat) -> None:
    stream = io.StringIO()
    configure_logging(log_format, "info", stream=stream)

    def fails(private_key: str) -> None:
        raise RuntimeError(f"a fault with a key of {len(private_key)} letters")

    held = "".join(reversed("YEK ETAVIRP NIGEB"))  # the lines of the source are in a traceback
    try:
        fails(held)
    except RuntimeError:
        structlog.get_logger("mizzen.server").exception("it failed")
    assert "in fails" in stream.getvalue(), "where it happened is said"
    assert held not in stream.getvalue()


def test_a_complaint_is_told_apart_by_its_kind_and_those_remembered_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_output, "_COMPLAINTS_REMEMBERED", 2)
    once = FirstOfItsKind()

    def passes(message: str, *arguments: str) -> bool:
        return once.filter(logging.LogRecord("mizzen.xds", logging.WARNING, "", 0, message, arguments, None))

    assert passes("%s refused: %s", "peer", "no id")
    assert passes("%s ended: %s", "peer", "no id")
    assert not passes("%s refused: %s", "peer", "no id")
    assert passes("plain")
    assert passes("%s refused: %s", "peer", "no id"), "forgotten: the memory is bounded"
    assert not passes("plain")


def test_faults_are_all_counted_and_each_place_is_logged_once() -> None:
    stream, counted = io.StringIO(), list[str]()
    configure_logging("text", "info", stream=stream, on_fault=counted.append)
    log = logging.getLogger("mizzen.xds")

    def fails(*, otherwise: bool) -> None:
        if otherwise:
            raise RuntimeError("a fault")
        raise RuntimeError("a fault")

    for otherwise in (False, False, True):
        try:
            fails(otherwise=otherwise)
        except RuntimeError:
            log.exception("a stream failed")
    log.warning("a client is refused")
    assert counted == ["a part of the discovery server failed"] * 3
    assert stream.getvalue().count("a stream failed") == 2


async def test_what_a_request_raises_is_counted(tmp_path: Path) -> None:
    class Failing(ShownMesh):
        async def resources(self, name: str) -> Mapping[str, Any] | None:
            raise RuntimeError("a fault")

    async def fails(_: object, __: object) -> None:
        raise RuntimeError("a fault")

    counted: list[str] = []
    configure_logging("text", "info", stream=io.StringIO(), on_fault=counted.append)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = Address("127.0.0.1", listening.getsockname()[1])
        admin = AdminServer(Failing(mizzen.load(tmp_path)), listening, Hosts(address))
        serving = asyncio.create_task(admin.run())
        async with httpx.AsyncClient(base_url=f"http://{address}") as client:
            assert (await client.get("/debug/resources?proxy=a")).status_code == 500
            assert (await client.get("/no/such/path")).status_code == 404
        admin.stop()
        await serving

    server = grpc.aio.server()
    method = one_request.handler(fails, bytes)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Service", {"Method": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary("/Service/Method")(b"")
    await server.stop(None)
    assert counted == [
        "a request to the admin address failed",
        "a request for a certificate or token failed",
    ]


def test_complaints_about_clients_go_through_that_filter() -> None:
    stream = io.StringIO()
    configure_logging("text", "info", stream=stream)
    for port in range(3):
        logging.getLogger("mizzen.xds").warning("%s refused: %s", port, "no id")
    logging.getLogger("asyncio").info("not worth it")
    logging.getLogger("asyncio").warning("slow")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "0 refused: no id" in lines[0]
    assert "slow" in lines[1]


def test_without_standard_error_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    configure_logging()
    structlog.get_logger("mizzen.server").warning("said to nobody")


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    structlog.get_logger("mizzen.server").warning("said to all", proxy="a")
    written = capsys.readouterr()
    assert "said to all" in written.err
    assert written.out == ""


def test_whether_a_person_reads_along_is_known_of_a_closed_stream_too() -> None:
    closed = io.StringIO()
    assert not ResilientStream(closed, lambda: None).isatty()
    closed.close()
    assert not ResilientStream(closed, lambda: None).isatty()
