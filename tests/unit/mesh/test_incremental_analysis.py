"""An analysis that follows a mesh: it finds what a new one finds, and costs what changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mizzen.config import ConfigChange
from mizzen.config.diagnostics import Diagnostic
from mizzen.mesh.analysis import Analysis, analyze
from mizzen.mesh.snapshot import Mesh
from tests.unit.mesh.conftest import load
from tests.unit.mesh.test_analysis import CASES


def found(analysis: Analysis, mesh: Mesh) -> list[Diagnostic]:
    steps = analysis.steps(mesh)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            diagnostics: list[Diagnostic] = end.value
            return diagnostics


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
def test_each_finding_comes_and_goes_with_its_documents(case: str) -> None:
    code, _, _, wrong, right = CASES[case]
    mesh = Mesh.build(load(right))
    analysis = Analysis(mesh)
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


def test_a_changed_rule_costs_that_rule_however_many_there_are() -> None:
    computed = []
    for count in (3, 50):
        mesh = Mesh.build(load(shop(count)))
        analysis = Analysis(mesh)
        assert found(analysis, mesh) == []
        before = analysis.computed
        mesh, _ = mesh.updated(ConfigChange(tuple(load(virtual_service(1, 2))), ()))
        assert found(analysis, mesh) == []
        computed.append(analysis.computed - before)
    assert computed[0] == computed[1]
    assert computed[0] < 10


def test_a_mesh_that_stays_costs_nothing() -> None:
    mesh = Mesh.build(load(shop(3)))
    analysis = Analysis(mesh)
    found(analysis, mesh)
    before = analysis.computed
    found(analysis, mesh)
    assert analysis.computed == before
