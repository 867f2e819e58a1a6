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
"""

SCRIPT = r"""
import json, sys
from google.protobuf.json_format import MessageToJson
from mizzen.config.store import ConfigStore
from mizzen.config.yaml_documents import parse_documents
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translate_result import Resources
from mizzen.translator.translation import Translation

def proxy(app, address, namespace="default"):
    node = {"id": f"sidecar~{address}~{app}.{namespace}~{namespace}.svc.cluster.local", "cluster": app}
    return Proxy.from_node({**node, "metadata": {"NAMESPACE": namespace, "LABELS": {"app": app}}})

def shown(proxy):
    made = translation.resources(proxy)
    resources = Resources.decoded(made, made.diagnostics)
    return " ".join(map(MessageToJson, (*resources.listeners, *resources.routes)))

proxies = {
    "reviews": proxy("reviews", "10.0.0.1"),
    "caller": proxy("caller", "10.0.0.2"),
    "abroad": proxy("reviews", "10.0.0.3", "abroad"),
}
store, told = ConfigStore(), []
for number, text in enumerate(sys.argv[1:]):
    change = store.apply({"mesh.yaml": parse_documents(text.encode(), "mesh.yaml")})
    if number == 0:
        mesh = Mesh.build(store.configs())
        translation = Translation(mesh)
    else:
        mesh, _ = mesh.updated(change)
        translation.update(mesh)
    concerned = set(translation.concerned())
    sent = {name: shown(each) for name, each in proxies.items()}
    told.append({
        "concerned": sorted(name for name, each in proxies.items() if each in concerned),
        "errors": [str(one) for one in store.diagnostics()],
        "sent": sent,
    })
print(json.dumps(told))
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
    return folder


def versions(package: Path, *texts: str) -> list[dict[str, Any]]:
    """For each version of the mesh after the other what is told of it."""
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, "-c", SCRIPT, *texts]
    made = subprocess.run(command, env=environment, cwd=package, capture_output=True, text=True, check=False)
    assert not made.returncode, made.stderr
    told: list[dict[str, Any]] = json.loads(made.stdout)
    return told


def test_the_field_and_the_kind_take_effect_and_follow_changes(extended: Path) -> None:
    first, header, prefix, broken = versions(
        extended,
        MESH % ("reviews", "x-one"),
        MESH % ("reviews", "x-two"),
        MESH % ("renamed", "x-two"),
        MESH % ("re.named", ""),
    )
    assert first["errors"] == header["errors"] == prefix["errors"] == []
    assert '"statPrefix": "reviews"' in first["sent"]["caller"]
    assert '"key": "x-one"' in first["sent"]["reviews"]
    assert "x-one" not in first["sent"]["caller"], "its workload is not selected"

    assert '"key": "x-two"' in header["sent"]["reviews"]
    assert "reviews" in header["concerned"]
    assert "abroad" not in header["concerned"], "it reads no document of that namespace"
    assert header["sent"]["caller"] == first["sent"]["caller"]

    assert '"statPrefix": "renamed"' in prefix["sent"]["caller"]

    assert "spec.http[0].statPrefix: statPrefix has a dot" in broken["errors"][0]
    assert "spec.name: the header has no name" in broken["errors"][1]
    assert broken["concerned"] == [], "what was valid last stays in force"
    assert broken["sent"] == prefix["sent"]
