"""Invisible characters in names and messages are printed by their escapes, and read back as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from mizzen.cli.table_output import Output, print_values
from tests.unit.cli.conftest import Command

HIDDEN = "re\u200bviews\u202e\x7f\u00a0\U000e0041"
ESCAPED = r"re\u200bviews\u202e\u007f\u00a0\udb40\udc41"


@pytest.mark.parametrize("output", [Output.JSON, Output.YAML])
def test_values_are_the_same_when_read_back(output: Output, capsys: pytest.CaptureFixture[str]) -> None:
    content = {HIDDEN: [HIDDEN, "Käse", 1, {"a": 'quote " and \n line'}]}
    print_values(content, output)
    written = capsys.readouterr().out
    assert all(line.isprintable() for line in written.splitlines())
    assert (json.loads(written) if output is Output.JSON else yaml.safe_load(written)) == content
    if output is Output.JSON:
        assert f'"{ESCAPED}": [' in written
        assert "Käse" in written


def test_what_can_be_read_has_no_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    print_values({"name": "Käse 中文"}, Output.YAML)
    assert capsys.readouterr().out == "name: Käse 中文\n"


MESH = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {clusterIP: 10.1.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.2.0.1, labels: {app: shop}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop]
  http:
  - match: [{headers: {end: {exact: "a\\u200bb"}}}]
    route: [{destination: {host: shop}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: refused}
spec:
  hosts: [shop]
  http: [{route: [{destination: {host: shop, subset: "v\\u200b1"}}]}]
"""


@pytest.mark.parametrize(
    "words",
    [
        ("analyze", "FILE", "-o", "json"),
        ("describe", "shop", "--config", "FILE", "-o", "json"),
        ("why", "http://shop/", "--from", "shop-1", "--config", "FILE", "-o", "json"),
        ("plan", "OLD", "NEW", "-o", "json"),
        ("translate", "--config", "FILE", "--node", "NODE", "-o", "json"),
    ],
)
def test_every_command_escapes_in_its_json(words: tuple[str, ...], mizzen: Command, tmp_path: Path) -> None:
    paths = {name: tmp_path / name.lower() for name in ("OLD", "NEW", "NODE")}
    paths["OLD"].mkdir()
    (paths["OLD"] / "mesh.yaml").write_text(
        MESH.partition("---\napiVersion: networking.istio.io/v1\nkind: V")[0]
    )
    paths["NEW"].mkdir()
    paths["FILE"] = paths["NEW"] / "mesh.yaml"
    paths["FILE"].write_text(MESH)
    paths["NODE"].write_text("id: sidecar~10.2.0.1~shop-1.default~default.svc.cluster.local\n")
    written = mizzen(*(paths.get(word, word) for word in words)).out
    assert r"\u200b" in written
    assert "\u200b" not in written
    assert "\u200b" in json.dumps(json.loads(written), ensure_ascii=False)


def test_a_diagnostic_is_printed_with_escapes(mizzen: Command, tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(MESH)
    written = mizzen("analyze", tmp_path).out
    assert r"v\u200b1" in written
    assert "\u200b" not in written


@pytest.mark.parametrize(
    "words",
    [
        ("why", "http://shop/", "--from", "shop-1", "--config", "NEW"),
        ("plan", "OLD", "NEW"),
        ("translate", "--config", "NEW", "--node", "NODE"),
        ("test", "NEW"),
        ("why", "http://shop/", "--from", "shop\u200b-1", "--config", "NEW"),
    ],
)
def test_every_command_escapes_on_standard_error(
    words: tuple[str, ...], mizzen: Command, tmp_path: Path
) -> None:
    paths = {name: tmp_path / name.lower() for name in ("OLD", "NEW", "NODE")}
    for name, text in (("OLD", ""), ("NEW", MESH)):
        paths[name].mkdir()
        (paths[name] / "mesh.yaml").write_text(text)
    (paths["NEW"] / "a.mesh-test.yaml").write_text('{"tests\\u200b": []}')
    paths["NODE"].write_text("id: sidecar~10.2.0.1~shop-1.default~default.svc.cluster.local\n")
    told = mizzen(*(paths.get(word, word) for word in words)).err
    assert r"\u200b" in told
    assert "\u200b" not in told
