"""What a control plane finds in the documents, and when it tells."""

import asyncio
from typing import Any

import pytest
from envoy.config.core.v3 import base_pb2
from structlog.testing import capture_logs

from mizzen import xds
from mizzen.config import Diagnostic, Origin, ParsedFile, Severity, parse_documents
from mizzen.mesh.analysis import analyze, checks, references
from mizzen.mesh.snapshot import Mesh
from mizzen.persistent import ChunkedSequence
from mizzen.server import analysing, control_plane
from mizzen.server.configuration import Configuration
from tests.unit.server.running_plane import Running, lost, service


async def test_what_cannot_be_translated_as_written_is_told_while_there_is_such_a_proxy(
    running: Running,
) -> None:
    diagnostic = Diagnostic(Severity.WARNING, "MZ0900", "has no effect here", Origin("a.yaml", 3))
    with capture_logs() as lines:
        running.translation.diagnostics = (diagnostic,)
        key = await running.connects("one")
        await running.connects("two")
        await running.plane.take({"a.yaml": service("a")})
    assert running.plane.view.diagnostics == (diagnostic,)
    assert running.value("mizzen_config_warnings") == 1
    assert [line["event"] for line in lines] == ["a.yaml:3: has no effect here"], "once, not for each proxy"

    running.translation.diagnostics = ()
    await running.plane.take({"b.yaml": service("b")})
    assert running.plane.view.diagnostics == ()
    running.plane.forget(key)


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
        while not any("b-is-missing" in diagnostic.message for diagnostic in running.plane.view.diagnostics):
            await asyncio.sleep(0.01)
    looking.cancel()
    assert any("a-is-missing" in diagnostic.message for diagnostic in running.plane.view.diagnostics)
    assert len(slices) > 2


async def test_a_gateway_that_nothing_selects_is_said_when_it_comes(running: Running) -> None:
    node = base_pb2.Node(id="router~10.0.0.9~edge.default~default.svc.cluster.local")
    key = running.plane.group_of(node, xds.Peer())
    with capture_logs() as lines:
        snapshot = await running.plane.first_snapshot(key, node)
    assert isinstance(snapshot, xds.Snapshot)
    [remark] = running.plane.mesh_warnings(key)
    assert [(line["event"], line["log_level"], line["proxy"]) for line in lines] == [
        (remark, "warning", "edge.default")
    ]


