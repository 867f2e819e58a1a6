"""One host that several documents of a namespace declare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mizzen.mesh.service import Service
from mizzen.mesh.snapshot import Mesh

MeshOf = Callable[..., Mesh]
HOST = "a.com"


def entry(
    name: str, port: int, year: int, *, export_to: str = "*", resolution: str = "STATIC", address: str = ""
) -> str:
    return f"""
kind: ServiceEntry
metadata: {{name: {name}, creationTimestamp: "{year}-01-01T00:00:00Z"}}
spec:
  hosts: [{HOST}]
  addresses: [{address}]
  ports: [{{number: {port}, name: p{port}, protocol: HTTP}}]
  resolution: {resolution}
  exportTo: ["{export_to}"]
"""


def seen(mesh: Mesh, scope_of: Any, namespace: str = "default") -> Service:
    found = scope_of(mesh, namespace).service(HOST)
    assert isinstance(found, Service)
    return found


def numbers(service: Service) -> list[int]:
    return [port.number for port in service.ports]


def test_each_document_keeps_its_addresses_and_ports(mesh_of: MeshOf, scope_of: Any) -> None:
    found = seen(
        mesh_of(
            "---".join([entry("b", 81, 2002, address="10.1.0.2"), entry("a", 80, 2001, address="10.1.0.1")])
        ),
        scope_of,
    )
    assert numbers(found) == [80, 81]
    assert [(one.addresses, numbers(one)) for one in found.declared] == [
        (("10.1.0.1",), [80]),
        (("10.1.0.2",), [81]),
    ]


def test_documents_that_disagree_give_no_ports_to_the_clusters(mesh_of: MeshOf, scope_of: Any) -> None:
    found = seen(
        mesh_of("---".join([entry("a", 80, 2001), entry("b", 81, 2002, resolution="DNS")])), scope_of
    )
    assert numbers(found) == [80]
    assert len(found.declared) == 2


def test_a_namespace_sees_the_documents_that_are_exported_to_it(mesh_of: MeshOf, scope_of: Any) -> None:
    mesh = mesh_of(
        "---".join(
            [
                entry("public", 80, 2001),
                entry("private", 81, 2002, export_to="."),
                entry("late", 82, 2003),
                entry("hidden", 83, 2004, export_to="~"),
            ]
        )
    )
    # What is exported to the own namespace comes first, and what is exported otherwise cannot join it.
    assert numbers(seen(mesh, scope_of)) == [81]
    assert [numbers(one) for one in seen(mesh, scope_of).declared] == [[81], [80], [82]]
    assert numbers(seen(mesh, scope_of, "other")) == [80, 82]
    assert seen(mesh, scope_of, "other") is seen(mesh, scope_of, "third")


@pytest.mark.parametrize("gone", ["a", "b"])
def test_the_one_that_is_left_stands_alone(mesh_of: MeshOf, changed: Any, scope_of: Any, gone: str) -> None:
    both = {"a": entry("a", 80, 2001), "b": entry("b", 81, 2002)}
    mesh, delta = changed(mesh_of("---".join(both.values())), removed=(("ServiceEntry", "default", gone),))
    found = seen(mesh, scope_of)
    assert (numbers(found), found.shared) == ([81 if gone == "a" else 80], None)
    assert delta.services == {("default", HOST)}


def test_what_says_the_same_again_changes_nothing(mesh_of: MeshOf, changed: Any) -> None:
    first = entry("a", 80, 2001)
    mesh = mesh_of("---".join([first, entry("b", 81, 2002)]))
    _, delta = changed(mesh, first)
    # Only the place of the document moved to another file.
    assert delta.services == {("default", HOST)}
    again, _ = changed(mesh, first)
    assert changed(again, first)[1].services == frozenset()


def test_one_address_is_allocated_to_the_host_of_several_documents(mesh_of: MeshOf, scope_of: Any) -> None:
    alone = seen(mesh_of(entry("a", 80, 2001)), scope_of)
    both = seen(mesh_of("---".join([entry("a", 80, 2001), entry("b", 81, 2002)])), scope_of)
    addresses = {one.auto_allocated_addresses for one in both.declared}
    assert len(addresses) == 1
    # As in Istio each document takes a slot, and the lower one counts.
    assert addresses != {alone.auto_allocated_addresses}


def test_a_port_of_a_sidecar_has_the_documents_with_that_port(mesh_of: MeshOf, scope_of: Any) -> None:
    sidecar = """
kind: Sidecar
metadata: {name: default}
spec:
  egress:
    - {port: {number: 81, name: http, protocol: HTTP}, hosts: ["./a.com"]}
    - hosts: ["./a.com"]
"""
    scope = scope_of(mesh_of("---".join([entry("a", 80, 2001), entry("b", 81, 2002), sidecar])))
    first, rest = scope.egress_listeners
    assert [numbers(one) for one in first.services] == [[81]]
    assert [len(one.declared) for one in rest.services] == [2]
    assert sorted(numbers(scope.service(HOST))) == [80, 81]


def test_the_last_document_with_a_port_says_how_http_is_called_there(mesh_of: MeshOf, scope_of: Any) -> None:
    mesh = mesh_of(
        "---".join([entry("a", 80, 2001, address="10.1.0.1"), entry("b", 80, 2002, address="10.1.0.2")])
    )
    (found,) = scope_of(mesh).egress_listeners[0].by_port[80]
    assert found.addresses == ("10.1.0.2",)


def test_a_workload_serves_the_ports_of_its_own_document(mesh_of: MeshOf, proxy_at: Any) -> None:
    served = """
  workloadSelector: {labels: {app: b}}
"""
    workload = """
kind: WorkloadEntry
metadata: {name: b}
spec: {address: 10.0.0.1, labels: {app: b}}
"""
    younger = entry("b", 81, 2002).rstrip() + served
    mesh = mesh_of("---".join([entry("a", 80, 2001), younger, workload]))
    found = [(one.port.number, one.target_port) for one in mesh.instances(proxy_at(address="10.0.0.1"))]
    assert found == [(81, 81)]
