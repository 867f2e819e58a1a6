"""What is made on demand is what a proxy is sent."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import mizzen
from mizzen.config import ConfigChange, parse_documents, to_config
from mizzen.config.group_kinds import VIRTUAL_SERVICE
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.on_demand import TranslationOnDemand
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls
from mizzen.xds.snapshot import Snapshot
from tests.unit.translator.mesh_changes import CHANGES
from tests.unit.translator.standing_mesh import FOLLOWING, MESH_CONFIG, files, standing_store

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


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_after_a_change_is_what_differs_in_all_that_is_sent(change: str) -> None:
    mesh_config = MeshConfig.model_validate(MESH_CONFIG)
    store = standing_store()
    mesh = Mesh.build(store.configs(), mesh_config)
    edit: dict[str, Any] = {}
    for content in CHANGES[change]:
        if isinstance(content, str):
            edit[f"{content}.yaml"] = None
        else:
            edit.update({f"{name}.yaml": parsed for name, parsed in files([content]).items()})
    changed, _ = mesh.updated(store.apply(edit))
    new = Translation(changed)
    later = TranslationOnDemand(Translation(mesh)).later(changed)
    for proxy in FOLLOWING:
        found = later.differing(proxy)
        if found is None:
            continue  # whoever asks translates both meshes
        was, now = _sent_before()[proxy], dict(_sent(new.snapshot(proxy)))
        expected = {key: (was.get(key), now.get(key)) for key in was | now if was.get(key) != now.get(key)}
        assert expected == {
            (resource.type_url, resource.name): tuple(each.value if each else None for each in pair)
            for pair in found
            if (resource := pair[0] or pair[1]) is not None
        }
        for type_url in _TYPES:
            all_now = new.snapshot(proxy).collection(type_url).resources
            assert {name: each.value for name, each in later.all(proxy, type_url).items()} == {
                name: each.value for name, each in all_now.items()
            }


@cache
def _sent_before() -> dict[mizzen.Proxy, dict[tuple[str, str], bytes]]:
    """Return what each proxy is sent before a change."""
    old = Translation(Mesh.build(standing_store().configs(), MeshConfig.model_validate(MESH_CONFIG)))
    return {proxy: dict(_sent(old.snapshot(proxy))) for proxy in FOLLOWING}


def _sent(snapshot: Snapshot) -> Iterator[tuple[tuple[str, str], bytes]]:
    for type_url in _TYPES:
        for name, resource in snapshot.collection(type_url).resources.items():
            yield (type_url, name), resource.value


def test_a_proxy_that_comes_to_a_class_first_leaves_the_difference_unknown() -> None:
    """Only what proxies of one class were sent before can be compared."""
    text = yaml.safe_dump_all([
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": "web"},
            "spec": {"hosts": ["web.example"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]},
        },
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "for-a"},
            "spec": {
                "hosts": ["web.example"],
                "http": [{"match": [{"sourceLabels": {"app": "a"}}], "redirect": {"uri": "/x"}}],
            },
        },
    ])  # fmt: skip
    documents = [to_config(each)[0] for each in parse_documents(text.encode(), "mesh.yaml").documents]
    mesh = Mesh.build([each for each in documents if each is not None])
    metadata = {"NAMESPACE": "default"}
    node = "sidecar~10.9.9.{}~{}.default~default.svc.cluster.local"
    one = mizzen.Proxy.from_node(
        {"id": node.format(1, "a"), "metadata": {**metadata, "LABELS": {"app": "a"}}}
    )
    other = mizzen.Proxy.from_node({"id": node.format(2, "b"), "metadata": metadata})
    rule = next(iter(mesh.configs(VIRTUAL_SERVICE)))
    changed, _ = mesh.updated(ConfigChange((), (rule.key,)))
    later = TranslationOnDemand(Translation(mesh)).later(changed)
    assert later.resource(one, type_urls.ROUTE, "80") is not None
    assert later.differing(one) is None, "it was of another class"
    assert later.differing(other) is None
