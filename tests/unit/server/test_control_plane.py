"""What a control plane makes of changes, and of proxies that come and go."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from envoy.config.core.v3 import base_pb2
from structlog.testing import capture_logs

from mizzen import xds
from mizzen.config import Diagnostic, ParsedFile, Severity, parse_documents
from mizzen.config.group_kinds import SERVICE
from mizzen.mesh.proxy.node import Proxy
from mizzen.server import control_plane
from tests.unit.server.running_plane import CDS, Running, service


async def test_a_change_reaches_every_connected_proxy_once(running: Running) -> None:
    await running.plane.begin({"a.yaml": service("a")})
    keys = [await running.connects("one"), await running.connects("two")]

    await running.plane.take({"b.yaml": service("b")})

    assert running.sent.snapshots == [(key, ["a", "b"]) for key in keys]
    [tracked] = running.tracked
    assert tracked.told == {key: [(CDS, ["b"])] for key in keys}
    assert tracked.ended


async def test_nothing_is_translated_or_sent_when_nothing_changed(running: Running) -> None:
    await running.plane.begin({"a.yaml": service("a")})
    await running.connects("one")
    asked = running.translation.asked
    await running.plane.take({"a.yaml": service("a")})
    assert running.sent.snapshots == []
    assert running.translation.asked == asked


async def test_lines_that_moved_are_told_at_once_and_cost_no_proxy_anything(running: Running) -> None:
    def file(above: str) -> ParsedFile:
        text = "".join(
            f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n"
            f"spec: {{ports: [{{name: http, port: 80}}]}}\n---\n"
            for name in ("a", "b")
        )
        return parse_documents((above + text).encode(), "all.yaml")

    await running.plane.begin({"all.yaml": file("")})
    b = running.plane._configuration.mesh.config(SERVICE.key("default", "b"))
    assert b is not None
    mention = f"the Service at {b.origin} is odd"
    running.translation.diagnostics = (
        Diagnostic(Severity.WARNING, "MZ0900", mention, b.origin_of("spec"), "spec", (b.origin,)),
    )
    await running.connects("one")
    asked = running.translation.asked
    with capture_logs() as lines:
        await running.plane.take({"all.yaml": file("# 1\n# 2\n# 3\n")})
    assert running.translation.asked == asked
    assert running.translation.updates[-1].is_empty, "its origins are current, and it makes nothing again"
    assert running.sent.snapshots == []
    assert str(running.plane.current_origin(b.origin)) == "all.yaml:9"
    told = "all.yaml:12: spec: the Service at all.yaml:9 is odd"
    assert list(map(str, running.plane.view.diagnostics)) == [told]
    assert [line["event"] for line in lines] == [told]


async def test_the_loop_serves_streams_while_the_worker_translates(running: Running) -> None:
    loop_ran = threading.Event()
    in_time: list[bool] = []
    running.translation.before = lambda proxy: in_time.append(loop_ran.wait(60))
    waiting = asyncio.create_task(running.connects("one"))
    await asyncio.sleep(0)
    loop_ran.set()  # too late, if the translation ran on the loop
    await waiting
    assert in_time == [True]


async def test_a_large_push_is_handed_over_in_slices(running: Running) -> None:
    keys = [await running.connects(f"p{number}") for number in range(3)]
    handed_before_the_last: list[int] = []
    last = running.plane.proxy_of(keys[-1])

    def slow(proxy: Proxy) -> None:
        if proxy is last:
            handed_before_the_last.append(len(running.sent.snapshots))
        else:
            threading.Event().wait(0.02)  # longer than a slice

    running.translation.before = slow
    await running.plane.take({"a.yaml": service("a")})
    assert handed_before_the_last == [2]
    assert len(running.sent.snapshots) == 3


async def test_who_is_not_concerned_is_not_translated_for(running: Running) -> None:
    await running.connects("one")
    running.translation.concerned = lambda: iter(())  # type: ignore[method-assign]
    asked = running.translation.asked
    await running.plane.take({"a.yaml": service("a")})
    assert running.translation.asked == asked
    assert running.sent.snapshots == []


async def test_two_proxies_of_one_id_that_differ_are_kept_apart(running: Running) -> None:
    node = base_pb2.Node(id="sidecar~10.0.0.7~a.default~default.svc.cluster.local")
    other = base_pb2.Node()
    other.CopyFrom(node)
    other.metadata.update({"LABELS": {"version": "v2"}})
    assert running.plane.group_of(node, xds.Peer()) != running.plane.group_of(other, xds.Peer())
    assert running.plane.group_of(node, xds.Peer()) == running.plane.group_of(node, xds.Peer())


async def test_the_order_of_keys_makes_no_other_proxy(running: Running) -> None:
    """A message of protobuf gives its keys in a different order in each process that writes it."""
    node = {
        "id": "sidecar~10.0.0.7~a.default~default.svc.cluster.local",
        "metadata": {
            "LABELS": {"app": "a", "version": "v1"},
            "PROXY_CONFIG": {"proxyMetadata": {"A": "1", "B": "2"}, "gatewayTopology": {}},
        },
    }
    assert running.plane.group_of(node, xds.Peer()) == running.plane.group_of(reversed_keys(node), xds.Peer())


def reversed_keys(value: Any) -> Any:
    return {key: reversed_keys(value[key]) for key in reversed(value)} if isinstance(value, dict) else value


async def test_a_proxy_that_has_gone_is_not_translated_for(running: Running) -> None:
    key = await running.connects("one")
    running.plane.forget(key)
    asked = running.translation.asked
    await running.plane.take({"a.yaml": service("a")})
    assert running.translation.asked == asked
    assert running.sent.snapshots == []


async def test_a_change_that_concerns_no_resource_of_a_proxy_sends_it_nothing(running: Running) -> None:
    await running.plane.begin({"a.yaml": service("a")})
    await running.connects("one")
    snapshot = xds.Snapshot.of([xds.Resource(CDS, "a", b"a")])
    running.translation.translate = lambda proxy: (snapshot, ())  # type: ignore[method-assign]
    await running.plane.take({"b.yaml": service("b")})
    sent = len(running.sent.snapshots)
    await running.plane.take({"c.yaml": service("c")})
    assert len(running.sent.snapshots) == sent, "the same snapshot is not handed over again"
    assert running.tracked[-1].told == {}
    assert running.tracked[-1].ended


async def test_every_type_that_changes_is_followed_and_removals_alone_are_not(running: Running) -> None:
    eds = xds.type_urls.ENDPOINT
    states = [
        [(CDS, "a", b"1"), (eds, "a", b"1"), (eds, "b", b"1")],
        [(CDS, "a", b"1"), (eds, "a", b"2"), (eds, "b", b"1")],
        [(CDS, "a", b"2"), (eds, "a", b"3"), (eds, "b", b"1")],
        [(CDS, "a", b"2"), (eds, "a", b"3")],
    ]
    snapshot = xds.Snapshot()

    def translate(_: Proxy) -> tuple[xds.Snapshot, tuple[Diagnostic, ...]]:
        return snapshot, ()

    running.translation.translate = translate  # type: ignore[method-assign]
    for number, state in enumerate(states):
        wanted = [xds.Resource(*each) for each in state]
        there = {(each.type_url, each.name) for each in wanted}
        gone = [(each.type_url, each.name) for each in snapshot if (each.type_url, each.name) not in there]
        snapshot, _ = snapshot.updated(wanted, gone)
        if number == 0:
            key = await running.connects("one")
        else:
            await running.plane.take({f"{number}.yaml": service(f"s{number}")})
    assert [tracked.told[key] for tracked in running.tracked] == [
        [(eds, ["a"])],
        [(CDS, ["a"]), (eds, ["a"])],
        [],
    ]
    assert len(running.sent.snapshots) == 3, "a removal is handed over too"


async def test_kinds_of_proxies_are_counted_when_a_proxy_comes(running: Running) -> None:
    await running.connects("one")
    running.translation.profiles = 2
    await running.connects("two")
    assert running.value("mizzen_proxy_profiles") == 2


async def test_a_change_is_measured_from_when_it_was_seen(running: Running) -> None:
    now = [100.0]
    running.plane._clock = lambda: now[0]

    def translating(_: Proxy) -> None:
        now[0] = 103.0

    await running.connects("one")
    running.translation.before = translating
    await running.plane.take({"a.yaml": service("a")}, seen=98.0)
    assert running.value("mizzen_push_seconds_sum") == 5.0
    assert running.value("mizzen_translation_seconds_sum") == 3.0
    assert running.value("mizzen_config_changes_total") == 1
    await running.plane.take({"a.yaml": service("a")})
    assert running.value("mizzen_config_changes_total") == 1, "nothing changed"
    await running.plane.take({"b.yaml": service("b")})
    assert running.value("mizzen_push_seconds_sum") == 5.0, "seen now"
    assert running.value("mizzen_proxy_profiles") == 1


async def test_who_goes_while_his_translation_is_made_is_handed_nothing(running: Running) -> None:
    key = await running.connects("one")
    other = await running.connects("two")
    first = running.plane.proxy_of(key)

    def goes(proxy: Proxy) -> None:
        if proxy is first:
            running.plane.forget(key)

    running.translation.before = goes
    await running.plane.take({"a.yaml": service("a")})
    assert running.sent.snapshots == [(other, ["a"])]
    assert list(running.tracked[-1].told) == [other]
    assert running.plane.proxy_of(key) is None
    assert running.plane.mesh_warnings(key) == ()


async def test_everything_that_costs_time_is_done_by_one_thread_in_turn(running: Running) -> None:
    """Nothing in the configuration, the mesh or the translation has a lock."""
    threads: set[int] = set()
    busy: list[None] = []
    overlaps: list[int] = []

    def working(_: Proxy) -> None:
        threads.add(threading.get_ident())
        busy.append(None)
        overlaps.append(len(busy))
        threading.Event().wait(0.005)
        busy.pop()

    running.translation.before = working
    await asyncio.gather(*(running.connects(f"p{number}") for number in range(8)))
    assert overlaps == [1] * 8
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


async def test_a_change_that_breaks_calls_waits_and_nothing_is_told_of_it_before(running: Running) -> None:
    text = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1}]
"""
    whole = parse_documents(text.encode(), "web.yaml")
    empty = parse_documents(text.replace("[{address: 10.0.0.1}]", "[]").encode(), "web.yaml")
    await running.plane.begin({"web.yaml": whole})
    await running.plane.take({"web.yaml": empty})
    assert running.plane.is_delaying
    assert running.translation.updates == [running.translation.updates[0]]
    await running.plane.take({"a.yaml": service("a")})
    assert running.plane.is_delaying
    assert "Service" not in running.plane.view.documents
    while running.plane.is_delaying:
        await asyncio.sleep(0.01)
        await running.plane.take({})
    assert len(running.translation.updates) == 2
    assert running.plane.view.documents["Service"] == 1


