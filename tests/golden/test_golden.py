"""Cases are folders: `mesh.yaml`, `node.yaml`, and what that node is sent in `expected/`.

`make golden` writes `expected/` anew. Every case must also be taken by a real Envoy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import mizzen
from mizzen.config.diagnostics import Severity
from mizzen.translator.filters.http import HTTP_FILTERS
from mizzen.translator.filters.network import NETWORK_FILTERS
from tests.golden.envoy_verdict import envoy_verdict

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/mesh.yaml"))


class _Dumper(yaml.SafeDumper):
    """Lists indented below their key, long strings in one line: diffs stay small."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, indentless=False)


def load(case: Path) -> tuple[mizzen.Mesh, dict[str, Any]]:
    # A case that is about mutual TLS says so by `enableAutoMtls`; the others stay short.
    mesh_config = case / "mesh-config.yaml"
    mesh = mizzen.load(
        case / "mesh.yaml",
        mesh_config=mesh_config if mesh_config.exists() else None,
        certificates_served=False,
    )
    return mesh, _read((case / "node.yaml").read_text(encoding="utf-8"))


def _read(text: str) -> Any:
    return yaml.load(text, Loader=yaml.CSafeLoader)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_proxy_is_sent_what_is_expected(case: Path, request: pytest.FixtureRequest) -> None:
    mesh, node = load(case)
    sent = mizzen.translate(mesh, mizzen.Proxy.from_node(node)).as_dict()
    named = {f"{kind}.yaml": resources for kind, resources in sent.items() if resources}
    expected = case / "expected"
    if request.config.getoption("--rewrite-golden"):
        expected.mkdir(exist_ok=True)
        for stale in expected.glob("*.yaml"):
            stale.unlink()
        for name, resources in named.items():
            text = yaml.dump(resources, Dumper=_Dumper, sort_keys=True, width=1000)
            (expected / name).write_text(text, encoding="utf-8")
    found = {path.name: path.read_text(encoding="utf-8") for path in expected.glob("*.yaml")}
    assert named.keys() == found.keys()
    for name, resources in named.items():
        assert _read(yaml.dump(resources, Dumper=yaml.CSafeDumper)) == _read(found[name]), name


def test_every_filter_is_in_some_case() -> None:
    sent = "".join(
        path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*/expected/*.yaml")
    )
    names = [each.name for each in (*HTTP_FILTERS, *NETWORK_FILTERS)]
    assert [name for name in names if f"name: {name}" not in sent] == []


@pytest.mark.envoy
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_envoy_takes_what_is_sent(case: Path, tmp_path: Path) -> None:
    mesh, node = load(case)
    resources = mizzen.translate(mesh, mizzen.Proxy.from_node(node))
    assert envoy_verdict(resources, node, tmp_path) == ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_has_no_errors(case: Path) -> None:
    mesh, node = load(case)
    resources = mizzen.translate(mesh, mizzen.Proxy.from_node(node))
    assert [str(found) for found in resources.diagnostics if found.severity is Severity.ERROR] == []
