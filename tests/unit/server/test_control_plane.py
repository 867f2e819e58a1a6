"""The control plane with a stand-in for the translation: one cluster for each Service document."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from envoy.config.core.v3 import base_pb2
from structlog.testing import capture_logs

from mizzen import xds
from mizzen.config import ConfigKey, Diagnostic, Origin, ParsedFile, Severity, parse_documents
from mizzen.mesh.delta import MeshDelta
from mizzen.mesh.fault_search import Withheld
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.server import analysing, control_plane, delivery
from mizzen.server.configuration import Configuration
from mizzen.server.control_plane import ControlPlane
from mizzen.server.held_changes import HeldChanges
from mizzen.server.metrics import Metrics

CDS = xds.type_urls.CLUSTER


class StandIn:
    """Gives every proxy the services as clusters whose bytes are their names; counts what it is asked."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.profiles = 1
        self.asked = 0
        self.findings: tuple[Diagnostic, ...] = ()
        self.withheld: tuple[Withheld, ...] = ()
        self.updates: list[MeshDelta] = []
        self.failed: tuple[str, ...] = ()
        self.before: Callable[[Proxy], None] = lambda proxy: None
        self.steps: Callable[[Proxy], Iterator[None]] | None = None
        self.needed: list[str] = []
        self.known: dict[Proxy, None] = {}
        self.forgot = threading.Event()
        self._snapshot: xds.Snapshot | None = None

    def update(self, mesh: Mesh, delta: MeshDelta) -> None:
        self.mesh = mesh
        self.updates.append(delta)
        self._snapshot = None

    def knows(self, proxy: Proxy) -> bool:
        self.known[proxy] = None
        return not self.steps

    def prepare(self, proxy: Proxy) -> Iterator[None]:
        return self.steps(proxy) if self.steps else iter(())

    def concerned(self) -> Iterator[Proxy]:
        yield from tuple(self.known)

    def forget_unused(self, proxies: Iterable[Proxy]) -> Iterator[None]:
        self.needed = [proxy.id for proxy in proxies]
        yield
        self.forgot.set()

    def overcome(self) -> tuple[str, ...]:
        found, self.failed = self.failed, ()
        return found

    def translate(self, proxy: Proxy) -> tuple[xds.Snapshot, tuple[Diagnostic, ...]]:
        self.asked += 1
        self.before(proxy)
        if self._snapshot is None:
            names = [config.name for config in self.mesh.configs("Service")]
            self._snapshot = xds.Snapshot.of(xds.Resource(CDS, name, name.encode()) for name in names)
        return self._snapshot, self.findings


class Sent:
    """What the discovery server was given."""

    def __init__(self) -> None:
        self.snapshots: list[tuple[Hashable, list[str]]] = []

    def set_snapshot(self, group: Hashable, snapshot: xds.Snapshot) -> None:
        self.snapshots.append((group, sorted(snapshot.collection(CDS))))


class Followed:
    """What was said of one change."""

    def __init__(self) -> None:
        self.told: dict[Hashable, list[tuple[str, list[str]]]] = {}
        self.ended = False

    def handed(self, group: Hashable, changes: Iterable[tuple[str, Iterable[str]]]) -> None:
        self.told[group] = [(type_url, list(names)) for type_url, names in changes]

    async def answered(self, groups: Iterable[Hashable], seconds: float) -> None:
        raise AssertionError("nobody is to be waited for")

    def done(self) -> None:
        self.ended = True


class Running:
    def __init__(self) -> None:
        self.sent = Sent()
        self.followed: list[Followed] = []
        self.metrics = Metrics("test")
        self.plane = ControlPlane(Configuration(), self._translate, self.metrics, self._follow)
        self.plane.serve_through(self.sent)

    def _follow(self, seen: float, documents: Sequence[str], more: int) -> Followed:
        self.followed.append(Followed())
        return self.followed[-1]

    def _translate(self, mesh: Mesh) -> StandIn:
        self.translation = StandIn(mesh)
        return self.translation

    async def connects(self, name: str) -> Hashable:
        node = base_pb2.Node(id=f"sidecar~10.0.0.7~{name}.default~default.svc.cluster.local")
        key = self.plane.group_of(node, xds.Peer())
        await self.plane.first_snapshot(key, node)
        return key

    def value(self, metric: str) -> float:
        return self.metrics.registry.get_sample_value(metric) or 0.0


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    made = Running()
    yield made
    made.plane.close()


