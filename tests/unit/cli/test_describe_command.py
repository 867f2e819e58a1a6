"""`mizzen describe`: what its exit code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.mesh.analysis import checks
from tests.unit.cli.conftest import Command

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


def test_a_check_that_raises_is_named_and_the_rest_is_described(
    mizzen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("quotes a secret")

    file = tmp_path / "mesh.yaml"
    file.write_text(MESH)
    whole = mizzen("describe", "shop", "--config", file)
    assert (whole.code, whole.err) == (0, "")
    monkeypatch.setattr(checks, "check_references", failing)
    ended = mizzen("describe", "shop", "--config", file)
    assert ended.code == 3
    assert ended.out == whole.out
    [fault] = ended.err.splitlines()
    assert "references of VirtualService/default/shop: RuntimeError in failing" in fault
    assert "secret" not in fault


def test_an_empty_name_is_asked_back_without_a_server(mizzen: Command) -> None:
    ended = mizzen("describe", "")
    assert (ended.code, ended.err) == (
        2,
        "mizzen: name a service, workload or Gateway, as in: mizzen describe reviews\n",
    )
