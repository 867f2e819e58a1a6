from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mizzen.config import Config, ConfigChange, MeshConfig, Origin, group_kinds, models
from mizzen.config.lines import DocumentLines
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
    assert [config.name for config in mesh.configs(group_kinds.SERVICE_ENTRY)] == ["a"]
    assert mesh.configs(group_kinds.GATEWAY) == ()
    secret = mesh.secret("default", "cert")
    assert secret is not None
    assert mesh.secret("other", "cert") is None
    assert "hidden-words" not in repr(secret)


def test_delta_names_what_changed(mesh_of: MeshOf, changed: Callable[..., Any]) -> None:
    mesh = mesh_of(ENTRY)
    after, delta = changed(mesh, SECRET)
    assert [(old, new.name) for old, new in delta.of_kind(group_kinds.SECRET)] == [(None, "cert")]
    assert delta.services == delta.endpoints == set()
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
    (config,) = mesh.configs(group_kinds.SERVICE_ENTRY)
    before = config.origin_of("spec", "endpoints", 0)
    assert mesh.current_origin(before) == before
    moved, _ = changed(mesh, "# one\n# two\n" + ENTRY)
    (now,) = moved.configs(group_kinds.SERVICE_ENTRY)
    assert now.origin_of("spec", "endpoints", 0).line > before.line
    assert moved.current_origin(before) == now.origin_of("spec", "endpoints", 0)
    assert moved.current_origin(config.origin) == now.origin
    gone, _ = changed(moved, removed=(("ServiceEntry", "default", "a"),))
    assert gone.current_origin(before) == before


def test_an_unchanged_document_changes_nothing(mesh_of: MeshOf) -> None:
    mesh = mesh_of(ENTRY)
    again = ConfigChange(updated=mesh.configs(group_kinds.SERVICE_ENTRY), removed=())
    assert mesh.updated(again)[0] is mesh


def test_a_new_mesh_configuration_touches_everything(
    mesh_of: MeshOf, load_configs: Callable[..., Any]
) -> None:
    mesh = mesh_of(ENTRY)
    change = ConfigChange(updated=tuple(load_configs(SECRET)), removed=())
    after, delta = mesh.updated(change, MeshConfig.of(trust_domain="a@b"))
    assert delta.everything
    assert not delta.is_empty
    (pool,) = after.registry.pools.values()
    assert pool.endpoints[0].identity == "spiffe://a.b/ns/default/sa/sa"
    assert after.secret("default", "cert") is not None
    same, delta = after.updated(ConfigChange(), MeshConfig.of(trust_domain="a@b"))
    assert same is after
    assert delta.is_empty


def test_documents_of_one_name_and_two_groups_do_not_collide() -> None:
    """Kubernetes' Gateway API has a Gateway too."""
    lines = DocumentLines.single(1)
    istio = Config(
        "networking.istio.io/v1", "Gateway", "default", "g", models.Gateway(), Origin("a.yaml", 1), lines
    )
    kubernetes = replace(istio, api_version="gateway.networking.k8s.io/v1", spec=object())
    mesh = Mesh.build([istio, kubernetes])
    assert mesh.configs(group_kinds.GATEWAY) == (istio,)
    assert (mesh.config(istio.key), mesh.config(kubernetes.key)) == (istio, kubernetes)
    after, delta = mesh.updated(ConfigChange((), (kubernetes.key,)))
    assert after.config(istio.key) is istio
    assert after.config(kubernetes.key) is None
    assert not any(delta.of_kind(group_kinds.GATEWAY))
    assert str(istio.key) == "Gateway/default/g", "as people write it"
    assert str(kubernetes.key) == "Gateway.gateway.networking.k8s.io/default/g"
