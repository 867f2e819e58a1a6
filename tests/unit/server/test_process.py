"""One server in this process, from its first port to its end; what it tells, and what it never tells."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import mizzen
from mizzen import xds
from tests.unit.server.running_process import NODE_ID, SERVICE, Running, options, served


async def test_the_admin_address_tells_everything_but_the_keys(edge_folder: tuple[Path, str]) -> None:
    path, key = edge_folder
    with capture_logs() as lines:
        async with served(options(path)) as running:
            async with running.stream(xds.type_urls.LISTENER) as sent:
                assert [xds.short_name(each.type_url) for each in sent.resources] == ["LDS"]
                resources = await running.get("/debug/resources?proxy=ingress.edge")
                assert resources.json() == (await running.get(f"/debug/resources?proxy={NODE_ID}")).json()
                for answer in (resources, await running.get("/"), await running.get("/no/such/path")):
                    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
                    assert "server" not in answer.headers
                status = (await running.get("/status")).json()
                one = (await running.get("/status?proxy=ingress.edge")).json()
                none = (await running.get("/status?proxy=other")).json()
                absent = await running.get("/debug/resources?proxy=other")
                about = (await running.get("/version")).json()
            metrics = await running.get("/metrics")
            assert (await running.get("/ready")).text == "ready\n"
        assert not running.process.ready
    [secret] = [each for each in resources.json()["secrets"] if "tls_certificate" in each]
    assert secret["tls_certificate"]["private_key"] == {"inline_bytes": "[redacted]"}
    assert set(resources.json()) == {"clusters", "endpoints", "listeners", "routes", "secrets"}
    seen = f"{resources.text}{status}{one}{about}{metrics.text}{lines}"
    for line in key.splitlines()[1:-1]:
        assert line not in seen
        assert base64.b64encode(line.encode()).decode()[:40] not in seen
    [proxy] = status["proxies"]
    assert (proxy["id"], proxy["node_id"], proxy["type"]) == ("ingress.edge", NODE_ID, "router")
    assert "names" not in proxy["types"]["LDS"]
    assert one["proxies"][0]["types"]["LDS"]["names"] == []
    assert none["proxies"] == []
    assert absent.text == "no proxy 'other' is connected; connected: ingress.edge\n"
    assert status["configuration"]["paths"] == [str(path)]
    assert status["configuration"]["documents"] == {"Gateway": 1, "Secret": 1}
    assert (about["name"], about["version"], about["pid"]) == ("mizzen", mizzen.__version__, os.getpid())
    assert about["ready"] is True
    events = [line["event"] for line in lines]
    assert events[0] == "configuration read"
    assert "ready" in events
    assert events[-1] == "stopped"


async def test_a_saved_file_is_served_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(SERVICE % ("a", 80))
    async with served(options(tmp_path)) as running:
        view = running.process.control_plane
        (tmp_path / "b.yaml").write_text(SERVICE % ("b", 80))
        await running.until(lambda: view.view.documents == {"Service": 2})
        file.write_text(SERVICE % ("a", "many"))
        await running.until(lambda: bool(view.view.refused))
        status = (await running.get("/status")).json()
    assert status["configuration"]["documents"] == {"Service": 2}
    [refused] = status["configuration"]["refused"]
    assert (refused["document"], refused["in_force"]) == ("Service/default/a", f"{file}:1")


async def test_a_lasting_task_that_fails_begins_again_and_is_seen_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(SERVICE % ("a", 80))
    monkeypatch.setattr("mizzen.server.faults.AGAIN_SECONDS", 0.0)
    begun: list[str] = []

    def failing(name: str, lasting: Any) -> Any:
        async def first_failing(*arguments: Any) -> None:
            begun.append(name)
            if begun.count(name) == 1:
                raise RuntimeError("a fault")
            await lasting(*arguments)

        return first_failing

    with capture_logs() as lines:
        running = Running(options(tmp_path))
        process = running.process
        for part, name in (
            (process, "_watch"),
            (process.control_plane, "keep_analysed"),
            (process.control_plane, "keep_forgetting"),
            (process._key_sets, "run"),
            (process._events, "keep_telling"),
        ):
            monkeypatch.setattr(part, name, failing(name, getattr(part, name)))
        task = asyncio.create_task(process.run(running.stopping))
        await running.until(lambda: process.ready and len(begun) == 10)
        status = (await running.get("/status")).json()
        metrics = (await running.get("/metrics")).text
        page = (await running.get("/")).text
        (tmp_path / "b.yaml").write_text(SERVICE % ("b", 80))
        await running.until(lambda: process.control_plane.view.documents == {"Service": 2})
        running.stopping.set()
        await asyncio.wait_for(task, 60)
    moment = process.moment
    process._faults.count("something failed")
    assert process.moment != moment, "the page is told of it"
    told = {each["what"]: each["times"] for each in status["server"]["faults"]}
    assert len(told) == 5
    assert told["watching the files failed and begins again"] == 1
    assert "mizzen_faults_total 5.0" in metrics
    for what in told:
        assert what in page
        [line] = [line for line in lines if line["event"].startswith(what)]
        assert line["exc_info"]


async def test_the_settings_are_read_again_when_they_are_saved(tmp_path: Path) -> None:
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "a.yaml").write_text(SERVICE % ("a", 80))
    settings = tmp_path / "settings.yaml"
    settings.write_text("rootNamespace: one\n")
    async with served(options(tmp_path / "mesh", mesh_config=settings)) as running:
        view = running.process.control_plane
        assert view.view.is_whole
        settings.write_text("rootNamespace: [1]\n")
        await running.until(lambda: not view.view.is_whole)
        settings.write_text("rootNamespace: two\n")
        await running.until(lambda: view.view.is_whole)
