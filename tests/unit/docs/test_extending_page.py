"""docs/extending.md is followed to the letter: a copy of the package serves the field and the kind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")

BLOCK = re.compile(r"^\*(mizzen/[\w/]+\.py)\*:$|^```(python|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

MESH = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews}
spec:
  hosts: [reviews.example]
  ports: [{number: 9080, name: http, protocol: HTTP}]
  resolution: STATIC
  workloadSelector: {labels: {app: reviews}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews}
spec: {address: 10.0.0.1, labels: {app: reviews}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: caller}
spec: {address: 10.0.0.2, labels: {app: caller}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews.example]
  http: [{statPrefix: %s, route: [{destination: {host: reviews.example}}]}]
---
apiVersion: example.org/v1
kind: ResponseHeader
metadata: {name: served-by}
spec: {selector: {matchLabels: {app: reviews}}, name: %s, value: mizzen}
---
apiVersion: example.org/v1
kind: Note
metadata: {name: note}
spec: {name: %s}
"""

NOTES = (
    '    Kind(GroupKind("Note", "example.org"), ("v1",), ResponseHeader, _check_response_header),\n'
    "    _istio(group_kinds.VIRTUAL_SERVICE),\n"
)
"""One more kind, which no list of kinds names: what is made of it is in the script."""

SCRIPT = r"""
import asyncio, json, sys
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from google.protobuf.json_format import MessageToJson, ParseDict
from mizzen import xds
from mizzen.config.document import GroupKind
from mizzen.config.yaml_documents import parse_documents
from mizzen.server.configuration import Configuration
from mizzen.server.control_plane import ControlPlane
from mizzen.server.metrics import Metrics
from mizzen.translator.contained import ContainedTranslation
from mizzen.translator.translate_result import Resources
from mizzen.translator.translation import Translation

NOTE = GroupKind("Note", "example.org")
made_for = Translation._made_for

def with_notes(translation, proxy):
    snapshot, diagnostics = made_for(translation, proxy)
    found = [one for kind in xds.type_urls.PUSH_ORDER for one in snapshot.collection(kind).resources.values()]
    notes = [cluster_pb2.Cluster(name=one.spec.name) for one in translation._recorded.configs(NOTE)]
    return xds.Snapshot.of([*found, *map(xds.Resource.of, notes)]), diagnostics

Translation._made_for = with_notes

def node(app, address, namespace="default"):
    node = {"id": f"sidecar~{address}~{app}.{namespace}~{namespace}.svc.cluster.local", "cluster": app}
    return ParseDict({**node, "metadata": {"NAMESPACE": namespace, "LABELS": {"app": app}}}, base_pb2.Node())

def shown(snapshot):
    made = {kind: snapshot.collection(kind).resources for kind in xds.type_urls.PUSH_ORDER}
    resources = Resources.decoded(made, ())
    return " ".join(map(MessageToJson, (*resources.clusters, *resources.listeners, *resources.routes)))

class Sidecars(dict):
    set_snapshot = dict.__setitem__

class Unheeded:
    def handed(self, group, changes): ...
    def done(self): ...

async def main():
    plane = ControlPlane(Configuration(), ContainedTranslation, Metrics("test"), lambda *_: Unheeded())
    pushed = Sidecars()
    plane.serve_through(pushed)
    proxies, told = {}, []
    for text in sys.argv[1:]:
        pushed.clear()
        await plane.take({"mesh.yaml": parse_documents(text.encode(), "mesh.yaml")})
        if not proxies:
            for name, each in {
                "reviews": node("reviews", "10.0.0.1"),
                "caller": node("caller", "10.0.0.2"),
                "abroad": node("reviews", "10.0.0.3", "abroad"),
            }.items():
                key = proxies[name] = plane.group_of(each, xds.Peer())
                await plane.first_snapshot(key, each)
        told.append({
            "pushed": sorted(name for name, key in proxies.items() if key in pushed),
            "errors": [str(one) for one in plane.view.diagnostics],
            "sent": {name: shown(plane._live[key].snapshot) for name, key in proxies.items()},
        })
    plane.close()
    print(json.dumps(told))

asyncio.run(main())
"""


def steps(page: str) -> Iterator[tuple[str, str, str]]:
    """The file, the form and the text of each block, in the order of the page."""
    file = ""
    for found in BLOCK.finditer(page):
        file = found[1] or file
        if found[2]:
            yield file, found[2], found[3]


def changed(text: str, diff: str) -> str:
    """What a diff without line numbers makes of a file, in which its place is found by its text."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(before) == 1, f"stands {text.count(before)} times in the file:\n{before}"
    return text.replace(before, after)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package, to which was done what the page says."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "mizzen", folder / "mizzen", ignore=shutil.ignore_patterns("__pycache__"))
    for file, form, text in steps(PAGE):
        path = folder / file
        path.write_text(text if form == "python" else changed(path.read_text(), text))
    kinds = folder / "mizzen/config/kinds.py"
    first = "    _istio(group_kinds.VIRTUAL_SERVICE),\n"
    kinds.write_text(kinds.read_text().replace(first, NOTES))
    return folder


def versions(package: Path, *texts: str) -> list[dict[str, Any]]:
    """For each version of the mesh after the other what is told of it."""
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, "-c", SCRIPT, *texts]
    made = subprocess.run(command, env=environment, cwd=package, capture_output=True, text=True, check=False)
    assert not made.returncode, made.stderr
    told: list[dict[str, Any]] = json.loads(made.stdout.splitlines()[-1])  # the log comes before
    return told


def test_the_field_and_the_kind_take_effect_and_follow_changes(extended: Path) -> None:
    first, header, prefix, note, broken = versions(
        extended,
        MESH % ("reviews", "x-one", "this"),
        MESH % ("reviews", "x-two", "this"),
        MESH % ("renamed", "x-two", "this"),
        MESH % ("renamed", "x-two", "that"),
        MESH % ("re.named", "", "that"),
    )
    assert first["errors"] == header["errors"] == prefix["errors"] == note["errors"] == []
    assert '"statPrefix": "reviews"' in first["sent"]["caller"]
    assert '"key": "x-one"' in first["sent"]["reviews"]
    assert "x-one" not in first["sent"]["caller"], "its workload is not selected"

    assert '"key": "x-two"' in header["sent"]["reviews"]
    assert header["pushed"] == ["reviews"], "no other reads a document that changed"
    assert header["sent"]["caller"] == first["sent"]["caller"]

    assert '"statPrefix": "renamed"' in prefix["sent"]["caller"]

    assert note["pushed"] == ["abroad", "caller", "reviews"]
    assert '"name": "that"' in note["sent"]["caller"]

    assert "spec.http[0].statPrefix: statPrefix has a dot" in broken["errors"][0]
    assert "spec.name: the header has no name" in broken["errors"][1]
    assert broken["pushed"] == [], "what was valid last stays in force"
    assert broken["sent"] == note["sent"]
