"""An analysis that follows a mesh: it finds what a new one finds, and costs what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mizzen.config import ConfigChange
from mizzen.config.diagnostics import Diagnostic
from mizzen.config.group_kinds import VIRTUAL_SERVICE
from mizzen.mesh.analysis import Analysis, Fault, analysed_gateways, analyze, checks, references
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.snapshot import Mesh
from mizzen.persistent import ChunkedSequence
from tests.unit.mesh.analysis.test_diagnostics import CASES
from tests.unit.mesh.conftest import load


def last(analysis: Analysis, mesh: Mesh) -> ChunkedSequence[Diagnostic]:
    steps = analysis.steps(mesh)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            diagnostics: ChunkedSequence[Diagnostic] = end.value
            return diagnostics


def found(analysis: Analysis, mesh: Mesh) -> list[Diagnostic]:
    return list(last(analysis, mesh))


def one_by_one(mesh: Mesh, text: str) -> Iterator[Mesh]:
    """Yield the mesh after each document that changes on the way to what a text says."""
    wanted = {config.key: config for config in load(text)}
    for config in wanted.values():
        before = mesh.config(config.key)
        if before is None or before.spec != config.spec or before.labels != config.labels:
            mesh, _ = mesh.updated(ConfigChange((config,), ()))
            yield mesh
    for key in [config.key for config in mesh.documents() if config.key not in wanted]:
        mesh, _ = mesh.updated(ConfigChange((), (key,)))
        yield mesh


@pytest.mark.parametrize("case", CASES)
def test_each_diagnostic_comes_and_goes_with_its_documents(case: str) -> None:
    code, _, _, wrong, right = CASES[case]
    mesh = Mesh.build(load(right))
    analysis = Analysis()
    assert found(analysis, mesh) == analyze(mesh)
    codes = []
    for text in (wrong, right, wrong):
        for changed in one_by_one(mesh, text):
            mesh = changed
            assert found(analysis, mesh) == analyze(mesh)
        codes.append(code in {one.code for one in analyze(mesh)})
    assert codes[0]
    assert codes[2]


def shop(count: int) -> str:
    return "\n---".join(
        f"""
kind: ServiceEntry
metadata: {{name: s{number}}}
spec:
  hosts: [s{number}.com]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 10.0.0.1, labels: {{version: v1}}}}]
---
{virtual_service(number, 1)}
---
kind: DestinationRule
metadata: {{name: s{number}}}
spec: {{host: s{number}.com, subsets: [{{name: v1, labels: {{version: v1}}}}]}}"""
        for number in range(count)
    )


def virtual_service(number: int, timeout: int) -> str:
    route = f"route: [{{destination: {{host: s{number}.com, subset: v1}}}}]"
    return f"""kind: VirtualService
metadata: {{name: s{number}}}
spec: {{hosts: [s{number}.com], http: [{{timeout: {timeout}s, {route}}}]}}"""


CHANGES = {
    "VirtualService": virtual_service(1, 2),
    "DestinationRule": """
kind: DestinationRule
metadata: {name: s1}
spec: {host: s1.com, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v1}}]}""",
    "endpoint": """
kind: ServiceEntry
metadata: {name: s1}
spec:
  hosts: [s1.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1, weight: 2, labels: {version: v1}}]""",
    "Service": """
kind: ServiceEntry
metadata: {name: new}
spec:
  hosts: [new.com]
  addresses: [10.9.9.9]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1, labels: {version: v1}}]""",
    "WorkloadEntry": """
