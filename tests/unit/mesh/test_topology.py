"""Where workloads and proxies count as being."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.service import Locality
from tests.unit.mesh.services.registry_documents import MeshOf, service_of

REGION = "topology.kubernetes.io/region"
ZONE = "topology.kubernetes.io/zone"
SUBZONE = "topology.istio.io/subzone"
SENT = {"region": "eu", "zone": "z9"}

ENTRY = """
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: [a.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
"""
INLINE = "  endpoints: [{address: 10.0.0.1, locality: us/z1}]"
SELECTING = """  workloadSelector: {labels: {app: a}}
---
kind: WorkloadEntry
metadata: {name: a}
spec: {address: 10.0.0.1, labels: {app: a, %s}}
"""


def proxy(locality: dict[str, str] | None = None, **labels: str) -> Proxy:
    return Proxy.from_node(
        {
            "id": "sidecar~10.0.0.1~a.default~default.svc.cluster.local",
            "metadata": {"LABELS": {key.replace("_", "-"): value for key, value in labels.items()}},
            "locality": locality or {},
        }
    )


@pytest.mark.parametrize("sent", [None, SENT])
@pytest.mark.parametrize(
    "rest",
    [
        INLINE,
        SELECTING % "istio-locality: us.z1",
        SELECTING % "topology.istio.io/locality: us.z1, istio-locality: other",
        SELECTING % f"{REGION}: us, {ZONE}: z1",
    ],
)
def test_a_proxy_is_where_its_workload_is(mesh_of: MeshOf, sent: dict[str, str] | None, rest: str) -> None:
    assert mesh_of(ENTRY + rest).outbound_profile(proxy(sent)).locality == Locality("us", "z1")


def test_without_a_place_of_its_workload_the_nodes_labels_count_then_what_it_sends(mesh_of: MeshOf) -> None:
    mesh = mesh_of(ENTRY + SELECTING % "x: other")
    labelled = proxy(SENT, **{REGION: "us", ZONE: "z1", SUBZONE: "s", "istio_locality": "other"})

    assert mesh.outbound_profile(labelled).locality == Locality("us", "z1", "s")
    assert mesh.outbound_profile(proxy(SENT, istio_locality="us/z1")).locality == Locality("us", "z1")
    # istiod reads the dots of this label as such where a proxy has it.
    assert mesh.outbound_profile(proxy(SENT, istio_locality="us.z1")).locality == Locality("us.z1")
    assert mesh.outbound_profile(proxy(SENT)).locality == Locality("eu", "z9")


WEB = """
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
kind: Pod
metadata: {name: web-1, labels: {app: web%s}}
spec: {nodeName: n1}
status: {podIP: 10.0.0.1}
"""
NODE = """
---
kind: Node
metadata: {name: n1, namespace: "", labels: {%s}}
"""
PLACE = f"{REGION}: us, {ZONE}: z1, {SUBZONE}: s"
OLD = "failure-domain.beta.kubernetes.io/region: us, failure-domain.beta.kubernetes.io/zone: z1"


def endpoint_of(mesh: Any) -> Any:
    return mesh.endpoints(service_of(mesh, "web.default.svc.cluster.local")).endpoints[0]


@pytest.mark.parametrize(
    ("own", "node", "expected"),
    [
        ("", PLACE, Locality("us", "z1", "s")),
        ("", OLD, Locality("us", "z1")),
        (", istio-locality: eu.z2", PLACE, Locality("eu", "z2")),
        (f", {REGION}: eu", PLACE, Locality("us", "z1", "s")),
        (f", {REGION}: eu", None, Locality("eu")),
    ],
)
def test_a_pod_is_where_its_node_is(mesh_of: MeshOf, own: str, node: str | None, expected: Locality) -> None:
    mesh = mesh_of(WEB % own + (NODE % node if node else ""))

    assert endpoint_of(mesh).locality == expected
    assert mesh.outbound_profile(proxy(SENT)).locality == expected


LISTED = """
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
---
kind: EndpointSlice
metadata: {name: web-x, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1], nodeName: n1, zone: z1}]
ports: [{port: 7070}]
"""


@pytest.mark.parametrize("text", [WEB % "", LISTED])
def test_what_is_on_a_node_follows_it(mesh_of: MeshOf, changed: Callable[..., Any], text: str) -> None:
    mesh = mesh_of(text + NODE % PLACE)
    assert endpoint_of(mesh).locality == Locality("us", "z1", "s")
    assert dict(endpoint_of(mesh).labels)[REGION] == "us"

    moved, delta = changed(mesh, (NODE % f"{REGION}: eu").removeprefix("\n---"))
    assert endpoint_of(moved).locality == Locality("eu")
    assert delta.endpoints == {("default", "web.default.svc.cluster.local")}

    gone, _ = changed(moved, removed=(("Node", "", "n1"),))
    assert endpoint_of(gone).locality.region == ""
    assert endpoint_of(changed(gone, (NODE % PLACE).removeprefix("\n---"))[0]).locality.region == "us"
