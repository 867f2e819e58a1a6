"""What is made on demand is what a proxy is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import mizzen
from mizzen.translator.on_demand import TranslationOnDemand
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls

_CASES = sorted(path.parent for path in (Path(__file__).parents[2] / "golden").glob("*/mesh.yaml"))
_TYPES = (type_urls.CLUSTER, type_urls.ENDPOINT, type_urls.LISTENER, type_urls.ROUTE)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_each_resource_is_the_one_that_is_sent(case: Path) -> None:
    mesh_config = case / "mesh-config.yaml"
    mesh = mizzen.load(case / "mesh.yaml", mesh_config=mesh_config if mesh_config.exists() else None)
    proxy = mizzen.Proxy.from_node(yaml.safe_load((case / "node.yaml").read_text(encoding="utf-8")))
    snapshot = Translation(mesh).snapshot(proxy)
    on_demand = TranslationOnDemand(Translation(mesh))
    listeners = snapshot.collection(type_urls.LISTENER).resources
    assert {each.name: each.value for each in on_demand.listeners(proxy)} == {
        name: each.value for name, each in listeners.items()
    }
    for type_url in _TYPES:
        sent = snapshot.collection(type_url).resources
        for name in sorted(sent, reverse=True):
            found = on_demand.resource(proxy, type_url, name)
            assert found is not None, name
            assert (found.value, found.origins) == (sent[name].value, sent[name].origins), name
        assert on_demand.resource(proxy, type_url, "outbound|80||nobody.example") is None