def service(name: str, *, port: object = 80) -> ParsedFile:
    text = f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{ports: [{{name: http, port: {port}}}]}}
"""
    return parse_documents(text.encode(), f"{name}.yaml")


async def test_a_change_reaches_every_connected_proxy_once(running: Running) -> None:
    await running.plane.begin({"a.yaml": service("a")})
    keys = [await running.connects("one"), await running.connects("two")]

    await running.plane.take({"b.yaml": service("b")})

    assert running.sent.snapshots == [(key, ["a", "b"]) for key in keys]
    [followed] = running.followed
    assert followed.told == {key: [(CDS, ["b"])] for key in keys}
    assert followed.ended


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
    b = running.plane._configuration.mesh.config(ConfigKey("Service", "default", "b"))
    assert b is not None
    mention = f"the Service at {b.origin} is odd"
    running.translation.findings = (
        Diagnostic(Severity.WARNING, "MZ0900", mention, b.origin_of("spec"), "spec", (b.origin,)),
    )
    await running.connects("one")
    asked, updates = running.translation.asked, len(running.translation.updates)
    with capture_logs() as lines:
        await running.plane.take({"all.yaml": file("# 1\n# 2\n# 3\n")})
    assert (running.translation.asked, len(running.translation.updates)) == (asked, updates)
    assert running.sent.snapshots == []
    assert str(running.plane.current_origin(b.origin)) == "all.yaml:9"
    told = "all.yaml:12: spec: the Service at all.yaml:9 is odd"
    assert list(map(str, running.plane.view.findings)) == [told]
    assert [line["event"] for line in lines] == [told]


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


async def test_a_document_that_cannot_be_translated_is_blamed(running: Running) -> None:
    key = await running.connects("one")
    blamed: list[Withheld] = []

    def withhold(_: Proxy) -> None:
        config = next(iter(running.translation.mesh.configs("Service")))
        running.translation.withheld = (Withheld(config.key, config, None, "ValueError: too large"),)
        blamed.extend(running.translation.withheld)

    running.translation.before = withhold
    with capture_logs() as lines:
        await running.plane.take({"a.yaml": service("a")})
    assert [names for _, names in running.sent.snapshots] == [["a"]], "the proxy is served"
    view = running.plane.view
    assert [str(refusal.key) for refusal in view.refused] == ["Service/default/a"]
    assert view.refused[0].diagnostics[0] in view.findings
    assert view.as_json()["refused"][0]["findings"][0]["file"] == "a.yaml"
    assert running.value("mizzen_translation_failures_total") == 1
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
    assert running.plane.fault_of(bad_key) in running.plane.mesh_remarks(bad_key)


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


async def test_who_is_not_concerned_is_not_translated_for(running: Running) -> None:
    await running.connects("one")
    running.translation.concerned = lambda: iter(())  # type: ignore[method-assign]
    asked = running.translation.asked
    await running.plane.take({"a.yaml": service("a")})
    assert running.translation.asked == asked
    assert running.sent.snapshots == []


async def test_a_node_that_is_no_proxy_is_refused_with_words_that_help(running: Running) -> None:
    with pytest.raises(xds.NodeRefused, match=r"sidecar~10\.0\.0\.7~reviews"):
        running.plane.group_of(base_pb2.Node(id="test-id"), xds.Peer())
    assert running.value("mizzen_streams_refused_total") == 1


async def test_two_proxies_of_one_id_that_differ_are_kept_apart(running: Running) -> None:
    node = base_pb2.Node(id="sidecar~10.0.0.7~a.default~default.svc.cluster.local")
    other = base_pb2.Node()
    other.CopyFrom(node)
    other.metadata.update({"LABELS": {"version": "v2"}})
    assert running.plane.group_of(node, xds.Peer()) != running.plane.group_of(other, xds.Peer())
    assert running.plane.group_of(node, xds.Peer()) == running.plane.group_of(node, xds.Peer())


async def test_a_proxy_that_has_gone_is_not_translated_for(running: Running) -> None:
    key = await running.connects("one")
    running.plane.forget(key)
    asked = running.translation.asked
    await running.plane.take({"a.yaml": service("a")})
    assert running.translation.asked == asked
    assert running.sent.snapshots == []


async def test_what_cannot_be_translated_as_written_is_told_while_there_is_such_a_proxy(
    running: Running,
) -> None:
    finding = Diagnostic(Severity.WARNING, "MZ0900", "has no effect here", Origin("a.yaml", 3))
    with capture_logs() as lines:
        running.translation.findings = (finding,)
        key = await running.connects("one")
        await running.connects("two")
        await running.plane.take({"a.yaml": service("a")})
    assert running.plane.view.findings == (finding,)
    assert running.value("mizzen_config_warnings") == 1
    assert [line["event"] for line in lines] == ["a.yaml:3: has no effect here"], "once, not for each proxy"

    running.translation.findings = ()
    await running.plane.take({"b.yaml": service("b")})
    assert running.plane.view.findings == ()
    running.plane.forget(key)


@pytest.fixture
def unheld(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve changes at once that lead calls nowhere."""
    monkeypatch.setattr(HeldChanges, "GRACE", 0.0)


