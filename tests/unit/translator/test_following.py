"""One translation for all proxies and all times: each proxy is sent what it would be sent alone, and after a
change what it would be sent had the mesh always been so."""

from __future__ import annotations

from typing import Any

import pytest

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation
from tests.unit.translator.mesh_changes import CHANGES
from tests.unit.translator.standing_mesh import (
    FOLLOWING,
    MESH_CONFIG,
    PROXIES,
    alone,
    files,
    standing_files,
    standing_store,
    versions,
)


@pytest.mark.parametrize("again", [False, True], ids=["in order", "in reverse"])
def test_each_proxy_is_sent_what_it_would_be_sent_alone(again: bool) -> None:
    mesh = Mesh.build(standing_store().configs(), MeshConfig.model_validate(MESH_CONFIG))
    shared = Translation(mesh)
    order = list(reversed(PROXIES)) if again else PROXIES
    found = [versions(shared, proxy) for proxy in order]
    for proxy, held in zip(order, found, strict=True):
        assert held == alone(mesh, proxy), proxy.node_id


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_change_it_is_as_if_it_had_always_been_so(change: str) -> None:
    mesh_config = MeshConfig.model_validate(MESH_CONFIG)
    store = standing_store()
    mesh = Mesh.build(store.configs(), mesh_config)
    translation = Translation(mesh)
    before = [versions(translation, proxy) for proxy in FOLLOWING]
    edit: dict[str, Any] = {}
    for content in CHANGES[change]:
        if isinstance(content, str):
            edit[f"{content}.yaml"] = None
        else:
            edit.update({f"{name}.yaml": parsed for name, parsed in files([content]).items()})
    mesh, _ = mesh.updated(store.apply(edit))
    translation.update(mesh)
    fresh = Translation(Mesh.build(store.configs(), mesh_config))
    after = [versions(translation, proxy) for proxy in FOLLOWING]
    assert after == [versions(fresh, proxy) for proxy in FOLLOWING]
    assert after != before
    # And back, with nobody asking in between.
    standing = {f"{name}.yaml": parsed for name, parsed in standing_files().items()}
    mesh, _ = mesh.updated(store.apply(standing | {file: None for file in edit if file not in standing}))
    translation.update(mesh)
    assert [versions(translation, proxy) for proxy in FOLLOWING] == before
