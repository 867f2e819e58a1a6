"""A running server among bad files, bad clients and bad luck: what was good keeps being served."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from mizzen.testing.ports import free_port
from tests.forked_mizzen import run
from tests.robustness.breakable import DEADLINE, SERVICE, Serving, until

STREAM = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
GOOD_ID = "sidecar~10.0.0.7~a.default~default.svc.cluster.local"
MEGABYTE = 1 << 20


def request(node_id: str = GOOD_ID, **metadata: Any) -> bytes:
    message = discovery_pb2.DiscoveryRequest(type_url=CLUSTER)
    message.node.id = node_id
    message.node.metadata.update(metadata)
    return bytes(message.SerializeToString())


@asynccontextmanager
async def stream(serving: Serving) -> AsyncIterator[Any]:
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{serving.grpc}", options=options) as channel:
        yield channel.stream_stream(STREAM)()


async def ask(serving: Serving, data: bytes) -> tuple[str, str]:
    """Send one request; return OK and the names of the clusters, or the code and words of the refusal."""
    async with asyncio.timeout(DEADLINE), stream(serving) as call:
        try:
            await call.write(data)
            answer = await call.read()
            if answer is not grpc.aio.EOF:
                response = discovery_pb2.DiscoveryResponse.FromString(answer)
                return "OK", " ".join(
                    resource.value.decode(errors="replace") for resource in response.resources
                )
        except grpc.RpcError:
            pass
        return (await call.code()).name, await call.details()


async def assert_served(serving: Serving) -> None:
    code, clusters = await ask(serving, request())
    assert code == "OK"
    assert "good.default.svc.cluster.local" in clusters


@pytest.mark.parametrize(
    ("node_id", "said"),
    [
        ("", 'node id "" has 1 part(s)'),
        ("envoy-1", "four are needed, as in sidecar~10.0.0.7~reviews-v1.default~default.svc.cluster.local"),
        ("ztunnel~10.0.0.7~a.b~c", 'the first part, "ztunnel", is not a type of proxy'),
        ("sidecar~~a.b~c", "is not an IP address; write the address"),
        ("sidecar~999.1.1.1~a.b~c", 'the second part, "999.1.1.1", is not an IP address'),
        ("sidecar~10.0.0.7~a.b~c~d", "has 5 part(s)"),
    ],
)
async def test_nodes_that_name_no_proxy(serving: Serving, node_id: str, said: str) -> None:
    code, details = await ask(serving, request(node_id))
    assert code == "INVALID_ARGUMENT"
    assert said in details


async def test_a_refused_node_is_logged_once_however_often_it_comes(serving: Serving) -> None:
    for _ in range(5):
        await ask(serving, request("again~and~again~x"))
    assert serving.log().count("again~and~again~x") == 1
    await assert_served(serving)


@pytest.mark.parametrize(
    "metadata",
    [
        {"LABELS": 5},
        {"LABELS": {"a": {"b": None}}},
        {"NAMESPACE": ["x"]},
        {"NETWORK": {}},
        {"PROXY_CONFIG": 5},
    ],
)
async def test_metadata_of_wrong_types_are_as_if_not_there_or_refused(
    serving: Serving, metadata: dict[str, Any]
) -> None:
    assert (await ask(serving, request(**metadata)))[0] in ("OK", "INVALID_ARGUMENT")
    await assert_served(serving)


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"\xff" * 1000, "INVALID_ARGUMENT", "cannot decode a DiscoveryRequest"),
        (b"", "INVALID_ARGUMENT", "must have a node"),
        (request(LABELS={"x": "y" * 2 * MEGABYTE}), "INVALID_ARGUMENT", "the limit is 1048576"),
        (b"x" * 40 * MEGABYTE, "RESOURCE_EXHAUSTED", "larger than max"),
    ],
    ids=["garbage", "empty", "huge node", "huge message"],
)
async def test_requests_that_are_none(serving: Serving, data: bytes, code: str, said: str) -> None:
    before = serving.megabytes()
    refused = await ask(serving, data)
    assert refused[0] == code
    assert said in refused[1]
    assert serving.megabytes() < before + 100
    await assert_served(serving)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        random.Random(0).randbytes(65536),
        PREFACE[:10],
        PREFACE + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 1000,
    ],
    ids=["HTTP/1", "TLS", "noise", "half a preface", "frame of 16 MB"],
)
async def test_what_is_no_grpc(serving: Serving, data: bytes) -> None:
    for port in (serving.grpc, serving.admin):
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
            with suppress(ConnectionError):  # the server may have had enough before the end
                connection.sendall(data)
            await assert_served(serving)


async def test_two_thousand_connections_that_come_and_go(serving: Serving) -> None:
    async def come_and_go() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", serving.grpc)
        writer.write(PREFACE)
        writer.close()

    before = serving.megabytes()
    for _ in range(8):
        await asyncio.gather(*(come_and_go() for _ in range(250)))
    await assert_served(serving)
    assert serving.megabytes() < before + 100


async def test_clients_that_never_read_cost_one_state_each(serving: Serving, folder: Path) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{serving.grpc}") as channel:
        calls = [channel.stream_stream(STREAM)() for _ in range(30)]
        for call in calls:
            await call.write(request())
        before = serving.megabytes()
        for number in range(1, 8):
            names = [f"s{number}-{each}" for each in range(number, 101)]
            (folder / "many.yaml").write_text("---\n".join(SERVICE % name for name in names))
            until(lambda expected=101 - number + 1: serving.services() == expected)
        await assert_served(serving)
        assert serving.megabytes() < before + 150


def test_odd_things_in_the_folder_are_named_and_the_rest_is_served(serving: Serving, folder: Path) -> None:
    os.mkfifo(folder / "fifo.yaml")
    (folder / "nowhere.yaml").symlink_to("nothing")
    (folder / "self.yaml").symlink_to("self.yaml")
    (folder / "zero.yaml").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(folder / "socket.yaml"))
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff \x1b[31m.yaml")).write_text("hello")
    (folder / "bomb.yaml").write_text("a: " + "[" * 100_000)
    (folder / "fresh.yaml").write_text(SERVICE % "fresh")
    expected = {
        "fifo.yaml": "is neither a file nor a folder",
        "socket.yaml": "is neither a file nor a folder",
        "zero.yaml": "is neither a file nor a folder",
        "nowhere.yaml": "is a symbolic link to nothing",
        "self.yaml": "the link leads back to itself",
        "bomb.yaml": "nests deeper than 100 levels",
        "/\\udcff \\x1b[31m.yaml": "bytes that are not UTF-8; rename it",
    }

    def unsaid() -> list[str]:
        said = serving.diagnostics().splitlines()
        return [
            name
            for name, words in expected.items()
            if not any(name in line and words in line for line in said)
        ]

    with suppress(AssertionError):
        until(lambda: serving.services() == 2 and not unsaid())
    assert (serving.services(), unsaid()) == (2, []), serving.diagnostics()
    assert "\x1b" not in serving.log()
    shown = run("status", "--admin", f"127.0.0.1:{serving.admin}")
    assert (shown.returncode, "fifo.yaml" in shown.stdout) == (0, True)
    asyncio.run(assert_served(serving))


def test_a_folder_that_vanishes_and_comes_back(serving: Serving, folder: Path) -> None:
    away = folder.with_name("away")
    folder.rename(away)
    said = "does not exist; put it there or correct the path; what was read from it before stays in force"
    until(lambda: said in serving.diagnostics())
    asyncio.run(assert_served(serving))
    away.rename(folder)
    until(lambda: not serving.diagnostics())
    (folder / "b.yaml").write_text(SERVICE % "b")
    until(lambda: serving.services() == 2)
    asyncio.run(assert_served(serving))


async def test_a_file_that_grows_while_it_is_read(serving: Serving, folder: Path) -> None:
    with (folder / "growing.yaml").open("w") as growing:
        for number in range(20):
            growing.write(SERVICE % f"g{number}" + "---\n")
            growing.flush()
            await assert_served(serving)
    until(lambda: serving.services() == 21 and not serving.diagnostics())


def test_a_taken_port_is_named(serving: Serving) -> None:
    for option, port in (("--grpc-address", serving.grpc), ("--admin-address", serving.admin)):
        other = {
            "--grpc-address": "127.0.0.1:0",
            "--admin-address": "127.0.0.1:0",
            option: f"127.0.0.1:{port}",
        }
        ended = run("serve", "--config", serving.folder, *(word for pair in other.items() for word in pair))
        assert ended.returncode == 1
        assert (
            f"mizzen: {option} 127.0.0.1:{port}: something else listens on this port already" in ended.stderr
        )
        assert "Traceback" not in ended.stderr


def test_asking_a_port_for_its_status_that_speaks_something_else(serving: Serving) -> None:
    for port in (serving.grpc, free_port()):
        ended = run("status", "--admin", f"127.0.0.1:{port}")
        assert (ended.returncode, ended.stdout) == (1, "")
        assert f"no server answers at 127.0.0.1:{port}" in ended.stderr
        assert "is `mizzen serve` running" in ended.stderr


async def test_killed_amid_a_change_and_started_again(tmp_path: Path) -> None:
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "good.yaml").write_text(SERVICE % "good")
    for how, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0)):
        server = Serving(folder, log=tmp_path / "log")
        try:
            async with stream(server) as call:
                await call.write(request())
                await call.read()
                (folder / "more.yaml").write_text("---\n".join(SERVICE % f"s{n}" for n in range(500)))
                assert server.stop(how) == code
        finally:
            server.process.kill()
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_a_full_disk_and_a_closed_log_are_borne(tmp_path: Path) -> None:
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "good.yaml").write_text(SERVICE % "good")
    server = Serving(folder, log=Path("/dev/full"))
    try:
        await assert_served(server)
        (folder / "b.yaml").write_text(SERVICE % "b")
        until(lambda: server.services() == 2)
        lost = next(
            line
            for line in server.get("/metrics")[1].splitlines()
            if line.startswith(b"mizzen_log_lines_lost_total")
        )
        assert float(lost.split()[1]) > 0
    finally:
        assert server.stop() == 0
