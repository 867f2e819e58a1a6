"""The examples are in order: no diagnostic in any file, wherever the shop runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import mizzen
from mizzen.demo.loopback import LoopbackNetwork
from mizzen.demo.options import examples_directory
from mizzen.demo.topology import Topology, gateway_node, instance_yaml, sidecar_node

EXAMPLES = examples_directory()
TOPOLOGY = Topology(LoopbackNetwork("127.83.12"), gateway_port=8081)


@pytest.fixture
def demo_mesh(tmp_path: Path) -> mizzen.Mesh:
    """The mesh of the demonstration."""
    (tmp_path / "workloads.yaml").write_text(instance_yaml(TOPOLOGY), encoding="utf-8")
    return mizzen.load(EXAMPLES / "bookinfo", tmp_path)


def test_the_demonstration_has_no_diagnostics(demo_mesh: mizzen.Mesh) -> None:
    assert [str(diagnostic) for diagnostic in demo_mesh.diagnostics] == []


def test_the_compose_shop_has_no_diagnostics() -> None:
    rules = [path for path in (EXAMPLES / "bookinfo").glob("*.yaml") if path.name != "gateway.yaml"]
    places = [EXAMPLES / "compose" / name for name in ("gateway.yaml", "workloads.yaml")]
    assert [str(diagnostic) for diagnostic in mizzen.load(*rules, *places).diagnostics] == []


def test_every_sidecar_listens_on_loopback_alone(demo_mesh: mizzen.Mesh) -> None:
    nodes = [sidecar_node(workload) for workload in TOPOLOGY.workloads if workload.in_mesh]
    for node in [gateway_node(TOPOLOGY), *nodes]:
        listeners = mizzen.translate(demo_mesh, mizzen.Proxy.from_node(node)).listeners
        assert listeners
        for listener in listeners:
            assert listener.address.socket_address.address.startswith("127."), listener.name


def test_the_gateway_listens_on_the_port_that_was_free(demo_mesh: mizzen.Mesh) -> None:
    resources = mizzen.translate(demo_mesh, mizzen.Proxy.from_node(gateway_node(TOPOLOGY)))
    assert [listener.address.socket_address.port_value for listener in resources.listeners] == [8081]
