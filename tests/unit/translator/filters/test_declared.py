"""Filters declare where they stand, and one more file is one more filter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import count, pairwise
from pathlib import Path

import pytest

from mizzen.translator.filters.declared import Filter, FilterDeclarationError, in_order
from mizzen.translator.filters.http import HTTP_FILTERS
from mizzen.translator.filters.http_filter import HttpFilter
from mizzen.translator.filters.network import NETWORK_FILTERS
from mizzen.translator.filters.network_filter import NetworkFilter

PACKAGE = Path(__file__).parents[4] / "mizzen"
_numbers = count()

FILTER = """
from mizzen.translator.filters.{kind}_filter import {Kind}Filter, {Kind}Step
FILTER = {Kind}Filter({name!r}, {Kind}Step.{step}, lambda context: iter(()), offset={offset})
"""

ROUTE_HEADERS = '''
"""A filter that no list names, with settings for each route."""
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.http_filter import HttpFilter, HttpStep

def headers(context):
    yield typed(hcm.HttpFilter, "headers", header_mutation_pb2.HeaderMutation())

def of_route(route):
    return header_mutation_pb2.HeaderMutationPerRoute() if route.name == "primary" else None

FILTER = HttpFilter("headers", HttpStep.FAULT, headers, offset=-1, configure_route=of_route)
'''

MESH = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec: {hosts: [a.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a.example]
  http:
  - {name: primary, match: [{uri: {prefix: /a}}], route: [{destination: {host: a.example}}]}
  - {name: rest, route: [{destination: {host: a.example}}]}
"""

SCRIPT = """
import json, sys, mizzen
mesh = mizzen.load(sys.argv[1], certificates_served=False)
proxy = mizzen.Proxy.from_node({"id": "sidecar~10.0.0.1~a.default~default.svc.cluster.local"})
sent = mizzen.translate(mesh, proxy).as_dict()
(listener,) = [each for each in sent["listeners"] if each["name"] == "0.0.0.0_80"]
manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
(host,) = [each for each in sent["routes"][0]["virtual_hosts"] if each["name"].startswith("a.example")]
print(json.dumps({
    "file": mizzen.__file__,
    "filters": [each["name"] for each in manager["http_filters"]],
    "routes": {each["name"]: list(each.get("typed_per_filter_config", ())) for each in host["routes"]},
}))
"""


def package(folder: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> tuple[str, list[str]]:
    """The name and the path of a new package with these modules."""
    name = f"filters_{next(_numbers)}_of_a_test"
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    for module, text in modules.items():
        (folder / name / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    return name, [str(folder / name)]


def http(name: str, step: str, offset: int = 0) -> str:
    return FILTER.format(kind="http", Kind="Http", name=name, step=step, offset=offset)


def test_order_is_that_of_steps_and_offsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = in_order(
        HttpFilter,
        *package(
            tmp_path,
            monkeypatch,
            a=http("last", "ROUTER"),
            b=http("after fault", "FAULT", 1),
            c=http("fault", "FAULT"),
            d=http("before fault", "FAULT", -1),
            e=http("one", "PHASE_STATS")
            + "STATS = FILTER"
            + http("two", "STATS")
            + "FILTER = (FILTER, STATS)",
        ),
    )
    assert [each.name for each in found] == ["one", "before fault", "fault", "after fault", "two", "last"]


def test_two_filters_of_a_module_with_one_position_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = http("one", "FAULT") + "OTHER = FILTER" + http("two", "FAULT") + "FILTER = (OTHER, FILTER)"
    name, path = package(tmp_path, monkeypatch, wasm=both)
    with pytest.raises(
        FilterDeclarationError, match=rf"^{name}.wasm and {name}.wasm declare filters for one"
    ):
        in_order(HttpFilter, name, path)


def test_two_filters_with_one_position_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, path = package(tmp_path, monkeypatch, one=http("one", "FAULT", 1), other=http("other", "FAULT", 1))
    with pytest.raises(FilterDeclarationError) as error:
        in_order(HttpFilter, name, path)
    assert str(error.value) == (
        f"{name}.one and {name}.other declare filters for one position: FAULT, offset 1; "
        "give one of them another step or offset"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FILTER = ()",
        "FILTER = 'fault'",
        FILTER.format(kind="network", Kind="Network", name="a", step="STATS", offset=0),
    ],
)
def test_a_module_without_a_declaration_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    name, path = package(tmp_path, monkeypatch, good=http("one", "FAULT"), lua=text)
    with pytest.raises(
        FilterDeclarationError, match=rf"^{name}\.lua declares no filter; write FILTER = HttpFilter"
    ):
        in_order(HttpFilter, name, path)


@pytest.mark.parametrize(
    ("filters", "kind", "folder"),
    [(HTTP_FILTERS, HttpFilter, "http"), (NETWORK_FILTERS, NetworkFilter, "network")],
)
def test_every_file_is_a_filter_in_its_position(
    filters: tuple[Filter[object], ...], kind: type[object], folder: str
) -> None:
    files = [
        path for path in (PACKAGE / "translator/filters" / folder).glob("*.py") if path.stem != "__init__"
    ]
    assert len(filters) == len(files)
    assert all(type(each) is kind for each in filters)
    assert all(one.position < next_.position for one, next_ in pairwise(filters))


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
def test_one_new_file_is_one_more_filter(tmp_path: Path, zipped: bool) -> None:
    root = tmp_path / "root"
    shutil.copytree(PACKAGE, root / "mizzen", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "mizzen/translator/filters/http/headers.py").write_text(ROUTE_HEADERS)
    if zipped:
        root = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", root))
    mesh = tmp_path / "mesh.yaml"
    mesh.write_text(MESH)
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, mesh],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not found.returncode, found.stderr
    told = json.loads(found.stdout)
    assert told["file"].startswith(str(root))
    names = [each.rpartition(".")[2] for each in told["filters"]]
    assert names == ["grpc_stats", "headers", "fault", "cors", "router"]
    assert told["routes"] == {"primary": ["headers"], "rest": []}
