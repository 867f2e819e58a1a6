"""Commands that read files, where Mizzen fails to translate a document: everything else is answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mizzen.config.group_kinds import SERVICE_ENTRY, VIRTUAL_SERVICE
from mizzen.explain.tables import rows
from mizzen.mesh import fault_search
from mizzen.mesh.services import registry_edit
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.routes import action
from tests.unit.cli.conftest import Command, Ended

MESH = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, clusterIP: 10.1.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.2.0.1, labels: {app: shop}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec: {hosts: [shop], http: [{timeout: 5s, route: [{destination: {host: shop}}]}]}
"""
BAD = """\
apiVersion: v1
kind: Service
metadata: {name: bank}
spec: {selector: {app: shop}, clusterIP: 10.1.0.2, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bank}
spec: {hosts: [bank], http: [{timeout: 13s, route: [{destination: {host: bank}}]}]}
"""
NODE = "id: sidecar~10.2.0.1~shop-1.default~default.svc.cluster.local\nmetadata: {NAMESPACE: default}\n"
TESTS = """\
config: [.]
tests:
- name: shop
  from: shop-1
  request: GET http://shop/
  expect: {destination: {host: shop}}
- name: bank
  from: shop-1
  request: GET http://bank/
  expect: {destination: {host: bank}}
"""
SETTINGS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "accessLogFile: /dev/stdout"}
"""
COMMANDS = (
    ("translate", "--node", "NODE", "--config"),
    *((kind, "shop-1.default", "--config") for kind in ("routes", "clusters", "listeners", "endpoints")),
    ("why", "GET", "http://shop/", "--from", "shop-1", "--config"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a mesh; the VirtualService `bank` of bad.yaml:6 has a timeout of 13 seconds."""
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "good.yaml").write_text(MESH, encoding="utf-8")
    (folder / "bad.yaml").write_text(BAD, encoding="utf-8")
    (tmp_path / "node.yaml").write_text(NODE, encoding="utf-8")
    return folder


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the builder of routes fail for a timeout of 13 seconds."""
    encoded = action.encoded_timeout

    def raising(timeout: Any) -> bytes:
        if timeout is not None and timeout.total_seconds() == 13:
            raise ValueError("out of range")
        return encoded(timeout)

    monkeypatch.setattr(action, "encoded_timeout", raising)


def named_once(ended: Ended, folder: Path, line: int = 6) -> bool:
    """Whether standard error names the document that cannot be translated, and nothing else."""
    return (
        ended.err.count("\n") == ended.err.count("cannot be translated: ValueError: out of range") == 1
        and f"error: {folder}/bad.yaml:{line}: " in ended.err
    )


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.usefixtures("fault")
def test_a_document_that_cannot_be_translated_is_left_out(
    words: tuple[str, ...], folder: Path, mizzen: Command
) -> None:
    words = tuple(str(folder.parent / "node.yaml") if word == "NODE" else word for word in words)
    ended = mizzen(*words, folder)
    if words[0] in ("translate", "routes"):
        assert ended.code == 3
        assert named_once(ended, folder)
    without = folder.parent / "without"
    without.mkdir()
    (without / "good.yaml").write_text(MESH, encoding="utf-8")
    (without / "bad.yaml").write_text(BAD.split("---")[0], encoding="utf-8")
    expected = mizzen(*words, without)
    assert (expected.code, expected.err) == (0, "")
    assert ended.out == expected.out.replace(str(without), str(folder))


@pytest.mark.usefixtures("fault")
def test_a_question_that_meets_the_document_is_answered_without_it(folder: Path, mizzen: Command) -> None:
    ended = mizzen("why", "GET", "http://bank/", "--from", "shop-1", "--config", folder)
    assert ended.code == 3
    assert named_once(ended, folder)
    assert "bank.default" in ended.out
    assert "bad.yaml:9" not in ended.out


@pytest.mark.usefixtures("fault")
def test_mesh_tests_run_without_the_document(folder: Path, mizzen: Command) -> None:
    (folder / "shop.mesh-test.yaml").write_text(TESTS, encoding="utf-8")
    ended = mizzen("test", folder)
    assert ended.code == 3
    assert ended.err.count("cannot be translated: ValueError: out of range") == 1
    assert f"{folder}/bad.yaml:6: " in ended.err
    assert "2 tests: 2 passed, 0 failed" in ended.err


@pytest.mark.usefixtures("fault")
def test_a_plan_keeps_the_version_in_force(folder: Path, mizzen: Command) -> None:
    """As in a running server, the version before a change that cannot be translated stays."""
    old = folder.parent / "old"
    old.mkdir()
    (old / "good.yaml").write_text(MESH.replace("5s", "4s"), encoding="utf-8")
    (old / "bad.yaml").write_text(BAD.replace("13s", "6s"), encoding="utf-8")
    ended = mizzen("plan", old, folder, "-o", "json")
    assert ended.code == 3
    assert named_once(ended, folder)
    assert f"its version of {old}/bad.yaml:6 stays in force" in ended.err
    text = json.dumps(json.loads(ended.out))
    assert "timeout 4s to 5s" in text
    assert "bank" not in text


@pytest.mark.usefixtures("fault")
def test_a_plan_leaves_out_what_fails_on_both_sides(folder: Path, mizzen: Command) -> None:
    old = folder.parent / "old"
    old.mkdir()
    (old / "good.yaml").write_text(MESH.replace("5s", "4s"), encoding="utf-8")
    (old / "bad.yaml").write_text("# moved\n" + BAD, encoding="utf-8")
    node = folder.parent / "node.yaml"
    (old / "settings.yaml").write_text(SETTINGS, encoding="utf-8")  # so that everything is translated
    ended = mizzen("plan", old, folder, "--node", node)
    assert ended.code == 3
    assert named_once(ended, old, 7)
    assert "timeout 4s to 5s" in ended.out


def test_a_document_that_no_mesh_can_be_built_with_is_left_out(
    folder: Path, mizzen: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Mesh._changed
    build = Mesh.build

    def check(configs: Any) -> None:
        for config in configs:
            if config is not None and config.group_kind == VIRTUAL_SERVICE and config.name == "bank":
                raise ValueError("out of range")

    def building(configs: Any, *rest: Any, **named: Any) -> Mesh:
        check(configs := tuple(configs))
        return build(configs, *rest, **named)

    def changing(self: Mesh, changes: Any) -> Any:
        check(new for _, new in changes)
        return changed(self, changes)

    monkeypatch.setattr(Mesh, "build", building)
    monkeypatch.setattr(Mesh, "_changed", changing)
    for words in (("describe", "shop"), ("routes", "shop-1.default")):
        ended = mizzen(*words, "--config", folder)
        assert ended.code == 3
        assert named_once(ended, folder)
        assert "shop.default" in ended.out
    old = folder.parent / "old"
    old.mkdir()
    ended = mizzen("plan", old, folder)
    assert ended.code == 3
    assert named_once(ended, folder)


def test_more_faults_than_are_searched_for_are_one_line(
    folder: Path, mizzen: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(*_: Any) -> Any:
        raise RuntimeError("quotes a secret")

    monkeypatch.setattr(Mesh, "updated", raising)
    monkeypatch.setattr(fault_search, "MOST_FAULTS", 1)
    ended = mizzen("analyze", folder)
    assert ended.code == 3
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("mizzen: there is no answer: TooManyFaultsError in ")


def test_a_fault_of_no_document_is_one_line(
    folder: Path, mizzen: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(*_: Any, **__: Any) -> Any:
        raise RuntimeError("quotes a secret")

    monkeypatch.setattr(rows, "rows", raising)
    ended = mizzen("routes", "shop-1.default", "--config", folder)
    assert ended.code == 3
    assert ended.err.count("\n") == 1
    assert ended.err.startswith(
        "mizzen: there is no answer: RuntimeError in raising (test_faults_of_mizzen.py:"
    )
    assert "quotes" not in ended.err


OUTSIDE = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec: {hosts: [out.example], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: outside}
spec: {hosts: [out.example], http: [{route: [{destination: {host: out.example}}]}]}
"""


def test_a_host_is_not_unknown_because_mizzen_fails_at_its_document(
    tmp_path: Path, mizzen: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare = registry_edit.declare_services

    def raising(config: Any, settings: Any) -> Any:
        if config.key.group_kind == SERVICE_ENTRY:
            raise RuntimeError("a fault of Mizzen")
        return declare(config, settings)

    monkeypatch.setattr(registry_edit, "declare_services", raising)
    (tmp_path / "mesh.yaml").write_text(OUTSIDE)
    found = json.loads(mizzen("analyze", tmp_path, "-o", "json").out)
    assert [each["code"] for each in found] == ["MZ0105"]
