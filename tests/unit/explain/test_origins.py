"""The parts of a configuration know their lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from envoy.config.route.v3 import route_pb2

import mizzen
from mizzen.config import ConfigChange, ConfigStore, Origin, parse_documents
from mizzen.config.group_kinds import VIRTUAL_SERVICE
from mizzen.config.kinds import KINDS_BY_NAME
from mizzen.explain.origins import PartOrigins
from mizzen.mesh.fault_search import Changed
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls
from tests.golden.test_golden import load

CASES = sorted(path.parent for path in (Path(__file__).parents[2] / "golden").glob("*/mesh.yaml"))

MESH = """\
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec:
  selector: {app: reviews}
  clusterIP: 10.1.0.1
  ports:
    - {name: metrics, port: 81, targetPort: 9081}
    - {name: http, port: 80, targetPort: 9080}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-v1, namespace: shop}
spec: {address: 10.0.0.7, labels: {app: reviews, version: v1}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets:
    - {name: v2, labels: {version: v2}}
    - {name: v1, labels: {version: v1}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews, reviews.example]
  gateways: [mesh, edge]
  http:
    - match: [{headers: {end-user: {exact: jason}}}, {uri: {prefix: /new}}]
      route: [{destination: {host: reviews, subset: v2}}]
    - route: [{destination: {host: reviews, subset: v1}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {app: edge}
  servers:
    - {port: {number: 80, name: http, protocol: HTTP}, hosts: [reviews.example]}
    - port: {number: 443, name: one, protocol: TLS}
      hosts: [one.example]
      tls: {mode: PASSTHROUGH}
    - port: {number: 443, name: two, protocol: TLS}
      hosts: [two.example]
      tls: {mode: PASSTHROUGH}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: passed, namespace: shop}
spec:
  hosts: [one.example, two.example]
  gateways: [edge]
  tls:
    - match: [{sniHosts: [one.example]}]
      route: [{destination: {host: reviews, port: {number: 80}}}]
    - match: [{sniHosts: [two.example]}]
      route: [{destination: {host: reviews, port: {number: 81}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders, namespace: shop}
spec:
  hosts: [orders.example]
  addresses: [10.1.0.2]
  resolution: STATIC
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  endpoints:
    - address: 10.0.0.9
"""

KINDS = ("Service", "ServiceEntry", "WorkloadEntry", "DestinationRule", "VirtualService", "Gateway")
SIDECAR = "sidecar~10.0.0.7~reviews-v1.shop~shop.svc.cluster.local"
REVIEWS = "reviews.shop.svc.cluster.local"


def origins(folder: Path, node: object = None, text: str = MESH) -> PartOrigins:
    (folder / "mesh.yaml").write_text(text, encoding="utf-8")
    proxy = mizzen.Proxy.from_node(node or {"id": SIDECAR})  # type: ignore[arg-type]
    return PartOrigins(Translation(mizzen.load(folder)), proxy)


def lines(found: tuple[Origin, ...]) -> list[int]:
    return [origin.line for origin in found]


def line_of(words: str) -> int:
    return next(number for number, line in enumerate(MESH.splitlines(), 1) if words in line)


GATEWAY = {
    "id": "router~10.0.0.1~edge.shop~shop.svc.cluster.local",
    "metadata": {"LABELS": {"app": "edge"}, "NAMESPACE": "shop"},
}


def test_routes_of_a_sidecar_lead_to_their_rules(tmp_path: Path) -> None:
    found = origins(tmp_path)
    host = f"{REVIEWS}:80"
    assert [lines(found.route("80", host, index)) for index in range(4)] == [
        [line_of("end-user")],
        [line_of("end-user")],
        [line_of("    - route: [{destination: {host: reviews, subset: v1}}]")],
        [],
    ]
    assert lines(found.virtual_host("80", host)) == [line_of("hosts: [reviews, ")]


def test_what_no_rule_routes_leads_to_the_service(tmp_path: Path) -> None:
    found = origins(tmp_path)
    host = f"{REVIEWS}:81"
    assert lines(found.route("orders", host, 0)) == []
    assert found.route("99", "nothing", 0) == ()


def test_a_cluster_leads_to_its_port_and_its_subset(tmp_path: Path) -> None:
    found = origins(tmp_path)
    assert lines(found.cluster(f"outbound|80|v1|{REVIEWS}")) == [
        line_of("port: 80,"),
        line_of("- {name: v1, "),
    ]
    assert found.cluster("PassthroughCluster") == ()


def test_an_endpoint_leads_to_its_workload(tmp_path: Path) -> None:
    found = origins(tmp_path)
    assert lines(found.endpoint(f"outbound|80||{REVIEWS}", "10.0.0.7")) == [
        line_of("kind: WorkloadEntry") - 1
    ]
    assert lines(found.endpoint("outbound|5432||orders.example", "10.0.0.9")) == [line_of("10.0.0.9")]
    assert found.endpoint(f"outbound|80||{REVIEWS}", "10.9.9.9") == ()


def test_a_filter_chain_leads_to_its_service(tmp_path: Path) -> None:
    found = origins(tmp_path)
    assert lines(found.filter_chain("10.1.0.2_5432", 0)) == [line_of("kind: ServiceEntry") - 1]
    assert lines(found.filter_chain("virtualInbound", 5, name="0.0.0.0_9080")) == [1]
    assert found.filter_chain("virtualOutbound", 0) == ()


def test_an_inbound_route_leads_to_its_service(tmp_path: Path) -> None:
    found = origins(tmp_path)
    assert lines(found.route("inbound|9080||", "inbound|http|80", 0)) == [1]
    assert lines(found.virtual_host("inbound|9080||", "inbound|http|80")) == [1]


def test_parts_of_a_gateway_lead_to_servers_and_rules(tmp_path: Path) -> None:
    found = origins(tmp_path, GATEWAY)
    assert lines(found.filter_chain("0.0.0.0_80", 0)) == [line_of("number: 80, name: http")]
    two = "    - match: [{sniHosts: [two.example]}]"
    assert lines(found.filter_chain("0.0.0.0_443", 1, server_names=["two.example"])) == [line_of(two)]
    host = "reviews.example:80"
    assert lines(found.route("http.80", host, 2)) == [
        line_of("    - route: [{destination: {host: reviews, subset: v1}}]")
    ]


TCP_GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {app: edge}
  servers:
    - {port: {number: 9000, name: plain, protocol: TCP}, hosts: ["*"]}
    - port: {number: 9443, name: ended, protocol: TLS}
      hosts: [one.example]
      tls: {mode: SIMPLE, credentialName: one}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: led, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [edge]
  tcp:
    - match: [{port: 9000}]
      route: [{destination: {host: reviews, port: {number: 80}}}]
    - match: [{port: 9443}]
      route: [{destination: {host: reviews, port: {number: 81}}}]
"""


def test_chains_of_tcp_at_a_gateway_lead_to_their_rules_wherever_these_stand(tmp_path: Path) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text(TCP_GATEWAY, encoding="utf-8")
    mesh = mizzen.load(file)
    translation = Translation(mesh)
    proxy = mizzen.Proxy.from_node(GATEWAY)
    found = PartOrigins(translation, proxy)
    assert lines(found.filter_chain("0.0.0.0_9000", 0)) == [19]
    assert lines(found.filter_chain("0.0.0.0_9443", 0, server_names=["one.example"])) == [21, 8]
    file.write_text(TCP_GATEWAY.replace("---\n", "---\n# moved\n# down\n"), encoding="utf-8")
    moved = mizzen.load(file)
    pairs = [(mesh.config(config.key), config) for config in moved.configs(VIRTUAL_SERVICE)]
    translation.update(mesh.updated(Changed(pairs))[0])
    found = PartOrigins(translation, proxy)
    assert lines(found.filter_chain("0.0.0.0_9000", 0)) == [21]
    assert lines(found.filter_chain("0.0.0.0_9443", 0, server_names=["one.example"])) == [23, 8]


def test_lines_that_moved_are_right_at_once(tmp_path: Path) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text(MESH, encoding="utf-8")
    mesh = mizzen.load(tmp_path)
    translation = Translation(mesh)
    proxy = mizzen.Proxy.from_node({"id": SIDECAR})
    translation.snapshot(proxy)
    file.write_text(f"# one\n# two\n# three\n{MESH}", encoding="utf-8")
    moved = mizzen.load(tmp_path)
    pairs = [
        (mesh.config(config.key), config)
        for kind in KINDS
        for config in moved.configs(KINDS_BY_NAME[kind][0].of)
    ]
    translation.update(mesh.updated(Changed(pairs))[0])
    found = PartOrigins(translation, proxy)
    assert lines(found.route("80", f"{REVIEWS}:80", 0)) == [line_of("end-user") + 3]
    assert lines(found.endpoint("outbound|5432||orders.example", "10.0.0.9")) == [line_of("10.0.0.9") + 3]


PASSING = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: between, namespace: shop}
spec:
  selector: {app: edge}
  servers:
    - port: {number: 15443, name: tls, protocol: TLS}
      hosts: ["*.local"]
      tls: {mode: AUTO_PASSTHROUGH}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {clusterIP: 10.1.0.1, ports: [{name: tcp, port: 5432}]}
"""


def test_moved_chains_of_a_gateway_lead_to_their_server() -> None:
    store = ConfigStore()

    def written(above: str) -> ConfigChange:
        return store.apply({"mesh.yaml": parse_documents((above + PASSING).encode(), "mesh.yaml")})

    mesh = Mesh.build(written("").updated)
    translation = Translation(mesh)
    gateway = mizzen.Proxy.from_node(GATEWAY)
    for moves in (0, 2):
        if moves:
            mesh, _ = mesh.updated(written("# a line\n" * moves))
            translation.update(mesh)
        (listener,) = translation.snapshot(gateway).collection(type_urls.LISTENER)
        assert lines(PartOrigins(translation, gateway).filter_chain(listener, 0)) == [7 + moves]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_route_has_the_place_of_its_own_document(case: Path) -> None:
    """The n-th route of a virtual host has the n-th of the places."""
    mesh, node = load(case)
    translation = Translation(mesh)
    proxy = mizzen.Proxy.from_node(node)
    found = PartOrigins(translation, proxy)
    for resource in translation.snapshot(proxy).collection(type_urls.ROUTE).values():
        message: Any = route_pb2.RouteConfiguration.FromString(resource.value)
        for host in message.virtual_hosts:
            for index, route in enumerate(host.routes):
                config = route.metadata.filter_metadata["istio"].fields["config"].string_value
                documents = [each.document for each in found.route(message.name, host.name, index)]
                assert all(documents)
                if "virtual-service" in config:
                    assert [each.name for each in documents if each] == [config.rpartition("/")[2]]
                    assert found.virtual_host(message.name, host.name)