@pytest.mark.usefixtures("unheld")
async def test_a_burst_of_changes_is_analysed_once_it_has_settled(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While changes come the worker is theirs; what is found is told as a diagnostic."""
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

    async def analyse(mesh: Mesh, _: object) -> tuple[analysing.Analysed, float]:
        analysed.append(len(rests))
        lacks = Diagnostic(Severity.WARNING, "IST0101", "lacks", Origin("a.yaml", 1))
        return analysing.Analysed(mesh, ChunkedSequence([lacks])), 0.5

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


LONELY = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: lonely}
spec: {address: 10.0.0.9, labels: {app: nobody}}
"""


@pytest.mark.usefixtures("unheld")
async def test_every_other_mesh_is_analysed(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that no proxy is sent anything else of: an entry that nothing selects, and moved lines."""
    monkeypatch.setattr(control_plane, "SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(control_plane, "REST_AFTER_ANALYSIS", 0)
    analysed: list[Mesh] = []
    analyse = running.plane._analyst.analyse

    async def noting(mesh: Mesh, is_superseded: Any) -> Any:
        analysed.append(mesh)
        return await analyse(mesh, is_superseded)

    monkeypatch.setattr(running.plane._analyst, "analyse", noting)
    await running.plane.begin({"a.yaml": service("a")})
    looking = asyncio.create_task(running.plane.keep_analysed())
    async with asyncio.timeout(60):
        await running.plane.take({"b.yaml": parse_documents(LONELY.encode(), "b.yaml")})
        while "MZ0218" not in [one.code for one in running.plane.view.diagnostics]:
            await asyncio.sleep(0.01)
        await running.plane.take({"b.yaml": parse_documents(b"# one\n" + LONELY.encode(), "b.yaml")})
        while analysed[-1] is not running.plane._configuration.mesh:
            await asyncio.sleep(0.01)
        count = len(analysed)
        await running.plane.take({"b.yaml": parse_documents(b"# one\n" + LONELY.encode(), "b.yaml")})
        await running.plane.take({"c.yaml": service("c")})
        while analysed[-1] is not running.plane._configuration.mesh:
            await asyncio.sleep(0.01)
    looking.cancel()
    assert len(analysed) == count + 1, "a file that says the same leaves the mesh"


BOUND = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bound}
spec: {hosts: [a.example], gateways: [edge], http: [{redirect: {uri: /}}]}
"""
MALFORMED = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: never}
"""


ROUTED = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: routed}
spec: {hosts: [b.example], http: [{route: [{destination: {host: b.example}}]}]}
"""
MALFORMED_ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec: {hosts: [b.example], ports: never}
"""


@pytest.mark.usefixtures("unheld")
@pytest.mark.parametrize(
    ("naming", "path", "malformed", "error"),
    [
        (BOUND, "spec.gateways[0]", MALFORMED, "spec.servers"),
        (ROUTED, "spec.http[0].route[0].destination.host", MALFORMED_ENTRY, "spec.ports"),
    ],
    ids=["gateway", "host"],
)
async def test_what_was_refused_is_not_called_absent(
    naming: str, path: str, malformed: str, error: str, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_plane, "SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(control_plane, "REST_AFTER_ANALYSIS", 0)

    def errors() -> list[str]:
        return [one.path for one in running.plane.view.diagnostics if one.severity is Severity.ERROR]

    await running.plane.begin({"bound.yaml": parse_documents(naming.encode(), "bound.yaml")})
    looking = asyncio.create_task(running.plane.keep_analysed())
    async with asyncio.timeout(60):
        while errors() != [path]:
            await asyncio.sleep(0.01)
        await running.plane.take({"edge.yaml": parse_documents(malformed.encode(), "edge.yaml")})
        assert errors() == [error]
        await running.plane.take({"edge.yaml": None})
        assert errors() == [path]
    looking.cancel()


@pytest.mark.usefixtures("unheld")
@pytest.mark.parametrize("recurses", [False, True], ids=["raises", "recurses"])
async def test_a_check_that_fails_for_one_document_is_logged_once_and_the_rest_is_found(
    running: Running, monkeypatch: pytest.MonkeyPatch, *, recurses: bool
) -> None:
    monkeypatch.setattr(control_plane, "SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(control_plane, "REST_AFTER_ANALYSIS", 0)
    look = references.check_references

    def failing(mesh: Any, rule: Any, diagnostics: Any) -> None:
        if rule.config.name == "bad":
            if recurses:
                failing(mesh, rule, diagnostics)
            raise RuntimeError(f"secret {rule.config.name}")
        look(mesh, rule, diagnostics)

    monkeypatch.setattr(checks, "check_references", failing)
    await running.plane.begin({"a.yaml": lost("a"), "bad.yaml": lost("bad")})
    with capture_logs() as lines:
        looking = asyncio.create_task(running.plane.keep_analysed())
        async with asyncio.timeout(60):
            for name in ("b", "c"):
                await running.plane.take({f"{name}.yaml": lost(name)})
                while not any(f"{name}-is-missing" in one.message for one in running.plane.view.diagnostics):
                    await asyncio.sleep(0.01)
        looking.cancel()
    assert any("a-is-missing" in one.message for one in running.plane.view.diagnostics)
    faults = [line for line in lines if "a fault of Mizzen" in line["event"]]
    assert [line["part"] for line in faults] == ["references of VirtualService/default/bad"]
    assert "in failing" in faults[0]["traceback"]
    assert faults[0]["traceback"].endswith("RecursionError" if recurses else "RuntimeError")
    assert "secret bad" not in str(faults)
    assert running.value("mizzen_faults_total") == 1


def test_diagnostics_have_the_lines_of_now() -> None:
    configuration = Configuration()

    def written(above: str) -> ParsedFile:
        rule = "spec: {hosts: [%s], http: [{route: [{destination: {host: missing}}]}]}"
        document = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: %s}\n" + rule
        text = "\n---\n".join(document % (name, f"{name}.example") for name in ("a", "b"))
        return parse_documents((above + text).encode(), "all.yaml")

    configuration.apply({"all.yaml": written("")})
    before = analysing.Analysed(configuration.mesh, ChunkedSequence(analyze(configuration.mesh)))
    assert {one.origin.line for one in before.diagnostics} == {4, 9}
    configuration.apply({"all.yaml": written("# one\n# two\n")})
    now = before.at(configuration.mesh)
    assert {one.origin.line for one in now.diagnostics} == {6, 11}
    assert list(now.diagnostics) == analyze(configuration.mesh)
    configuration.apply({"b.yaml": service("b")})
    assert now.at(configuration.mesh).diagnostics is now.diagnostics, "nothing has moved"


async def test_what_was_found_for_a_proxy_goes_with_it(running: Running) -> None:
    diagnostic = Diagnostic(Severity.WARNING, "MZ0900", "has no effect here", Origin("a.yaml", 3))
    running.translation.diagnostics = (diagnostic,)
    keys = [await running.connects(name) for name in ("one", "two")]
    running.plane.forget(keys[0])
    assert running.plane.view.diagnostics == (diagnostic,)
    running.plane.forget(keys[1])
    assert running.plane.view.diagnostics == ()