kind: WorkloadEntry
metadata: {name: new}
spec: {address: 10.1.1.1, labels: {app: new, istio: ingress}}""",
}

STANDING = """
kind: Gateway
metadata: {name: ingress}
spec: {selector: {istio: ingress}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
kind: DestinationRule
metadata: {name: all}
spec: {host: "*.com", trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}}
---
"""


LEADING_NOWHERE = """
kind: VirtualService
metadata: {name: nowhere}
spec: {hosts: [s1.com], gateways: [nowhere], http: [{route: [{destination: {host: nowhere.com}}]}]}
---
kind: WorkloadEntry
metadata: {name: old}
spec: {address: 10.1.1.2, labels: {app: cart, istio: ingress}}
---
kind: AuthorizationPolicy
metadata: {name: nowhere}
spec: {selector: {matchLabels: {app: crat}}}
---
kind: DestinationRule
metadata: {name: nowhere}
spec: {host: nowhere.com}
---
"""


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize(("standing", "diagnostics"), [(STANDING, 0), (STANDING + LEADING_NOWHERE, 4)])
def test_a_change_costs_what_it_touches_however_much_there_is(
    kind: str, standing: str, diagnostics: int
) -> None:
    computed = []
    for count in (3, 50):
        mesh = Mesh.build(load(standing + shop(count)))
        analysis = Analysis()
        assert len(found(analysis, mesh)) == diagnostics
        before = analysis.computed
        mesh, _ = mesh.updated(ConfigChange(tuple(load(CHANGES[kind])), ()))
        assert len(found(analysis, mesh)) == diagnostics
        computed.append(analysis.computed - before)
    assert 0 < computed[0] == computed[1] < 15


def test_diagnostics_share_what_did_not_change() -> None:
    mesh = Mesh.build(load("\n---".join(virtual_service(number, 1) for number in range(500))))
    analysis = Analysis()
    before = last(analysis, mesh)
    declared = CHANGES["Service"].replace("new.com", "s250.com").replace("number: 80", "number: 8080")
    mesh, _ = mesh.updated(ConfigChange(tuple(load(declared)), ()))
    after = last(analysis, mesh)
    assert (len(before), len(after)) == (1_000, 999)
    gone, made = before.difference(after)
    assert [one.path for one in gone] == ["spec.hosts[0]", "spec.http[0].route[0].destination.host"]
    assert [one.path for one in made] == ["spec.http[0].route[0].destination.subset"]


def entry(host: str) -> str:
    return CHANGES["Service"].replace("new.com", f'"{host}"')


WILDCARDS = {
    "a service of a destination": (virtual_service(1, 1), entry("*.com")),
    "a service under a rule's host": (
        'kind: DestinationRule\nmetadata: {name: wide}\nspec: {host: "*.com"}',
        entry("new.com"),
    ),
    "a wildcard service under a rule's host": (
        'kind: DestinationRule\nmetadata: {name: wide}\nspec: {host: "*.com"}',
        entry("*.new.com"),
    ),
    "a service over a rule's host": (
        "kind: DestinationRule\nmetadata: {name: narrow}\nspec: {host: new.com}",
        entry("*.com"),
    ),
    "a rule with the subset": (
        f"{entry('s1.com')}\n---\n{virtual_service(1, 1)}",
        "kind: DestinationRule\nmetadata: {name: wide}\n"
        'spec: {host: "*.com", subsets: [{name: v1, labels: {version: v1}}]}',
    ),
    "a service for a wildcard VirtualService": (
        "kind: VirtualService\nmetadata: {name: wide}\n"
        'spec: {hosts: ["*.com"], tcp: [{route: [{destination: {host: new.com}}]}]}',
        entry("new.com"),
    ),
}


@pytest.mark.parametrize("what", WILDCARDS)
def test_what_comes_finds_those_whom_it_covers_or_who_cover_it(what: str) -> None:
    wrong, comes = WILDCARDS[what]
    mesh = Mesh.build(load(wrong))
    analysis = Analysis()
    before = found(analysis, mesh)
    assert before == analyze(mesh)
    [config] = load(comes)
    mesh, _ = mesh.updated(ConfigChange((config,), ()))
    assert found(analysis, mesh) == analyze(mesh) != before
    mesh, _ = mesh.updated(ConfigChange((), (config.key,)))
    assert found(analysis, mesh) == before


def test_a_mesh_that_stays_costs_nothing() -> None:
    mesh = Mesh.build(load(shop(3)))
    analysis = Analysis()
    found(analysis, mesh)
    before = analysis.computed
    found(analysis, mesh)
    assert analysis.computed == before


def test_what_was_found_stands_while_a_check_fails_and_the_rest_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def rule(name: str, host: str) -> str:
        spec = f"spec: {{hosts: [{name}.com], http: [{{route: [{{destination: {{host: {host}}}}}]}}]}}"
        return f"kind: VirtualService\nmetadata: {{name: {name}}}\n{spec}"

    look, faulty = references.check_references, ["bad"]

    def failing(mesh: AnalysedMesh, rule: VirtualServiceRule, diagnostics: Diagnostics) -> None:
        if rule.config.name in faulty and "two" in str(rule.config.spec):
            raise RuntimeError("a fault")
        look(mesh, rule, diagnostics)

    def missing(mesh: Mesh) -> set[str]:
        return {one.message.split()[1] for one in found(analysis, mesh) if one.code == "IST0101"}

    monkeypatch.setattr(checks, "check_references", failing)
    mesh, analysis = (
        Mesh.build(load("\n---\n".join((rule("bad", "one.a"), rule("good", "one.b"))))),
        Analysis(),
    )
    assert missing(mesh) == {"one.a", "one.b"}
    for name, host in (("bad", "two.a"), ("good", "two.b")):
        mesh, _ = mesh.updated(ConfigChange(tuple(load(rule(name, host)))))
    assert missing(mesh) == {"one.a", "two.b"}
    assert [one.part for one in analysis.faults] == ["references of VirtualService/default/bad"]
    faulty.clear()
    assert missing(mesh) == {"two.a", "two.b"}
    assert analysis.faults == []


def test_a_check_that_raises_loses_what_it_would_say_of_that_thing_alone(
    mesh_of: Callable[..., Mesh], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An analysis from nothing, and an incremental one: both say the same, also of the fault."""
    mesh = mesh_of(shop(3) + "\n---" + LEADING_NOWHERE.split("---")[0])
    whole = analyze(mesh)
    look = references.check_references

    def failing(mesh: AnalysedMesh, rule: VirtualServiceRule, diagnostics: Diagnostics) -> None:
        look(mesh, rule, diagnostics)
        if rule.config.name == "nowhere":
            raise RuntimeError(f"quotes {rule.config.name.upper()}")

    monkeypatch.setattr(checks, "check_references", failing)
    faults: list[Fault] = []
    remaining = analyze(mesh, faults.append)
    lost = [one for one in whole if one not in remaining]
    assert "nowhere.com" in str(lost)
    assert {one.origin.document for one in lost} == {VIRTUAL_SERVICE.key("default", "nowhere")}
    [fault] = faults
    assert fault.part == "references of VirtualService/default/nowhere"
    assert fault.reason.startswith("RuntimeError in failing (test_incremental_analysis.py:")
    assert "NOWHERE" not in f"{fault}{fault.traceback}", "a message may quote a secret"
    analysis = Analysis()
    assert (found(analysis, mesh), analysis.faults) == (remaining, faults)
    with pytest.raises(RuntimeError, match="quotes NOWHERE"):
        analyze(mesh)


def test_what_checks_read_is_one_fault_for_all_of_them(
    mesh_of: Callable[..., Mesh], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(analysed_gateways, "server_hosts", failing)
    bound = (virtual_service(number, 1).replace("http:", "gateways: [ingress], http:") for number in (0, 1))
    mesh = mesh_of("\n---\n".join((shop(2), STANDING.split("---")[0], *bound)))
    faults, analysis = list[Fault](), Analysis()
    remaining = analyze(mesh, faults.append)
    assert [one.part for one in faults] == ["hosts of a Gateway's servers Gateway/default/ingress"]
    assert (found(analysis, mesh), analysis.faults) == (remaining, faults)
