"""What commands say of files is what a server with an authority does; `--no-certificates` is one without."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.testing import SimulatedMesh
from tests.unit.cli.conftest import Command

MESH = """
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default}
spec: {selector: {app: shop}, clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1, namespace: default}
spec: {address: 10.0.0.1, labels: {app: shop}, serviceAccount: shop}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: till, namespace: default}
spec: {address: 10.0.0.2, labels: {app: till}, serviceAccount: till}
"""
STRICT = """---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: default}
spec: {mtls: {mode: STRICT}}
"""
NODE = "id: sidecar~10.0.0.2~till.default~default.svc.cluster.local\nmetadata: {LABELS: {app: till}}\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for folder, text in (("mesh", MESH + STRICT), ("before", MESH)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mesh.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "node.yaml").write_text(NODE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("clusters till --fqdn shop --config {mesh}", "mutual TLS"),
        ("listeners shop-1 --direction inbound --config {before}", "mutual TLS"),
        ("why GET http://shop/ --from till --config {mesh}", "speaks mutual TLS"),
        ("translate --node {node} --config {mesh} --type clusters", '"name": "tlsMode-istio"'),
    ],
    ids=["clusters", "listeners", "why", "translate"],
)
def test_mutual_tls_is_shown(files: Path, mizzen: Command, command: str, words: str) -> None:
    served, alone = both(files, mizzen, command)
    assert words in served
    assert words not in alone


@pytest.mark.parametrize(
    ("command", "words"),
    [("plan {before} {mesh}", "is asked for, and is not there"), ("analyze {mesh}", "MZ0220")],
    ids=["plan", "analyze"],
)
def test_no_certificate_is_missed(files: Path, mizzen: Command, command: str, words: str) -> None:
    served, alone = both(files, mizzen, command)
    assert words not in served
    assert words in alone


def both(files: Path, mizzen: Command, command: str) -> tuple[str, str]:
    """What a command prints, and what it does with --no-certificates."""
    paths = {"mesh": files / "mesh", "before": files / "before", "node": files / "node.yaml"}
    words = command.format(**paths).split()
    return mizzen(*words).out, mizzen(*words, "--no-certificates").out


CALL = """
- name: the till reaches the shop
  from: till
  request: GET http://shop/
  expect: {destination: {host: shop}}
"""


@pytest.mark.parametrize(("settings", "code"), [("", 0), ("certificatesServed: false\n", 1)])
def test_mesh_tests(files: Path, mizzen: Command, settings: str, code: int) -> None:
    (files / "mesh" / "shop.mesh-test.yaml").write_text(f"{settings}tests:{CALL}", encoding="utf-8")
    ended = mizzen("test", files / "mesh")
    assert ended.code == code, ended.out


@pytest.mark.parametrize(("served", "ending"), [(True, "arrives"), (False, "closed")])
def test_a_simulated_mesh(files: Path, served: bool, ending: str) -> None:
    mesh = SimulatedMesh(files / "mesh", certificates_served=served)
    assert mesh.request("GET http://shop/", from_="till").one.ending == ending
