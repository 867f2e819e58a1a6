"""The plan says nothing if, and only if, all proxies are sent the same bytes; it names all that differs."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from mizzen.config import ConfigStore
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.snapshot import Mesh
from mizzen.plan import fleet, plan, plan_markdown, plan_text
from mizzen.plan.fleet import whole_pair
from mizzen.plan.message_differences import differences
from mizzen.plan.resource_changes import decoded, resource_changes
from mizzen.translator.translation import Translation
from mizzen.xds import Snapshot, type_urls
from tests.properties.translator.test_incremental import PROXIES, STANDING, documents, parsed

EDITS = st.lists(st.tuples(documents, st.booleans()), min_size=1, max_size=5)


def files_of(edits: list[tuple[dict[str, Any], bool]]) -> dict[str, Any]:
    files: dict[str, Any] = {}
    for content, deleted in edits:
        metadata = content["metadata"]
        file = f"a-{content['kind']}-{metadata['namespace']}-{metadata['name']}.yaml"
        files[file] = None if deleted else parsed(content, file)
    return files


def bytes_of(snapshot: Snapshot) -> dict[tuple[str, str], bytes]:
    return {(each.type_url, each.name): each.value for each in snapshot}


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(EDITS, EDITS)
def test_what_is_said_is_what_differs_in_bytes(
    first: list[tuple[dict[str, Any], bool]], second: list[tuple[dict[str, Any], bool]]
) -> None:
    store = ConfigStore()
    standing = {
        f"{number}.yaml": parsed(content, f"{number}.yaml") for number, content in enumerate(STANDING)
    }
    store.apply({**standing, **files_of(first)})
    mesh = Mesh.build(store.configs(), MeshConfig())
    after, _ = mesh.updated(store.apply(files_of(second)))
    old, fresh = Translation(mesh), Translation(Mesh.build(store.configs(), MeshConfig()))
    found = plan(fleet(mesh, after, PROXIES))
    differing = 0
    for proxy in PROXIES:
        was, now = old.snapshot(proxy), fresh.snapshot(proxy)
        differing += bytes_of(was) != bytes_of(now)
        alone = plan([whole_pair(f"sidecar {proxy.id}", was, now)])
        assert alone.is_empty == (bytes_of(was) == bytes_of(now))
        assert plan_text(alone)
        assert plan_markdown(alone)
        for type_url in type_urls.PUSH_ORDER:
            held, given_now = was.collection(type_url).resources, now.collection(type_url).resources
            for name in held.keys() | given_now.keys():
                one, other = held.get(name), given_now.get(name)
                if one is not None and other is not None and one.value == other.value:
                    continue
                assert resource_changes(one, other)
                if one is not None and other is not None:
                    assert differences(decoded(one), decoded(other))
    assert found.changed == differing
