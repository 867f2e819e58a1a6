"""Pods that EndpointSlices and Endpoints name (`targetRef`), because pods in the network of their node
share an address."""

from collections.abc import Callable
from typing import Any

import pytest

from mizzen.mesh.snapshot import Mesh
from tests.unit.mesh.services.registry_documents import service_of

MeshOf = Callable[..., Mesh]

HOST = "web.shop.svc.cluster.local"

SERVICE = """
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
"""

SLICE = """
---
kind: EndpointSlice
metadata: {{name: web-{port}, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
endpoints: [{{addresses: [10.0.0.1], targetRef: {target}}}]
ports: [{{name: http, port: {port}}}]
"""

POD = """
---
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{version: {version}}}}}
spec: {{serviceAccountName: {name}}}
status: {status}
"""


def pod(name: str, version: str, status: str = "{podIP: 10.0.0.1}", namespace: str = "shop") -> str:
    return POD.format(name=name, version=version, status=status, namespace=namespace)


def target(name: str, namespace: str = "shop") -> str:
    return f"{{kind: Pod, namespace: {namespace}, name: {name}}}"


def endpoints(mesh: Mesh) -> list[tuple[int | None, str, str]]:
    """Return port, version and service account of the endpoints."""
    return [
        (one.port_named("http"), dict(one.labels).get("version", ""), one.identity.rpartition("/")[2])
        for one in mesh.endpoints(service_of(mesh, HOST, "shop"))
    ]


def test_two_pods_at_one_address_are_told_apart_by_name(mesh_of: MeshOf) -> None:
    listings = SLICE.format(port=8001, target=target("one")) + SLICE.format(port=8002, target=target("two"))
    mesh = mesh_of(SERVICE + listings + pod("one", "v1") + pod("two", "v2"))
    assert endpoints(mesh) == [(8001, "v1", "one"), (8002, "v2", "two")]


def test_endpoints_name_pods_too(mesh_of: MeshOf) -> None:
    listing = """
---
kind: Endpoints
metadata: {name: web, namespace: shop}
subsets:
- {addresses: [{ip: 10.0.0.1, targetRef: {kind: Pod, name: two}}], ports: [{name: http, port: 8002}]}
"""
    mesh = mesh_of(SERVICE + listing + pod("one", "v1") + pod("two", "v2"))
    assert endpoints(mesh) == [(8002, "v2", "two")]


@pytest.mark.parametrize("status", ["{podIP: 10.0.0.1}", "{}", "{podIP: 10.0.0.9}"])
def test_a_named_pod_that_comes_changes_and_goes(
    mesh_of: MeshOf, changed: Callable[..., Any], status: str
) -> None:
    mesh = mesh_of(SERVICE + SLICE.format(port=8002, target=target("two")) + pod("one", "v1"))
    assert endpoints(mesh) == [(8002, "", "")], "never the labels of a different pod at the address"
    mesh, delta = changed(mesh, pod("two", "v2", status)[5:])
    assert delta.endpoints == {("shop", HOST)}
    assert endpoints(mesh) == [(8002, "v2", "two")]
    mesh, _ = changed(mesh, pod("two", "v3", status)[5:])
    assert endpoints(mesh) == [(8002, "v3", "two")]
    mesh, _ = changed(mesh, removed=(("Pod", "shop", "two"),))
    assert endpoints(mesh) == [(8002, "", "")]


def test_a_listing_that_names_another_pod(mesh_of: MeshOf, changed: Callable[..., Any]) -> None:
    mesh = mesh_of(
        SERVICE + SLICE.format(port=8002, target=target("one")) + pod("one", "v1") + pod("two", "v2")
    )
    mesh, _ = changed(mesh, SLICE.format(port=8002, target=target("two"))[5:])
    assert endpoints(mesh) == [(8002, "v2", "two")]


def test_what_is_no_pod_is_found_by_its_address(mesh_of: MeshOf) -> None:
    machine = "{kind: VirtualMachine, namespace: shop, name: two}"
    mesh = mesh_of(SERVICE + SLICE.format(port=8001, target=machine) + pod("one", "v1"))
    assert endpoints(mesh) == [(8001, "v1", "one")]


def test_a_pod_of_another_namespace_is_found_by_name_alone(mesh_of: MeshOf) -> None:
    elsewhere = pod("one", "v1", namespace="other")
    named = SLICE.format(port=8001, target=target("one", "other"))
    assert endpoints(mesh_of(SERVICE + named + elsewhere)) == [(8001, "v1", "one")]
    assert endpoints(mesh_of(SERVICE + SLICE.format(port=8001, target="null") + elsewhere)) == [
        (8001, "", "")
    ]
