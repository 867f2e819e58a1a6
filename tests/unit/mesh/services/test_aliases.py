"""Services of type ExternalName: other names of the services that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.snapshot import Mesh

MeshOf = Callable[..., Mesh]
DOMAIN = "svc.cluster.local"


def external(name: str, target: str, namespace: str = "default", ports: str = "[]") -> str:
    return f"""
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{type: ExternalName, externalName: {target}, ports: {ports}}}
"""


REAL = """
kind: Service
metadata: {name: real, namespace: shop}
spec: {clusterIP: 10.1.0.1, ports: [{name: http, port: 80}, {name: http-alt, port: 81}]}
"""


def real(scope: SidecarScope) -> Any:
    return scope.service(f"real.shop.{DOMAIN}")


def test_a_service_knows_its_aliases_by_namespace_and_name(mesh_of: MeshOf, scope_of: Any) -> None:
    text = [
        REAL,
        *(external(*one) for one in (("b", f"real.shop.{DOMAIN}"), ("a", f"real.shop.{DOMAIN}", "zoo"))),
    ]
    text.append(external("c", f"b.default.{DOMAIN}"))
    scope = scope_of(mesh_of("---".join(text)))
    assert real(scope).aliases == (f"b.default.{DOMAIN}", f"c.default.{DOMAIN}", f"a.zoo.{DOMAIN}")
    assert scope.destination_host(f"c.default.{DOMAIN}") == f"real.shop.{DOMAIN}"
    assert scope.destination_host(f"real.shop.{DOMAIN}") == f"real.shop.{DOMAIN}"
    assert scope.destination_host("unknown.example") == "unknown.example"


def test_aliases_follow_what_documents_say(mesh_of: MeshOf, changed: Any, scope_of: Any) -> None:
    alias, other = f"alias.default.{DOMAIN}", f"other.shop.{DOMAIN}"
    second = REAL.replace("name: real", "name: other")
    mesh = mesh_of("---".join([REAL, second, external("alias", f"real.shop.{DOMAIN}")]))
    assert real(scope_of(mesh)).aliases == (alias,)
    moved, delta = changed(mesh, external("alias", other))
    assert delta.services == {("default", alias), ("shop", other), ("shop", f"real.shop.{DOMAIN}")}
    assert real(scope_of(moved)).aliases == ()
    assert scope_of(moved).service(other).aliases == (alias,)
    gone, _ = changed(moved, removed=(("Service", "default", "alias"),))
    assert scope_of(gone).service(other).aliases == ()
    assert scope_of(gone).destination_host(alias) == alias
    late, _ = changed(mesh_of(external("alias", f"real.shop.{DOMAIN}")), REAL)
    assert real(scope_of(late)).aliases == (alias,)


def test_an_alias_that_becomes_a_service_is_none_any_more(
    mesh_of: MeshOf, changed: Any, scope_of: Any
) -> None:
    mesh = mesh_of("---".join([REAL, external("alias", f"real.shop.{DOMAIN}")]))
    own, _ = changed(mesh, REAL.replace("name: real, namespace: shop", "name: alias, namespace: default"))
    assert real(scope_of(own)).aliases == ()
    assert not scope_of(own).service(f"alias.default.{DOMAIN}").is_alias


def test_a_circle_stands_for_nothing(mesh_of: MeshOf, scope_of: Any) -> None:
    circle = [external("a", f"b.default.{DOMAIN}"), external("b", f"a.default.{DOMAIN}")]
    scope = scope_of(mesh_of("---".join([*circle, external("c", f"a.default.{DOMAIN}")])))
    assert {service.aliases for service in scope.services} == {()}
    assert scope.destination_host(f"a.default.{DOMAIN}") == f"b.default.{DOMAIN}"


def test_a_sidecar_imports_aliases_by_their_names(mesh_of: MeshOf, scope_of: Any) -> None:
    def aliases(*hosts: str) -> tuple[str, ...]:
        sidecar = f"""
kind: Sidecar
metadata: {{name: default, namespace: default}}
spec: {{egress: [{{hosts: [{", ".join(hosts)}]}}]}}
"""
        text = [REAL, *(external(name, f"real.shop.{DOMAIN}") for name in "ab"), sidecar]
        found: tuple[str, ...] = real(scope_of(mesh_of("---".join(text)))).aliases
        return found

    assert aliases("'*/*'") == (f"a.default.{DOMAIN}", f"b.default.{DOMAIN}")
    assert aliases(f"shop/real.shop.{DOMAIN}") == ()
    assert aliases(f"shop/real.shop.{DOMAIN}", f"shop/b.default.{DOMAIN}") == (f"b.default.{DOMAIN}",)
    assert aliases(f"'*/real.shop.{DOMAIN}'", f"'*/a.default.{DOMAIN}'") == (f"a.default.{DOMAIN}",)


def test_a_destination_that_is_an_alias_imports_its_service(mesh_of: MeshOf, scope_of: Any) -> None:
    rule = """
kind: VirtualService
metadata: {name: rule, namespace: default}
spec:
  hosts: [front.example]
  http: [{route: [{destination: {host: alias, port: {number: 81}}}]}]
"""
    sidecar = """
kind: Sidecar
metadata: {name: default, namespace: default}
spec: {egress: [{hosts: ["./front.example"]}]}
"""
    text = [REAL, external("alias", f"real.shop.{DOMAIN}"), rule, sidecar]
    scope = scope_of(mesh_of("---".join(text)))
    assert [port.number for port in real(scope).ports] == [81]