def lost(name: str) -> ParsedFile:
    """A VirtualService whose destination is not there."""
    text = f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec: {{hosts: [{name}.example], http: [{{route: [{{destination: {{host: {name}-is-missing.example}}}}]}}]}}
"""
    return parse_documents(text.encode(), f"{name}.yaml")


@pytest.mark.usefixtures("unheld")
async def test_what_documents_lack_is_found_slice_by_slice(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_plane, "SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(analysing, "SLICE_SECONDS", 1e-9)  # a step is a slice
    slices: list[bool] = []
    loop = asyncio.get_running_loop()
    analyse_slice = analysing._slice

    def counted(steps: Any) -> Any:
        done = analyse_slice(steps)
        slices.append(done[0] is not None)
        if len(slices) == 2:
            # In the midst of the first analysis the mesh becomes another.
            asyncio.run_coroutine_threadsafe(running.plane.take({"b.yaml": lost("b")}), loop)
        return done

    monkeypatch.setattr(analysing, "_slice", counted)
    await running.plane.begin({"a.yaml": lost("a")})
    looking = asyncio.create_task(running.plane.keep_analysed())
    async with asyncio.timeout(60):
        while not any("b-is-missing" in finding.message for finding in running.plane.view.findings):
            await asyncio.sleep(0.01)
    looking.cancel()
    assert any("a-is-missing" in finding.message for finding in running.plane.view.findings)
    assert len(slices) > 2


async def test_a_change_that_concerns_no_resource_of_a_proxy_sends_it_nothing(running: Running) -> None:
    await running.plane.begin({"a.yaml": service("a")})
    await running.connects("one")
    snapshot = xds.Snapshot.of([xds.Resource(CDS, "a", b"a")])
    running.translation.translate = lambda proxy: (snapshot, ())  # type: ignore[method-assign]
    await running.plane.take({"b.yaml": service("b")})
    sent = len(running.sent.snapshots)
    await running.plane.take({"c.yaml": service("c")})
    assert len(running.sent.snapshots) == sent, "the same snapshot is not handed over again"
    assert running.followed[-1].told == {}
    assert running.followed[-1].ended


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
    assert [followed.told[key] for followed in running.followed] == [
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
    assert running.value("mizzen_translation_failures_total") == 1
    assert [line["event"] for line in lines if line["log_level"] == "error"] == [
        "a change could not be taken over: a fault of Mizzen, please report it"
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
    assert running.value("mizzen_translation_failures_total") == 1


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
    assert list(running.followed[-1].told) == [other]
    assert running.plane.proxy_of(key) is None
    assert running.plane.mesh_remarks(key) == ()


async def test_streams_are_served_between_the_hand_overs_of_a_large_push(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SLICE_SECONDS", 60.0)  # one slice
    for number in range(10):
        await running.connects(f"p{number}")
    seen: list[int] = []

    async def serving() -> None:
        while len(running.sent.snapshots) < 10:
            if running.sent.snapshots:
                seen.append(len(running.sent.snapshots))
            await asyncio.sleep(0)

    served = asyncio.create_task(serving())
    await running.plane.take({"a.yaml": service("a")})
    await served
    assert seen[:2] == [4, 8]


async def test_a_gateway_that_nothing_selects_is_said_when_it_comes(running: Running) -> None:
    node = base_pb2.Node(id="router~10.0.0.9~edge.default~default.svc.cluster.local")
    key = running.plane.group_of(node, xds.Peer())
    with capture_logs() as lines:
        snapshot = await running.plane.first_snapshot(key, node)
    assert isinstance(snapshot, xds.Snapshot)
    [remark] = running.plane.mesh_remarks(key)
    assert [(line["event"], line["log_level"], line["proxy"]) for line in lines] == [
        (remark, "warning", "edge.default")
    ]


async def test_who_is_refused_is_remembered_with_what_he_was_told(running: Running) -> None:
    with pytest.raises(xds.NodeRefused) as refused:
        running.plane.group_of(base_pb2.Node(id="test-id"), xds.Peer())
    assert [each["reason"] for each in running.plane.refusals.as_json()] == [str(refused.value)]


@pytest.mark.usefixtures("unheld")
async def test_a_burst_of_changes_is_analysed_once_it_has_settled(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While changes come the worker is theirs; what is found is told as a finding."""
    rests: list[float] = []
    settling = asyncio.Event()

    async def sleep(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 1:
            await running.plane.take({"b.yaml": lost("b")})  # before the first has settled
        if len(rests) == 3:
            settling.set()
            await asyncio.Event().wait()

    analysed: list[int] = []

    async def analyse(*_: object) -> tuple[list[Diagnostic], float]:
        analysed.append(len(rests))
        return [Diagnostic(Severity.WARNING, "IST0101", "lacks", Origin("a.yaml", 1))], 0.5

    monkeypatch.setattr(running.plane._analyst, "analyse", analyse)
    await running.plane.begin({"a.yaml": lost("a")})
    monkeypatch.setattr("mizzen.server.control_plane.asyncio.sleep", sleep)
    with capture_logs() as lines:
        looking = asyncio.create_task(running.plane.keep_analysed())
        async with asyncio.timeout(60):
            await settling.wait()
        looking.cancel()
    assert rests == [0.5, 0.5, 10.0], "it settles twice, and rests twenty times as long as it took"
    assert analysed == [2]
    assert "a.yaml:1: lacks" in [line["event"] for line in lines]
    assert running.value("mizzen_config_warnings") >= 1


@pytest.mark.usefixtures("unheld")
async def test_a_fault_in_the_analysis_is_logged_and_it_goes_on(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_plane, "SETTLED_SECONDS", 0.0)
    calls: list[None] = []
    again = asyncio.Event()

    async def analyse(*_: object) -> tuple[None, float]:
        calls.append(None)
        if len(calls) == 1:
            raise RuntimeError("a fault")
        again.set()
        return None, 0.0

    monkeypatch.setattr(running.plane._analyst, "analyse", analyse)
    await running.plane.begin({"a.yaml": lost("a")})
    with capture_logs() as lines:
        looking = asyncio.create_task(running.plane.keep_analysed())
        async with asyncio.timeout(60):
            while not calls:
                await asyncio.sleep(0.001)
            await running.plane.take({"b.yaml": lost("b")})
            await again.wait()
        looking.cancel()
    assert "the mesh could not be analysed: a fault of Mizzen, please report it" in [
        line["event"] for line in lines
    ]


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
    assert running.plane.is_holding
    assert running.translation.updates == [running.translation.updates[0]]
    await running.plane.take({"a.yaml": service("a")})
    assert running.plane.is_holding
    assert "Service" not in running.plane.view.documents
    while running.plane.is_holding:
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


async def test_a_fault_that_costs_nobody_anything_is_logged_and_counted(running: Running) -> None:
    await running.connects("one")
    running.translation.failed = ("where it failed",)
    with capture_logs() as lines:
        await running.plane.take({"a.yaml": service("a")})
        await running.plane.take({"b.yaml": service("b")})
    assert [line["traceback"] for line in lines if line["log_level"] == "error"] == ["where it failed"]
    assert running.value("mizzen_translation_failures_total") == 1
