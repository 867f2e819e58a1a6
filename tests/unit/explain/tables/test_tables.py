"""Tables of what a proxy is sent: nothing is left out, filters find what people mean, keys stay secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from envoy.config.route.v3 import route_pb2

import mizzen
from mizzen.explain.origins import PartOrigins
from mizzen.explain.tables.row import Filter, Row
from mizzen.explain.tables.rows import KINDS, rows
from mizzen.explain.tables.sent import Sent
from mizzen.mesh.proxy.node import Proxy
from mizzen.translator.translate_result import TYPE_URLS
from mizzen.translator.translation import Translation
from mizzen.xds import Resource
from tests.golden.test_golden import load
from tests.self_signed import certificate_and_key

CASES = sorted(path.parent for path in (Path(__file__).parents[3] / "golden").glob("*/mesh.yaml"))
MESH = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  clusterIP: 10.1.0.1
  ports: [{name: http, port: 80}, {name: tcp, port: 90}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.2.0.1, labels: {app: shop, version: v1}, locality: north/a, weight: 3}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop]
  http:
  - match: [{uri: {prefix: /old}, headers: {beta: {}}}]
    redirect: {authority: new.example, redirectCode: 308}
  - match: [{uri: {exact: /gone}, method: {exact: PUT}}]
    directResponse: {status: 410}
  - route:
    - {destination: {host: shop, subset: v1, port: {number: 80}}, weight: 90}
    - {destination: {host: shop, subset: v2, port: {number: 80}}, weight: 10}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: wild}
spec:
  hosts: ["*.wild.example"]
  http: [{directResponse: {status: 204}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild}
spec:
  hosts: ["*.wild.example"]
  resolution: NONE
  ports: [{number: 80, name: http, protocol: HTTP}]
"""


def sent_to(mesh: mizzen.Mesh, proxy: Proxy) -> Sent:
    translation = Translation(mesh)
    snapshot = translation.snapshot(proxy)
    resources = {type_url: snapshot.collection(type_url).resources for type_url in TYPE_URLS.values()}
    return Sent(resources, PartOrigins(translation, proxy))


@pytest.fixture
def sent(tmp_path: Path) -> Sent:
    (tmp_path / "mesh.yaml").write_text(MESH, encoding="utf-8")
    node = {"id": "sidecar~10.2.0.1~shop-1.default~default.svc.cluster.local"}
    return sent_to(mizzen.load(tmp_path), Proxy.from_node(node))


def cells(found: tuple[Row, ...], *columns: str) -> list[tuple[str, ...]]:
    return [tuple(row.cells[column] for column in columns) for row in found]


def line_of(words: str) -> int:
    return next(number for number, line in enumerate(MESH.splitlines(), 1) if words in line)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_that_is_sent_is_left_out(case: Path) -> None:
    mesh, node = load(case)
    proxy = Proxy.from_node(node)
    whole, found = mizzen.translate(mesh, proxy), sent_to(mesh, proxy)
    for kind in KINDS:
        names = {row.resource for row in rows(kind, found)}
        messages = getattr(whole, kind)
        assert {each.cluster_name if kind == "endpoints" else each.name for each in messages} <= names
    chains = sum(len(each.filter_chains) + each.HasField("default_filter_chain") for each in whole.listeners)
    assert len(rows("listeners", found)) == chains
    for row in (row for kind in KINDS for row in rows(kind, found)):
        assert all(row.cells.values()), row
        assert Row.from_dict(json.loads(json.dumps(row.as_dict()))) == row


def test_routes_say_match_destination_weight_and_line(sent: Sent) -> None:
    found = rows("routes", sent, Filter(host="shop"))
    assert cells(found, "DOMAIN", "MATCH", "DESTINATION", "WEIGHT") == [
        ("shop.default +1", "path prefix /old, header beta present", "redirects 308 to new.example", "-"),
        ("shop.default +1", "path /gone, header :method = PUT", "answers 410", "-"),
        ("shop.default +1", "everything", "shop.default:80 v1", "90"),
        ("shop.default +1", "everything", "shop.default:80 v2", "10"),
    ]
    assert [int(row.origins[0].rpartition(":")[2]) for row in found] == [
        line_of("uri: {prefix: /old}"),
        line_of("uri: {exact: /gone}"),
        line_of("- route:"),
        line_of("- route:"),
    ]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(host="any.wild.example"), ["answers 204"]),
        (Filter(host="SHOP.default.svc.cluster.local", subset="v2"), ["shop.default:80 v2"]),
        (Filter(host="hop"), []),
        (Filter(fqdn="shop.default", port=80), ["shop.default:80 v1", "shop.default:80 v2"]),
        (Filter(fqdn="sho"), []),
        (Filter(port=90), []),
    ],
)
def test_filters_of_routes(sent: Sent, wanted: Filter, found: list[str]) -> None:
    assert [row.cells["DESTINATION"] for row in rows("routes", sent, wanted)] == found


def test_routes_say_what_is_redirected_to_https(tmp_path: Path) -> None:
    gateway = (
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec:\n"
        "  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example], "
        "tls: {httpsRedirect: true}}]\n---\n"
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: edge}\n"
        "spec: {hosts: [shop.example], gateways: [edge], http: [{directResponse: {status: 200}}]}\n"
    )
    (tmp_path / "m.yaml").write_text(gateway)
    proxy = Proxy.from_node({"id": "router~10.0.0.7~edge.default~default.svc.cluster.local"})
    found = rows("routes", sent_to(mizzen.load(tmp_path), proxy))
    assert [(row.cells["MATCH"], row.cells["DESTINATION"]) for row in found] == [
        ("plain text", "redirects 301 to HTTPS"),
        ("everything", "answers 200"),
    ]
    assert found[0].origins == (f"{tmp_path}/m.yaml:10",)
    assert Filter(host="shop.example").lets_through(found[0])


