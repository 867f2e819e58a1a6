"""Tests of a mesh some of whose sidecars do not capture traffic."""

from __future__ import annotations

from pathlib import Path

import pytest

import mizzen
from mizzen.explain.answer import Answer
from mizzen.explain.why import why
from mizzen.mesh_tests import (
    MeshUnderTest,
    read_mesh_tests,
)
from mizzen.sources.mesh_tests import load_mesh_tests, load_mesh_under_test

UNCAPTURED = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.2.0.1, labels: {app: shop}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: client}
spec: {address: 10.2.0.9, labels: {app: client}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: client}
spec:
  workloadSelector: {labels: {app: client}}
  egress:
  - {port: {number: 80, name: http, protocol: HTTP}, bind: 127.0.0.7, captureMode: NONE, hosts: ["./*"]}
"""
INGRESS = """\
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: shop}
spec:
  workloadSelector: {labels: {app: shop}}
  ingress:
  - {port: {number: 8080, name: http, protocol: HTTP}, defaultEndpoint: 127.0.0.1:8000}
"""
ANNOTATED = "metadata: {name: client, annotations: {sidecar.istio.io/interceptionMode: NONE}}\nspec: {address"


@pytest.mark.parametrize(
    ("head", "mesh", "listener"),
    [
        ("interceptionMode: NONE\n", UNCAPTURED, "127.0.0.7_80"),
        ("", UNCAPTURED.replace("metadata: {name: client}\nspec: {address", ANNOTATED), "127.0.0.7_80"),
        ("", UNCAPTURED, "virtualOutbound"),
    ],
)
def test_sidecars_without_captured_traffic(tmp_path: Path, head: str, mesh: str, listener: str) -> None:
    text = (
        f"{head}tests:\n- name: a\n  from: client\n  request: GET http://shop/\n  expect: {{closed: true}}\n"
    )
    (tmp_path / "t.mesh-test.yaml").write_text(text)
    (tmp_path / "m.yaml").write_text(mesh)
    [file] = load_mesh_tests([tmp_path])
    under_test, _ = load_mesh_under_test(file)
    answer = under_test.run(file.tests[0]).answer
    assert answer is not None
    assert answer.hops[0].steps[0].name == listener


def test_a_workload_whose_proxy_does_not_listen_is_called_itself(tmp_path: Path) -> None:
    call = "tests: [{name: a, from: client, request: http://shop/, expect: {destination: {host: shop}}}]"

    def told(mesh: str) -> Answer:
        (tmp_path / "m.yaml").write_text(mesh)
        under_test = MeshUnderTest(mizzen.load(tmp_path), "NONE")
        [placed] = read_mesh_tests(call.encode(), "t.mesh-test.yaml").tests
        assert under_test.run(placed).passed == ("serviceAccount" not in mesh)
        return why(placed.question, under_test.caller("client"), under_test.serving)

    assert "its proxy does not listen at 10.2.0.1:8080" in " ".join(told(UNCAPTURED).notes)
    assert [hop.side for hop in told(UNCAPTURED + INGRESS).hops] == ["client", "server"]
    # Mutual TLS is nothing that the workload itself speaks.
    refused = told(UNCAPTURED.replace("{address: 10.2.0.1,", "{address: 10.2.0.1, serviceAccount: shop,"))
    assert refused.hops[1].conclusion == "the call fails, since no listener has this address and port"
    assert "its traffic is not captured" in " ".join(refused.hops[1].steps[0].details)