async def test_a_change_does_not_wait_for_a_proxy_of_a_new_kind(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work for the new proxy is far from its end when the change has been handed over."""
    monkeypatch.setattr(control_plane, "SLICE_SECONDS", 0.0)
    await running.plane.take({"a.yaml": service("a")})
    good = await running.connects("good")
    may_end = threading.Event()
    begun = threading.Event()

    def steps(proxy: Proxy) -> Iterator[None]:
        begun.set()
        while not may_end.is_set():
            yield

    running.translation.steps = steps
    coming = asyncio.create_task(running.connects("invented"))
    await asyncio.to_thread(begun.wait, 60)
    await running.plane.take({"b.yaml": service("b")})
    assert running.sent.snapshots == [(good, ["a", "b"])]
    assert not coming.done()
    may_end.set()
    await coming


async def test_the_collector_ignores_what_each_step_of_a_first_translation_made(running: Running) -> None:
    running.translation.steps = lambda proxy: iter([None] * 3)
    before = running.settled
    await running.connects("one")
    assert running.settled == before + 3


async def test_what_only_a_proxy_that_left_needed_is_forgotten(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No change of the mesh is needed for that."""
    monkeypatch.setattr(control_plane, "FORGET_SECONDS", 0.0)
    await running.connects("stays")
    left = await running.connects("leaves")
    forgetting = asyncio.create_task(running.plane.keep_forgetting())
    running.plane.forget(left)
    await asyncio.to_thread(running.translation.forgot.wait, 60)
    assert running.translation.needed == ["stays.default"]
    forgetting.cancel()
    await asyncio.gather(forgetting, return_exceptions=True)