def test_routes_say_faults_and_mirrors(tmp_path: Path) -> None:
    plain = "  - route:\n"
    delay = "delay: {fixedDelay: 5s, percentage: {value: 10}}"
    fault = f"{{{delay}, abort: {{httpStatus: 503, percentage: {{value: 50}}}}}}"
    mirror = "{host: shop, subset: v2, port: {number: 80}}"
    shop = MESH.replace(plain, f"  - fault: {fault}\n    mirror: {mirror}\n    route:\n")
    (tmp_path / "mesh.yaml").write_text(shop, encoding="utf-8")
    node = {"id": "sidecar~10.2.0.1~shop-1.default~default.svc.cluster.local"}
    found = rows("routes", sent_to(mizzen.load(tmp_path), Proxy.from_node(node)), Filter(fqdn="shop.default"))
    beside = "10 % are delayed by 5s; 50 % are answered with 503; 100 % mirrored to shop.default:80 v2"
    assert [row.cells["DESTINATION"] for row in found if row.direction == "outbound"] == [
        f"shop.default:80 v1; {beside}",
        f"shop.default:80 v2; {beside}",
    ]


def test_endpoints_and_those_that_are_missing(sent: Sent) -> None:
    columns = ("ENDPOINT", "LOCALITY", "WEIGHT", "CLUSTER")
    assert cells(rows("endpoints", sent, Filter(fqdn="shop", port=80, subset="v1")), *columns) == [
        ("10.2.0.1:80", "north/a", "3", "shop.default:80 v1")
    ]
    assert cells(rows("endpoints", sent, Filter(subset="v2", port=80)), *columns) == [
        ("none", "-", "-", "shop.default:80 v2")
    ]


def test_clusters_and_listeners_by_direction(sent: Sent) -> None:
    inbound = rows("clusters", sent, Filter(direction="inbound"))
    assert cells(inbound, "SERVICE", "PORT") == [("this workload", "80"), ("this workload", "90")]
    chains = rows("listeners", sent, Filter(direction="outbound", fqdn="shop.default", port=90))
    assert cells(chains, "ADDRESS", "DESTINATION") == [("10.1.0.1:90", "shop.default:90")]


def entry(number: int, *, takes_tls: bool) -> str:
    label = ", security.istio.io/tlsMode: istio" if takes_tls else ""
    return (
        "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n"
        f"metadata: {{name: shop-{number}}}\n"
        f"spec: {{address: 10.2.0.{number}, labels: {{app: shop, version: v1{label}}}}}\n"
    )


@pytest.mark.parametrize(
    ("endpoints", "spoken"),
    [
        ((True, True), "mutual TLS"),
        ((True, False), "mutual TLS to some endpoints"),
        ((False, False), "-"),
        ((), "mutual TLS where the endpoint accepts it"),
    ],
)
def test_clusters_say_what_their_endpoints_are_spoken_to(
    endpoints: tuple[bool, ...], spoken: str, tmp_path: Path
) -> None:
    service, *_ = MESH.split("---\n")
    rule = MESH.split("---\n")[2]
    entries = "".join(entry(number, takes_tls=takes) for number, takes in enumerate(endpoints, 1))
    (tmp_path / "mesh.yaml").write_text(f"{service}{entries}---\n{rule}", encoding="utf-8")
    proxy = Proxy.from_node({"id": "sidecar~10.2.0.9~client.default~default.svc.cluster.local"})
    found = rows("clusters", sent_to(mizzen.load(tmp_path), proxy), Filter(fqdn="shop", subset="v1", port=80))
    assert cells(found, "TLS") == [(spoken,)]


def test_an_older_version_of_a_resource_leads_to_all_its_documents(sent: Sent, tmp_path: Path) -> None:
    mesh = mizzen.load(tmp_path)
    proxy = Proxy.from_node({"id": "sidecar~10.2.0.1~shop-1.default~default.svc.cluster.local"})
    old = route_pb2.RouteConfiguration(name="80")
    old.virtual_hosts.add(name="shop", domains=["shop"]).routes.add().direct_response.status = 503
    resource = Resource.of(old, origins=("old.yaml:1", "old.yaml:7"))
    url = resource.type_url
    held = Sent({url: {"80": resource}}, PartOrigins(Translation(mesh), proxy), {(url, "80"): "is old"})
    (row,) = rows("routes", held)
    assert (row.origins, row.state) == (("old.yaml:1", "old.yaml:7"), "is old")


def test_secrets_show_what_a_certificate_says_and_no_key(tmp_path: Path) -> None:
    certificate, key = certificate_and_key()
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "shop", "namespace": "edge"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": key},
    }
    gateway = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "shop", "namespace": "edge"},
        "spec": {
            "servers": [
                {
                    "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                    "hosts": ["*"],
                    "tls": {"mode": "SIMPLE", "credentialName": "shop"},
                }
            ]
        },
    }
    (tmp_path / "mesh.json").write_text(
        json.dumps({"kind": "List", "apiVersion": "v1", "items": [secret, gateway]})
    )
    proxy = Proxy.from_node({"id": "router~10.0.0.7~ingress.edge~edge.svc.cluster.local"})
    found = rows("secrets", sent_to(mizzen.load(tmp_path), proxy))
    told = json.dumps([row.as_dict() for row in found])
    assert [row.cells["KIND"] for row in found] == ["certificate"]
    assert found[0].cells["VALID UNTIL"].endswith("UTC")
    assert [place.rpartition("/")[2] for place in found[0].origins] == ["mesh.json:1"]
    assert "PRIVATE" not in told
    assert not any(line in told for line in key.splitlines()[1:-1])
