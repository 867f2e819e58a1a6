from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mizzen.config import ConfigChange, MeshConfig
from mizzen.mesh.snapshot import Mesh

MeshOf = Callable[..., Mesh]
ENTRY = """
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: [a.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1, serviceAccount: sa}]
"""
SECRET = """
kind: Secret
metadata: {name: cert}
stringData: {key: hidden-words}
"""


def test_documents_by_kind_and_key(mesh_of: MeshOf) -> None:
    mesh = mesh_of(ENTRY + "---" + SECRET)
    assert [config.name for config in mesh.configs("ServiceEntry")] == ["a"]
    assert mesh.configs("Gateway") == ()
    secret = mesh.secret("default", "cert")
    assert secret is not None
    assert mesh.secret("other", "cert") is None
    assert "hidden-words" not in repr(secret)


def test_delta_names_what_changed(mesh_of: MeshOf, changed: Callable[..., Any]) -> None:
    mesh = mesh_of(ENTRY)
    after, delta = changed(mesh, SECRET)
    assert [(old, new.name) for old, new in delta.of_kind("Secret")] == [(None, "cert")]
    assert not delta.endpoints_only
    assert after.registry is mesh.registry
    after, delta = changed(mesh, ENTRY.replace("10.0.0.1", "10.0.0.2").replace("80", "81"))
    assert delta.services == delta.endpoints == {("default", "a.com")}
    after, delta = changed(mesh, removed=(("ServiceEntry", "default", "a"), ("Gateway", "x", "not-there")))
    assert delta.services == {("default", "a.com")}
    assert after.registry.services == after.registry.pools == {}
    same, delta = changed(mesh, removed=(("Gateway", "x", "not-there"),))
    assert same is mesh
    assert delta.is_empty


def test_an_origin_is_found_where_its_field_stands_now(mesh_of: MeshOf, changed: Callable[..., Any]) -> None:
    mesh = mesh_of(ENTRY)
    (config,) = mesh.configs("ServiceEntry")
    before = config.origin_of("spec", "endpoints", 0)
    assert mesh.current_origin(before) == before
    moved, _ = changed(mesh, "# one\n# two\n" + ENTRY)
    (now,) = moved.configs("ServiceEntry")
    assert now.origin_of("spec", "endpoints", 0).line > before.line
    assert moved.current_origin(before) == now.origin_of("spec", "endpoints", 0)
    assert moved.current_origin(config.origin) == now.origin
    gone, _ = changed(moved, removed=(("ServiceEntry", "default", "a"),))
    assert gone.current_origin(before) == before


def test_an_unchanged_document_changes_nothing(mesh_of: MeshOf) -> None:
    mesh = mesh_of(ENTRY)
    again = ConfigChange(updated=mesh.configs("ServiceEntry"), removed=())
    assert mesh.updated(again)[0] is mesh


def test_a_new_mesh_configuration_touches_everything(
    mesh_of: MeshOf, load_configs: Callable[..., Any]
) -> None:
    mesh = mesh_of(ENTRY)
    change = ConfigChange(updated=tuple(load_configs(SECRET)), removed=())
    after, delta = mesh.updated(change, MeshConfig.of(trust_domain="a@b"))
    assert delta.everything
    assert not delta.endpoints_only
    (pool,) = after.registry.pools.values()
    assert pool.endpoints[0].identity == "spiffe://a.b/ns/default/sa/sa"
    assert after.secret("default", "cert") is not None
    same, delta = after.updated(ConfigChange(), MeshConfig.of(trust_domain="a@b"))
    assert same is after
    assert delta.is_empty
