"""What a server needs before it lets proxies in, and what it takes from its state directory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mizzen.server.address import Address
from mizzen.server.faults import Faults
from mizzen.server.metrics import Metrics
from mizzen.server.options import TlsFiles
from mizzen.server.process import Process, StartError
from tests.self_signed import certificate_and_key
from tests.unit.server.running_process import SERVICE, options, served


def broken(folder: Path) -> None:
    (folder / "a.yaml").write_text(SERVICE % ("a", "many"))


def half_written(folder: Path) -> None:
    (folder / "a.yaml").write_text("kind: [\n")


def begun(folder: Path) -> None:
    (folder / "b.yaml").write_text(SERVICE % ("b", 80))
    (folder / "a.yaml").write_text("")


def only_comments(folder: Path) -> None:
    (folder / "a.yaml").write_text("# soon\n")


def empty(folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        (broken, "a.yaml:4: spec.ports[0].port: "),
        (half_written, "a.yaml:"),
        (begun, "a.yaml: is empty, as if it were still being written"),
        (only_comments, "mesh: no document is there"),
        (empty, "mesh: has no files"),
    ],
)
async def test_nobody_is_let_in_before_all_is_valid(
    tmp_path: Path, breaks: Callable[[Path], None], reason: str
) -> None:
    folder = tmp_path / "mesh"
    folder.mkdir()
    breaks(folder)
    with capture_logs() as lines:
        async with served(options(folder), wait=False) as running:
            await running.until(lambda: bool(running.process.waiting_for))
            assert not running.process.ready
            answer = await running.get("/ready")
            assert (answer.status_code, answer.text.splitlines()[0]) == (503, "waiting for")
            assert reason in answer.text
            [told] = (await running.get("/status")).json()["server"]["waiting_for"]
            assert reason in told
            assert "mizzen_start_waits_for 1.0" in (await running.get("/metrics")).text
            (folder / "a.yaml").write_text(SERVICE % ("a", 80))
            await running.until(lambda: running.process.ready)
            assert (await running.get("/version")).json()["waiting_for"] == []
            assert "mizzen_start_waits_for 0.0" in (await running.get("/metrics")).text
    [said] = [line for line in lines if "no proxy is served until" in line["event"]]
    assert said["log_level"] == "error"
    assert reason in said["waiting_for"][0]


async def test_a_folder_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "mesh"
    async with served(options(folder), wait=False) as running:
        await running.until(lambda: bool(running.process.waiting_for))
        assert (await running.get("/ready")).text.splitlines()[1].startswith(f"{folder}: does not exist")
        folder.mkdir()
        (folder / "a.yaml").write_text(SERVICE % ("a", 80))
        await running.until(lambda: running.process.ready)


async def test_the_rest_is_served_at_once_if_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SERVICE % ("a", "many"))
    with capture_logs() as lines:
        async with served(options(tmp_path, start_anyway=True)) as running:
            assert (await running.get("/ready")).status_code == 200
    [said] = [line for line in lines if "started anyway" in line["event"]]
    assert said["log_level"] == "warning"
    assert len(said["not_in_force"]) == 1
    assert any(line["event"].startswith("no configuration is in force") for line in lines)


async def test_what_was_in_force_is_in_force_again_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "a.yaml").write_text(SERVICE % ("a", 80))
    (folder / "b.yaml").write_text(SERVICE % ("b", 80))
    chosen = options(folder, state=tmp_path / "state")
    async with served(chosen) as running:
        (folder / "c.yaml").write_text(SERVICE % ("c", 80))
        await running.until(lambda: running.process.control_plane.view.documents == {"Service": 3})
    (folder / "a.yaml").write_text(SERVICE % ("a", "many"))
    (folder / "b.yaml").write_text("")
    (folder / "c.yaml").write_text("kind: [")
    with capture_logs() as lines:
        async with served(chosen) as running:
            status = (await running.get("/status")).json()
            metrics = (await running.get("/metrics")).text
            (folder / "a.yaml").write_text(SERVICE % ("a", 81))
            view = running.process.control_plane
            await running.until(lambda: len(view.view.restored) == 2)
    assert status["server"]["state"] == str(tmp_path / "state")
    assert status["configuration"]["documents"] == {"Service": 3}
    told = {each["document"]: each for each in status["configuration"]["restored"]}
    assert list(told) == ["Service/default/a", "Service/default/b", "Service/default/c"]
    assert told["Service/default/a"]["origin"] == f"{folder}/a.yaml:1"
    refused = {each["document"]: each for each in status["configuration"]["refused"]}
    assert refused["Service/default/a"]["restored"] == told["Service/default/a"]["since"]
    assert "mizzen_documents_restored 3.0" in metrics
    [said] = [line for line in lines if "from the state directory" in line["event"]]
    assert said["log_level"] == "error"
    assert len(said["documents"]) == 3


async def test_a_start_without_all_that_the_state_has_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "a.yaml").write_text(SERVICE % ("a", 80))
    chosen = options(folder, state=tmp_path / "state")
    async with served(chosen):
        pass
    (folder / "a.yaml").rename(tmp_path / "a.yaml")
    for _ in range(2):  # what is waited for takes nothing from the state
        async with served(chosen, wait=False) as running:
            await running.until(lambda: bool(running.process.waiting_for))
            assert not running.process.ready
    folder.rmdir()
    async with served(chosen) as running:
        assert running.process.control_plane.view.documents == {"Service": 1}


async def test_a_state_directory_of_others_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    process = Process(options(tmp_path, state=tmp_path / "state"), Metrics("test"), Faults())
    with pytest.raises(StartError, match="others may read"):
        await process.run(asyncio.Event())


@pytest.mark.parametrize("option", ["grpc", "tls", "admin"])
async def test_a_port_that_is_taken_is_named_with_who_has_it(tmp_path: Path, option: str) -> None:
    certificate, key = certificate_and_key()
    files = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    files.certificate.write_text(certificate)
    files.key.touch(mode=0o600)
    files.key.write_text(key)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("127.0.0.1", taken.getsockname()[1])
        process = Process(
            options(tmp_path, tls=files, **{f"{option}_address": address}), Metrics("test"), Faults()
        )
        # It asks whether it is a Mizzen that has the port; this one never answers.
        with pytest.raises(StartError) as refused, capture_logs():
            await process.run(asyncio.Event())
    assert str(refused.value) == (
        f"--{option}-address {address}: something else listens on this port already"
    )
