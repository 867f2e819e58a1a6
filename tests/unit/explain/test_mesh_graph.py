"""What leads where in a mesh, as rules say."""

from __future__ import annotations

from pathlib import Path

import pytest

import mizzen
from mizzen.explain.mesh_graph import Edge, MeshGraph, NodeKind, Protection, mesh_graph
from mizzen.server.page.picture import picture

MESH = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: old}
spec: {selector: {app: old}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1, labels: {app: shop, version: v1}}
spec: {address: 10.2.0.1}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: bank}
spec:
  hosts: [bank.example.com]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: DNS
  location: MESH_EXTERNAL
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: door}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop]
  http:
  - match: [{headers: {who: {exact: me}}}]
    route: [{destination: {host: old}}]
  - route:
    - {destination: {host: shop, subset: v1}, weight: 90}
    - {destination: {host: shop, subset: v2}, weight: 10}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: door}
spec:
  hosts: ["*"]
  gateways: [door]
  http:
  - route: [{destination: {host: shop}}]
  - route: [{destination: {host: lost}}]
"""
SHOP = "service:default/shop.default.svc.cluster.local"


@pytest.fixture
def graph(tmp_path: Path) -> MeshGraph:
    (tmp_path / "mesh.yaml").write_text(MESH, encoding="utf-8")
    return mesh_graph(mizzen.load(tmp_path))


def line_of(words: str) -> int:
    return MESH[: MESH.index(words)].count("\n") + 1


def edge(graph: MeshGraph, source: str, target: str) -> Edge:
    return next(each for each in graph.edges if (each.source, each.target) == (source, target))


def test_every_part_of_the_mesh_is_a_node(graph: MeshGraph) -> None:
    assert {(node.kind, node.name, node.endpoints) for node in graph.nodes} == {
        (NodeKind.GATEWAY, "door", None),
        (NodeKind.SERVICE, "shop.default.svc.cluster.local", 1),
        (NodeKind.SERVICE, "old.default.svc.cluster.local", 0),
        (NodeKind.VERSION, "v1", 1),
        (NodeKind.VERSION, "v2", 0),
        (NodeKind.EXTERNAL, "bank.example.com", 1),
        (NodeKind.UNKNOWN, "lost.default.svc.cluster.local", None),
    }


def test_a_rule_without_conditions_gives_shares(graph: MeshGraph) -> None:
    first, second = (edge(graph, SHOP, f"version:{SHOP}|{name}") for name in ("v1", "v2"))
    assert (first.share, second.share) == (90, 10)
    assert not first.conditional
    assert [each.line for each in first.origins] == [line_of("  - route:\n")]


def test_a_rule_with_conditions_is_for_some_calls(graph: MeshGraph) -> None:
    other = edge(graph, SHOP, "service:default/old.default.svc.cluster.local")
    assert (other.share, other.conditional) == (None, True)


def test_what_stands_behind_a_rule_for_all_is_for_some_calls(graph: MeshGraph) -> None:
    whole = edge(graph, "gateway:default/door", SHOP)
    assert (whole.share, whole.protocols, whole.protection) == (100, ("HTTP",), Protection.MUTUAL_TLS)
    rest = edge(graph, "gateway:default/door", "unknown:lost.default.svc.cluster.local")
    assert (rest.share, rest.conditional, rest.protection) == (None, True, None)


def test_a_search_shows_what_is_named_and_its_neighbours(graph: MeshGraph) -> None:
    names = {node.name for node in graph.around("old", 10).nodes}
    assert names == {"old.default.svc.cluster.local", "shop.default.svc.cluster.local"}
    assert not graph.around("nothing", 10).nodes


def test_without_words_linked_hosts_come_first_and_no_more_than_asked_for(graph: MeshGraph) -> None:
    few = graph.around("", 4)
    assert {node.kind for node in few.nodes} == {
        NodeKind.GATEWAY,
        NodeKind.SERVICE,
        NodeKind.UNKNOWN,
        NodeKind.VERSION,
    }
    assert len(few.nodes) == 6


def test_nothing_in_a_picture_covers_another(graph: MeshGraph) -> None:
    drawn = picture(graph)
    assert len(drawn.boxes) == len(graph.nodes)
    for one in drawn.boxes:
        assert one.x + one.width <= drawn.width
        assert one.y + one.height <= drawn.height
        for other in drawn.boxes:
            apart = one.x + one.width <= other.x or one.y + one.height <= other.y
            assert one is other or apart or other.x + other.width <= one.x or other.y + other.height <= one.y
    assert {line.words for line in drawn.lines} == {"90%", "10%", "HTTP"}
