"""The YAML of docs/networks.md does what the page says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import mizzen
from mizzen.config import parse_mesh_config

PAGE = (Path(__file__).parents[3] / "docs" / "networks.md").read_text(encoding="utf-8")
NETWORKS, DOCUMENTS, NODES, DUAL_MESH, DUAL_NODE, HTTP3_MESH = re.findall(
    r"```yaml\n(.*?)```", PAGE, re.DOTALL
)


def translated(
    directory: Path, settings: str, node: Mapping[str, Any], documents: str = DOCUMENTS
) -> mizzen.Resources:
    (directory / "mesh-config.yaml").write_text(settings, encoding="utf-8")
    (directory / "mesh.yaml").write_text(documents, encoding="utf-8")
    mesh = mizzen.load(directory / "mesh.yaml", mesh_config=directory / "mesh-config.yaml")
    return mizzen.translate(mesh, mizzen.Proxy.from_node(node))


def addresses(resources: mizzen.Resources, cluster: str) -> set[str]:
    return {
        each.endpoint.address.socket_address.address
        for assignment in resources.endpoints
        if assignment.cluster_name == cluster
        for group in assignment.endpoints
        for each in group.lb_endpoints
    }


def test_the_settings_have_no_diagnostics() -> None:
    for text in (NETWORKS, DUAL_MESH, HTTP3_MESH):
        settings, found = parse_mesh_config(text, "mesh-config.yaml")
        assert settings is not None
        assert not found


def test_two_networks(tmp_path: Path) -> None:
    client, gateway = yaml.safe_load_all(NODES)
    sent = translated(tmp_path, NETWORKS, client)
    assert addresses(sent, "outbound|80||cart.internal") == {"10.1.0.9", "192.0.2.21", "192.0.2.22"}
    passed = translated(tmp_path, NETWORKS, gateway)
    assert addresses(passed, "outbound_.80_._.cart.internal") == {"10.2.0.9"}
    assert [listener.name for listener in passed.listeners] == ["0.0.0.0_15443"]


def test_dual_stack(tmp_path: Path) -> None:
    node = yaml.safe_load(DUAL_NODE)
    of_mesh = {**node, "metadata": {"INSTANCE_IPS": node["metadata"]["INSTANCE_IPS"]}}
    for settings, told in (("", node), (DUAL_MESH, of_mesh)):
        sent = translated(tmp_path, settings, told)
        (outbound,) = [each for each in sent.listeners if each.name == "virtualOutbound"]
        (other,) = outbound.additional_addresses
        assert other.address.socket_address.address == "::"
