"""`mizzen plan`: folders, files, revisions of Git; what its exit code says."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from mizzen.mesh import analysis
from mizzen.mesh.analysis.checks import Check
from tests.unit.cli.conftest import Command, Ended
from tests.unit.server.running_process import options, served

MESH = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, clusterIP: 10.1.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop]
  http: [{timeout: 3s, route: [{destination: {host: shop}}]}]
"""
WORKLOAD = """\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.2.0.1, labels: {app: shop}}
"""
SLOWER = MESH.replace("timeout: 3s", "timeout: 9s")


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.email=a@example.com", "-c", "user.name=a", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_two_folders_and_two_files(mizzen: Command, tmp_path: Path) -> None:
    old, new = write(tmp_path / "old", mesh=MESH), write(tmp_path / "new", mesh=SLOWER)
    common = write(tmp_path / "common", workload=WORKLOAD)
    for before, after in ((old, new), (old / "mesh.yaml", new / "mesh.yaml")):
        ended = mizzen("plan", before, after, "--config", common)
        assert (ended.code, ended.err) == (0, "")
        assert "1 sidecar: shop-1.default" in ended.out
        assert "timeout 3s to 9s" in ended.out
        assert f"from {old}/mesh.yaml:11 to {new}/mesh.yaml:11" in ended.out
    assert mizzen("plan", old, old).out == "nothing changes for 1 proxy\n"


def test_what_breaks_ends_with_2_and_a_refused_document_with_1(mizzen: Command, tmp_path: Path) -> None:
    old = write(tmp_path / "old", mesh=MESH, workload=WORKLOAD)
    broken = mizzen(
        "plan", old, write(tmp_path / "new", mesh=MESH, workload=WORKLOAD.replace("app: shop", "app: x"))
    )
    assert broken.code == 2
    assert "! ~ destination shop.default:80: calls to it fail with 503: it has no endpoints" in broken.out
    wrong = write(tmp_path / "wrong", mesh=MESH.replace("timeout: 3s", "timeout: soon"), workload=WORKLOAD)
    refused = mizzen("plan", old, wrong)
    assert refused.code == 1
    assert refused.out == "nothing changes for 1 proxy\n"
    assert refused.err.startswith(f"error: {wrong}/mesh.yaml:11: spec.http[0].timeout: ")


def test_an_empty_folder_does_not_pass(mizzen: Command, tmp_path: Path) -> None:
    old = write(tmp_path / "old", mesh=MESH, workload=WORKLOAD)
    ended = mizzen("plan", old, write(tmp_path / "new"))
    assert ended.code == 2
    assert ended.out.startswith("no proxy is left: 1 proxy is gone, and the new version declares none")
    assert "gone: 1 sidecar: shop-1.default" in ended.out


def test_a_revision_of_git(mizzen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    mesh = write(tmp_path / "mesh", mesh=MESH, workload=WORKLOAD, gone=WORKLOAD.replace("shop-1", "other"))
    (mesh / ".hidden.yaml").write_text("nothing: [")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "one")
    write(mesh, mesh=SLOWER)
    (mesh / "gone.yaml").unlink()
    monkeypatch.chdir(tmp_path)
    ended = mizzen("plan", "--git", "HEAD", "mesh")
    assert (ended.code, ended.err) == (0, "")
    assert "gone: 1 sidecar: other.default" in ended.out
    assert "from HEAD:mesh/mesh.yaml:11 to mesh/mesh.yaml:11" in ended.out
    monkeypatch.chdir(mesh)
    inside = mizzen("plan", "--git", "HEAD", ".", "-o", "json")
    [group] = [each for each in json.loads(inside.out)["groups"] if each["changes"][0]["kind"] == "route"]
    assert group["changes"][0]["before"] == ["HEAD:mesh/mesh.yaml:11"]
    markdown = mizzen("plan", "--git", "HEAD", "mesh.yaml", "--config", "workload.yaml", "-o", "markdown").out
    assert "| `HEAD:mesh/mesh.yaml:11` | `mesh.yaml:11` |" in markdown
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "two")
    assert mizzen("plan", "--git", "HEAD", ".").out.startswith("nothing changes")
    assert "timeout 3s to 9s" in mizzen("plan", "--git", "HEAD~1", ".").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plan", "a"), "say what is compared"),
        (("plan", "nowhere", "nowhere"), "nowhere: there is no such file or folder"),
        (("plan", "--git", "HEAD", "mesh"), "not a git repository"),
        (("plan", "--git", "--output=x", "mesh"), "is no revision"),
        (("plan", "mesh", "mesh/mesh.yaml"), "give two folders or two files"),
    ],
)
def test_what_cannot_be_compared_is_said(
    mizzen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mesh", mesh=MESH)
    ended = mizzen(*arguments)
    assert (ended.code, said in ended.err) == (2, True), ended.err


def test_an_unknown_revision_is_said(mizzen: Command, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    mesh = write(tmp_path / "mesh", mesh=MESH)
    ended = mizzen("plan", "--git", "nothing", mesh)
    assert (ended.code, ended.err) == (2, "mizzen: --git: no revision nothing\n")


@pytest.fixture
def failing_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only check of `plan` raises for every service."""

    def failing(*_: object) -> None:
        raise RuntimeError("quotes a secret")

    check = Check("clients of service", lambda mesh: mesh.registry.services, failing)
    monkeypatch.setattr(analysis, "REFUSED_TLS", (check,))


def assert_not_whole(ended: Ended) -> None:
    assert ended.code == 3
    assert "timeout 3s to 9s" in ended.out
    [fault] = ended.err.splitlines()
    assert "clients of service default/shop" in fault
    assert ": RuntimeError in failing (test_plan_command.py:" in fault
    assert "secret" not in fault


@pytest.mark.usefixtures("failing_check")
def test_a_check_that_raises_is_named_once_and_the_plan_is_printed(mizzen: Command, tmp_path: Path) -> None:
    old = write(tmp_path / "old", mesh=MESH, workload=WORKLOAD)
    new = write(tmp_path / "new", mesh=SLOWER, workload=WORKLOAD)
    assert_not_whole(mizzen("plan", old, new))


@pytest.mark.usefixtures("failing_check")
async def test_compared_with_a_server_it_is_the_same(mizzen: Command, tmp_path: Path) -> None:
    old = write(tmp_path / "old", mesh=MESH, workload=WORKLOAD)
    new = write(tmp_path / "new", mesh=SLOWER, workload=WORKLOAD)
    node = tmp_path / "node.json"
    node.write_text('{"id": "sidecar~10.2.0.1~shop-1.default~default.svc.cluster.local"}')
    async with served(options(old)) as running:
        admin = running.process.about()["admin_address"]
        command = ("plan", new, "--server", "--admin", admin, "--node", node)
        assert_not_whole(await asyncio.to_thread(mizzen, *command))
        assert running.process.about()["faults"] == [], "it was not the server's"
