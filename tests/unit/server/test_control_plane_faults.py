"""A control plane that meets faults, wrong documents and nodes that are no proxies."""

from collections.abc import Iterator
from typing import Any

import pytest
from envoy.config.core.v3 import base_pb2
from structlog.testing import capture_logs

from mizzen import xds
from mizzen.config.group_kinds import SERVICE
from mizzen.mesh.fault_search import Withheld
from mizzen.mesh.proxy.node import Proxy
from tests.unit.server.running_plane import Running, service


async def test_an_invalid_version_leaves_the_valid_one_with_the_proxies_and_is_told(running: Running) -> None:
    await running.plane.begin({"a.yaml": service("a")})
    await running.connects("one")
    with capture_logs() as lines:
        await running.plane.take({"a.yaml": service("a", port="eighty")})
        await running.plane.take({"b.yaml": service("b")})
    assert [names for _, names in running.sent.snapshots] == [["a", "b"]]
    assert [str(refused.key) for refused in running.plane.view.refused] == ["Service/default/a"]
    assert running.value("mizzen_documents_refused") == 1
    errors = [line["event"] for line in lines if line["log_level"] == "error"]
    assert len(errors) == 1, "said once, not at every change"
    assert errors[0].startswith("a.yaml:5: ")


async def test_a_document_that_cannot_be_translated_is_blamed(running: Running) -> None:
    key = await running.connects("one")
    blamed: list[Withheld] = []

    def withhold(_: Proxy) -> None:
        config = next(iter(running.translation.mesh.configs(SERVICE)))
        running.translation.withheld = (Withheld(config.key, config, None, "ValueError: too large"),)
        blamed.extend(running.translation.withheld)

    running.translation.before = withhold
    with capture_logs() as lines:
        await running.plane.take({"a.yaml": service("a")})
    assert [names for _, names in running.sent.snapshots] == [["a"]], "the proxy is served"
    view = running.plane.view
    assert [str(refusal.key) for refusal in view.refused] == ["Service/default/a"]
    assert view.refused[0].diagnostics[0] in view.diagnostics
    assert view.as_json()["refused"][0]["diagnostics"][0]["file"] == "a.yaml"
    assert running.value("mizzen_faults_total") == 1
    assert running.value("mizzen_documents_refused") == 1
    assert sum(str(blamed[0].diagnostic) == line["event"] for line in lines) == 1
    assert running.plane.fault_of(key) == ""


async def test_a_fault_that_stays_hurts_only_its_proxy(running: Running) -> None:
    bad_key = await running.connects("bad")
    bad = running.plane.proxy_of(bad_key)
    good = await running.connects("good")

    def fail(proxy: Proxy) -> None:
        if proxy is bad:
            raise RuntimeError("a fault")

    running.translation.before = fail
    with capture_logs() as lines:
        await running.plane.take({"a.yaml": service("a")})
        await running.plane.take({"b.yaml": service("b")})
    assert running.sent.snapshots == [(good, ["a"]), (good, ["a", "b"])]
    assert not any(delta.everything for delta in running.translation.updates), "nobody starts anew"
    assert running.translation.asked == 6, "and it is tried once for each change"
    assert sum(line["log_level"] == "error" for line in lines) == 1, "which is logged once"
    assert "a fault" in running.plane.fault_of(bad_key)
    assert running.plane.fault_of(good) == ""
    assert running.plane.fault_of(bad_key) in running.plane.mesh_warnings(bad_key)


async def test_after_a_push_that_was_given_up_everybody_is_asked(running: Running) -> None:
    """Whoever was named and not served is not named again."""
    keys = [await running.connects(name) for name in ("one", "two")]

    def give_up() -> Iterator[Proxy]:
        yield from tuple(running.translation.known)[:1]
        raise RuntimeError("given up")

    concerned = running.translation.concerned
    running.translation.concerned = give_up  # type: ignore[method-assign]
    await running.plane.take({"a.yaml": service("a")})
    assert running.sent.snapshots == []
    running.translation.concerned = lambda: iter(())  # type: ignore[method-assign]
    await running.plane.take({"b.yaml": service("b")})
    assert running.sent.snapshots == [(key, ["a", "b"]) for key in keys]
    running.translation.concerned = concerned  # type: ignore[method-assign]
    await running.plane.take({"c.yaml": service("c")})
    assert len(running.sent.snapshots) == 4


async def test_a_node_that_is_no_proxy_is_refused_with_words_that_help(running: Running) -> None:
    with pytest.raises(xds.NodeRefused, match=r"sidecar~10\.0\.0\.7~reviews"):
        running.plane.group_of(base_pb2.Node(id="test-id"), xds.Peer())
    assert running.value("mizzen_streams_refused_total") == 1


async def test_a_fault_in_taking_a_change_leaves_everything_as_it_is_and_is_counted(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running.plane.begin({"a.yaml": service("a")})
    key = await running.connects("one")

    def fails(*_: Any) -> None:
        raise RuntimeError("a fault")

    with monkeypatch.context() as broken, capture_logs() as lines:
        broken.setattr(running.translation, "update", fails)
        await running.plane.take({"b.yaml": service("b")})
    assert running.sent.snapshots == []
    assert running.value("mizzen_faults_total") == 1
    assert [line["event"] for line in lines if line["log_level"] == "error"] == [
        "a change could not be applied: a fault of Mizzen, please report it"
    ]
    await running.plane.take({"c.yaml": service("c")})
    assert running.sent.snapshots == [(key, ["a", "b", "c"])]


async def test_at_the_start_a_fault_is_raised(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(running.translation, "update", fails)
    with pytest.raises(RuntimeError, match="a fault"):
        await running.plane.begin({"a.yaml": service("a")})


async def test_who_cannot_be_translated_for_at_first_is_refused_without_the_reason(running: Running) -> None:
    def fail(_: Proxy) -> None:
        raise RuntimeError("swordfish")

    running.translation.before = fail
    with capture_logs(), pytest.raises(xds.NodeRefused) as refused:
        await running.connects("one")
    assert str(refused.value) == "the control plane failed to translate for this proxy; its log says why"
    assert running.value("mizzen_faults_total") == 1


async def test_who_is_refused_is_remembered_with_what_he_was_told(running: Running) -> None:
    with pytest.raises(xds.NodeRefused) as refused:
        running.plane.group_of(base_pb2.Node(id="test-id"), xds.Peer())
    assert [each["reason"] for each in running.plane.refused_proxies.as_json()] == [str(refused.value)]


async def test_a_fault_that_costs_nobody_anything_is_logged_and_counted(running: Running) -> None:
    await running.connects("one")
    running.translation.failed = ("where it failed",)
    with capture_logs() as lines:
        await running.plane.take({"a.yaml": service("a")})
        await running.plane.take({"b.yaml": service("b")})
    assert [line["traceback"] for line in lines if line["log_level"] == "error"] == ["where it failed"]
    assert running.value("mizzen_faults_total") == 1
    assert [each["what"] for each in running.plane.faults.as_json()] == [
        "a translation failed and was repeated"
    ]
