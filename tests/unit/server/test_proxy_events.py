"""What is said and counted of the proxies that come and go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from mizzen import xds
from mizzen.config import Origin
from mizzen.mesh.proxy.node import Proxy
from mizzen.server import proxy_events
from mizzen.server.convergence import Convergence
from mizzen.server.faults import Faults
from mizzen.server.metrics import Metrics
from mizzen.server.proxy_events import ProxyEvents
from mizzen.server.rejected_lines import RejectedLines
from mizzen.server.status import proxy_status
from tests.unit.server.secret_listeners import listener_naming

CDS = xds.type_urls.CLUSTER
ID = "sidecar~10.0.0.7~reviews-v1.default~default.svc.cluster.local"
PROXY = Proxy.from_node({"id": ID, "metadata": {"LABELS": "x", "DNS_CAPTURE": "on"}})


proxy_of = {"group": PROXY}.get
Question = Callable[..., Any]


class Worker:
    """Stands in for the control plane: every question is answered with `lines`, or fails."""

    def __init__(self, *lines: Origin) -> None:
        self.lines: tuple[Origin, ...] | None = lines
        self.asked = 0

    def proxy_of(self, key: Hashable) -> Proxy | None:
        return PROXY if key == "group" else None

    async def ask(self, question: Question) -> tuple[Origin, ...] | None:
        self.asked += 1
        return self.lines


def events_of(metrics: Metrics, lines: RejectedLines | None = None) -> ProxyEvents:
    convergence = Convergence(lambda _: None, time.monotonic)
    return ProxyEvents(metrics, convergence, proxy_of, lines or RejectedLines(Worker(), Faults()))


async def told(events: ProxyEvents) -> None:
    """Let everything be logged that waits for its lines."""
    telling = asyncio.create_task(events.keep_telling())
    await asyncio.sleep(0)
    telling.cancel()
    await asyncio.wait([telling])


def warnings(logged: list[Any]) -> list[Any]:
    return [each for each in logged if each["log_level"] == "warning"]


def test_mistakes_in_a_node_are_said_once_and_counted_while_it_is_connected() -> None:
    metrics = Metrics("0")
    events = events_of(metrics)
    client = xds.Client(1, ID, "group")
    with capture_logs() as logged:
        events.take(xds.Connected(client))
    assert [(each["proxy"], each["warning"]) for each in warnings(logged)] == [
        ("reviews-v1.default", warning) for warning in PROXY.warnings
    ]
    assert b"mizzen_proxy_warnings 2.0" in metrics.render()

    with capture_logs() as logged:
        events.take(xds.Disconnected(client))
        assert b"mizzen_proxy_warnings 0.0" in metrics.render()
        events.take(xds.Connected(xds.Client(2, ID, "group")))
    assert warnings(logged) == []
    assert b"mizzen_proxy_warnings 2.0" in metrics.render()


def test_the_status_has_them() -> None:
    client = xds.ClientStatus(1, ID, "group", "ipv4:127.0.0.1:5", "/a/b", 0.0, "rest")
    assert proxy_status(client, PROXY, None, 0.0)["warnings"] == [*PROXY.warnings]
    assert proxy_status(client, None, None, 0.0)["warnings"] == []


def followed() -> tuple[Metrics, ProxyEvents]:
    metrics = Metrics("0")
    return metrics, events_of(metrics)


def test_who_comes_and_goes_is_counted_by_type_and_logged_with_its_address() -> None:
    metrics, events = followed()
    known = xds.Client(1, ID, "group", "ipv4:10.0.0.7:5")
    unknown = xds.Client(2, "x", "gone", "ipv4:10.0.0.8:5")

    def counts() -> tuple[float | None, ...]:
        value = metrics.registry.get_sample_value
        return (
            value("mizzen_proxies", {"type": "sidecar"}),
            value("mizzen_proxies", {"type": "unknown"}),
            value("mizzen_streams"),
        )

    with capture_logs() as logged:
        events.take(xds.Connected(known))
        events.take(xds.Connected(unknown))
        assert counts() == (1, 1, 2)
        events.take(xds.Disconnected(known))
        events.take(xds.Disconnected(unknown))
    assert counts() == (0, 0, 0)
    infos = [(each["event"], each["proxy"], each["peer"]) for each in logged if each["log_level"] == "info"]
    assert infos == [
        ("proxy connected", "reviews-v1.default", "ipv4:10.0.0.7:5"),
        ("proxy connected", "x", "ipv4:10.0.0.8:5"),
        ("proxy disconnected", "reviews-v1.default", "ipv4:10.0.0.7:5"),
        ("proxy disconnected", "x", "ipv4:10.0.0.8:5"),
    ]


def resources(count: int, file: str = "a.yaml") -> tuple[xds.Resource, ...]:
    return tuple(
        xds.Resource(CDS, f"c{number:02}", b"swordfish", origins=(Origin(file, (11, 8, 9)[number % 3]),))
        for number in range(count)
    )


async def test_a_rejection_is_counted_each_time_and_logged_once_with_its_lines() -> None:
    metrics, events = followed()
    client = xds.Client(1, ID, "group")
    with capture_logs() as logged:
        for _ in range(3):
            events.take(xds.Rejected(client, CDS, "v", "n", " no such cipher\n", resources(2), resources(9)))
        events.take(xds.Rejected(client, CDS, "v", "n", "another", (), resources(12)))
        events.take(xds.Rejected(client, xds.type_urls.LISTENER, "v", "n", "another", ()))
        events.take(xds.Acked(client, CDS, "v", "n", 0.1))
        await told(events)
    value = metrics.registry.get_sample_value
    assert value("mizzen_xds_rejected_total", {"type": "CDS"}) == 4
    assert value("mizzen_xds_rejected_total", {"type": "LDS"}) == 1
    assert value("mizzen_xds_acked_total", {"type": "CDS"}) == 1
    first, second, third = logged
    assert first == {
        "event": "a proxy rejected what it was sent",
        "log_level": "error",
        "proxy": "reviews-v1.default",
        "type": "CDS",
        "message": "no such cipher",
        "resources": ["c00", "c01"],
        "origins": ["a.yaml:8", "a.yaml:11"],
    }
    assert second["resources"] == [f"c{number:02}" for number in range(10)], "suspects, cut short"
    assert second["origins"] == ["a.yaml:8", "a.yaml:9", "a.yaml:11"]
    assert (third["type"], third["resources"]) == ("LDS", [])
    assert "swordfish" not in str(logged)


async def test_what_is_accepted_after_all_is_said_and_news_if_it_is_rejected_again() -> None:
    _, events = followed()
    client = xds.Client(1, ID, "group")
    [resource] = resources(1)
    rejected = xds.Rejected(client, CDS, "v", "n", "no such file\n", (resource,))
    recovered = xds.RejectedResource(resource, None, "no such file\n", xds.Retry(rejections=2))
    with capture_logs() as logged:
        events.take(rejected)
        events.take(replace(rejected, retried=True))
        await told(events)
        events.take(xds.Acked(client, CDS, "v", "n", 0.1, recovered))
        events.take(rejected)
        await told(events)
    first, accepted, again = logged
    assert accepted == {
        "event": "a proxy accepted what it had rejected",
        "log_level": "info",
        "proxy": "reviews-v1.default",
        "type": "CDS",
        "resource": "c00",
        "rejected": "2 times",
    }
    assert again == first


def test_who_does_not_answer_is_counted_and_said_with_what_he_waits_for() -> None:
    metrics, events = followed()
    with capture_logs() as logged:
        events.take(xds.Stuck(xds.Client(1, ID, "group"), CDS, "v", "n", 15.04, resources(1)))
    assert metrics.registry.get_sample_value("mizzen_xds_stuck_total", {"type": "CDS"}) == 1
    assert logged == [
        {
            "event": "a proxy does not answer; the server goes on without the answer",
            "log_level": "warning",
            "proxy": "reviews-v1.default",
            "type": "CDS",
            "waited": 15.0,
            "waiting_for": ["c00"],
        }
    ]


async def test_the_messages_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_events, "_MESSAGES_REMEMBERED", 2)
    _, events = followed()
    client = xds.Client(1, ID, "group")
    with capture_logs() as logged:
        for message in ("one", "two", "two", "three", "two", "one"):
            events.take(xds.Rejected(client, CDS, "v", "n", message, ()))
        await told(events)
    assert [each["message"] for each in logged] == ["one", "two", "three", "one"]


async def test_a_rejection_names_the_lines_of_what_was_not_accepted_before() -> None:
    worker = Worker(Origin("b.yaml", 3))
    lines = RejectedLines(worker, Faults())
    events = events_of(Metrics("0"), lines)
    old, new = resources(2)
    with capture_logs() as logged:
        events.take(xds.Rejected(xds.Client(1, ID, "group"), CDS, "v", "n", "no", (new,), (), (old,)))
        await told(events)
    assert [each["origins"] for each in logged] == [["b.yaml:3"]]
    held = (xds.RejectedResource(new, old, "no"), xds.RejectedResource(new, None, "no"))
    client = xds.ClientStatus(1, ID, "group", "", "/a/b", 0.0, "rest", {}, held)
    await lines.find_all([client, client])
    assert worker.asked == 2, "each refusal is looked into once"


async def test_lines_that_are_not_known_are_those_of_the_whole_resource() -> None:
    worker = Worker()
    lines = RejectedLines(worker, Faults())
    old, new = resources(2)
    whole = (Origin("a.yaml", 8),)
    assert lines.of(new, old) == whole
    await lines.find("nobody", new, old, "no")
    assert worker.asked == 0
    await lines.find("group", new, old, "no")
    assert lines.of(new, old) == whole, "nothing differs that has a line"
    worker.lines = None
    await lines.find("group", new, None, "no")
    await lines.find("group", new, None, "no")
    assert worker.asked == 3, "what is not sent any more is asked for again"


async def test_a_certificate_in_files_has_the_lines_of_what_names_it() -> None:
    secret = xds.Resource(xds.type_urls.SECRET, "file-cert:/a~/b", b"")
    naming = listener_naming("file-cert:/a~/b", origins=(Origin("gateway.yaml", 7),))
    convergence = Convergence(lambda _: None, time.monotonic)
    snapshot_of = {"group": xds.Snapshot.of([secret, naming])}.get
    events = ProxyEvents(
        Metrics("test"), convergence, proxy_of, RejectedLines(Worker(), Faults()), snapshot_of=snapshot_of
    )
    with capture_logs() as lines:
        events.take(xds.Rejected(xds.Client(1, ID, "group"), secret.type_url, "v", "n", "no file", (secret,)))
        await told(events)
    assert [line["origins"] for line in lines if "rejected" in line["event"]] == [["gateway.yaml:7"]]


async def test_who_accepted_nothing_is_told_what_others_are() -> None:
    worker = Worker(Origin("b.yaml", 3))
    lines = RejectedLines(worker, Faults())
    old, new = resources(2)
    await lines.find("group", new, old, "no")
    worker.lines = (Origin("b.yaml", 3), Origin("c.yaml", 4))
    await lines.find("group", new, None, "no")
    assert lines.of(new, None) == (Origin("b.yaml", 3),)


async def test_a_fault_while_lines_are_looked_for_is_said_and_hides_nothing() -> None:
    class Broken(Worker):
        async def ask(self, question: Question) -> tuple[Origin, ...] | None:
            raise KeyError("fault")

    faults = Faults()
    events = events_of(Metrics("0"), RejectedLines(Broken(), faults))
    with capture_logs() as logged:
        events.take(xds.Rejected(xds.Client(1, ID, "group"), CDS, "v", "n", "no", resources(1), (), (None,)))
        await told(events)
    assert [each["log_level"] for each in logged] == ["error", "error"]
    assert [each["what"] for each in faults.as_json()] == ["the lines of a rejection could not be found"]
    assert logged[1]["origins"] == ["a.yaml:11"]


async def test_what_clients_choose_is_no_label_and_fills_no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_events, "_UNTOLD", 10)
    metrics = Metrics("0")
    events = events_of(metrics)
    client = xds.Client(1, ID, "group")
    for number in range(50):
        events.take(xds.Acked(client, f"type.googleapis.com/invented.Type{number}", "v", "n", 0.0))
        events.take(xds.Rejected(client, CDS, "v", "n", f"words {number}", ()))
    text = metrics.render().decode()
    assert 'mizzen_xds_acked_total{type="other"} 50.0' in text
    assert 'mizzen_xds_rejected_total{type="CDS"} 50.0' in text
    assert "invented" not in text
    with capture_logs() as logged:
        await told(events)
    assert len(logged) == 10
