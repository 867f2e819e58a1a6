from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mizzen.mesh.proxy import Proxy
from mizzen.mesh.service import HealthStatus, Locality, Protocol, Resolution, Service
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.destinations import races_addresses

MeshOf = Callable[..., Mesh]


def service_of(mesh: Mesh, host: str, namespace: str = "default") -> Service:
    return mesh.registry.services[(namespace, host)]


def addresses(mesh: Mesh, host: str, namespace: str = "default") -> list[str]:
    return [endpoint.address for endpoint in mesh.endpoints(service_of(mesh, host, namespace))]


def test_service_entry(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: ServiceEntry
metadata: {name: db, labels: {team: a}}
spec:
  hosts: [a.com]
  addresses: [10.1.0.1/32, 10.2.0.0/16]
  ports:
  - {number: 80, name: web, protocol: http}
  - {number: 53, name: dns, protocol: UDP}
  - {number: 9000, name: other, protocol: ""}
  - {number: 443, name: tls, protocol: TLS, targetPort: 8443}
  resolution: STATIC
  endpoints:
  - address: 10.0.0.1
    ports: {web: 8080}
    labels: {version: v1, topology.istio.io/network: net}
    locality: region/zone/sub
    weight: 5
    serviceAccount: sa
""")
    service = service_of(mesh, "a.com")
    assert service.addresses == ("10.1.0.1", "10.2.0.0/16")
    assert [port.protocol for port in service.ports] == [
        Protocol.HTTP,
        Protocol.UDP,
        Protocol.UNSUPPORTED,
        Protocol.TLS,
    ]
    assert service.port(53) is None
    assert (service.resolution, service.mesh_external) == (Resolution.STATIC, True)
    (endpoint,) = mesh.endpoints(service)
    assert endpoint.ports == (("web", 8080), ("other", 9000), ("tls", 8443))
    assert endpoint.locality == Locality("region", "zone", "sub")
    assert (endpoint.weight, endpoint.network, endpoint.tls_mode) == (5, "net", "istio")
    assert endpoint.identity == "spiffe://cluster.local/ns/default/sa/sa"
    labels = dict(endpoint.labels)
    assert labels["topology.kubernetes.io/zone"] == "zone"
    assert labels["version"] == "v1"
    assert str(endpoint.origin) == "mesh.yaml:14"


def test_one_service_for_each_host(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: ServiceEntry
metadata: {name: two}
spec:
  hosts: [a.com, b.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1}]
""")
    assert addresses(mesh, "a.com") == addresses(mesh, "b.com") == ["10.0.0.1"]
    assert service_of(mesh, "a.com").name == "a.com"


def test_workload_selector_picks_entries_and_pods_of_its_namespace(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: ServiceEntry
metadata: {name: db}
spec:
  hosts: [db.com]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  resolution: STATIC
  workloadSelector: {labels: {app: db}}
---
kind: WorkloadEntry
metadata: {name: b, labels: {app: db, version: metadata}}
spec: {address: 10.0.0.2, labels: {version: spec}}
---
kind: WorkloadEntry
metadata: {name: a}
spec: {address: 10.0.0.1, labels: {app: db}, ports: {http: 9999}}
---
kind: WorkloadEntry
metadata: {name: named, labels: {app: db}}
spec: {address: vm.example.com}
---
kind: WorkloadEntry
metadata: {name: elsewhere, namespace: other, labels: {app: db}}
spec: {address: 10.0.0.3}
---
kind: Pod
metadata: {name: pod, labels: {app: db}}
spec: {serviceAccountName: sa}
status: {podIP: 10.0.0.4}
---
kind: Pod
metadata: {name: starting, labels: {app: db}}
""")
    pool = mesh.endpoints(service_of(mesh, "db.com"))
    assert [endpoint.address for endpoint in pool] == ["10.0.0.4", "10.0.0.1", "10.0.0.2"]
    assert [endpoint.port_named("http") for endpoint in pool] == [8080, 9999, 8080]
    assert dict(pool.endpoints[2].labels)["version"] == "metadata"


def test_dns_services(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: ServiceEntry
metadata: {name: own}
spec:
  hosts: [own.com]
  ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}]
  resolution: DNS
---
kind: ServiceEntry
metadata: {name: nothing}
spec:
  hosts: [nothing.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
  workloadSelector: {labels: {app: none}}
---
kind: ServiceEntry
metadata: {name: first}
spec:
  hosts: [merged.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
  endpoints: [{address: one.com}]
---
kind: ServiceEntry
metadata: {name: second}
spec:
  hosts: [merged.com]
  ports: [{number: 80, name: web, protocol: HTTP, targetPort: 81}]
  resolution: DNS
  endpoints: [{address: two.com}]
""")
    (endpoint,) = mesh.endpoints(service_of(mesh, "own.com"))
    assert (endpoint.address, endpoint.ports) == ("own.com", (("tls", 8443),))
    assert addresses(mesh, "nothing.com") == []
    # DNS load assignments are joined by the port's number, whatever its name.
    pool = mesh.endpoints(service_of(mesh, "merged.com"))
    assert [(one.address, one.port_named("http")) for one in pool] == [("one.com", 80), ("two.com", 81)]


def test_static_services_are_joined_by_port_name(mesh_of: MeshOf) -> None:
    entry = """
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [a.com]
  ports: [{{number: {number}, name: {port}, protocol: HTTP}}]
  resolution: {resolution}
  endpoints: [{{address: {address}}}]
"""
    first = entry.format(name="a", number=80, port="http", resolution="STATIC", address="10.0.0.1")
    second = entry.format(name="b", number=80, port="web", resolution="STATIC", address="10.0.0.2")
    third = entry.format(name="c", number=90, port="more", resolution="STATIC", address="10.0.0.3")
    other = entry.format(name="d", number=70, port="x", resolution="DNS", address="x.com")
    mesh = mesh_of("---".join((first, second, third, other)))
    service = service_of(mesh, "a.com")
    assert [(port.number, port.name) for port in service.ports] == [(80, "http"), (90, "more")]
    named = {one.address: one.port_named("http") for one in mesh.endpoints(service)}
    assert named == {"10.0.0.1": 80, "10.0.0.2": None, "10.0.0.3": None, "x.com": None}
    (ignored,) = mesh.diagnostics
    assert (ignored.code, ignored.path) == ("MZ0201", "spec.ports")
    assert "port 70 of this one is ignored; give both the same resolution" in ignored.message


def test_round_robin_dns_has_one_endpoint_a_port(mesh_of: MeshOf) -> None:
    entry = """
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [a.com]
  ports: [{{number: {port}, name: http-{port}, protocol: HTTP}}]
  resolution: DNS_ROUND_ROBIN
  endpoints: [{{address: {name}.com}}]
"""
    mesh = mesh_of(
        "---".join(entry.format(name=name, port=port) for name, port in (("p", 80), ("q", 80), ("r", 90)))
    )
    assert addresses(mesh, "a.com") == ["p.com", "r.com"]


KUBERNETES = """
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  selector: {app: web}
  ports:
  - {name: http-main, port: 80, targetPort: main}
  - {name: api, port: 81, appProtocol: grpc}
  - {name: plain, port: 3306}
---
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web, version: v1}}
spec:
  serviceAccountName: web
  containers: [{name: c, ports: [{name: main, containerPort: 8080}]}]
status: {podIP: 10.0.0.1}
---
kind: WorkloadEntry
metadata: {name: vm, namespace: shop, labels: {app: web}}
spec: {address: 10.0.0.2, ports: {http-main: 9090}}
"""


def test_kubernetes_service_with_pods_and_entries(mesh_of: MeshOf) -> None:
    mesh = mesh_of(KUBERNETES)
    service = service_of(mesh, "web.shop.svc.cluster.local", "shop")
    assert (service.addresses, service.from_kubernetes, service.name) == (("10.96.0.1",), True, "web")
    assert [port.protocol for port in service.ports] == [Protocol.HTTP, Protocol.GRPC, Protocol.TCP]
    pod, entry = mesh.endpoints(service)
    assert (pod.address, pod.ports) == ("10.0.0.1", (("http-main", 8080), ("api", 81), ("plain", 3306)))
    assert pod.identity == "spiffe://cluster.local/ns/shop/sa/web"
    assert (entry.address, entry.port_named("http-main")) == ("10.0.0.2", 9090)


def test_endpoint_slices_hide_pods_and_endpoints(mesh_of: MeshOf, changed: Callable[..., Any]) -> None:
    listings = """
---
kind: EndpointSlice
metadata: {name: web-x, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- {addresses: [10.0.0.1], zone: z1}
- {addresses: [10.0.0.8], conditions: {ready: false}}
- {addresses: [10.0.0.9], conditions: {ready: false, serving: true, terminating: true}}
ports: [{name: http-main, port: 7070}]
---
kind: Endpoints
metadata: {name: web, namespace: shop}
subsets: [{addresses: [{ip: 10.0.0.7}], ports: [{name: api, port: 6060}]}]
"""
    mesh = mesh_of(KUBERNETES + listings)
    host = "web.shop.svc.cluster.local"
    pool = mesh.endpoints(service_of(mesh, host, "shop"))
    assert [one.address for one in pool] == ["10.0.0.1", "10.0.0.8", "10.0.0.9", "10.0.0.2"]
    assert pool.endpoints[0].ports == (("http-main", 7070),)
    assert dict(pool.endpoints[0].labels)["version"] == "v1"
    assert pool.endpoints[0].locality.zone == "z1"
    assert [one.health for one in pool][1:3] == [HealthStatus.UNHEALTHY, HealthStatus.DRAINING]
    without_slice, delta = changed(mesh, removed=(("EndpointSlice", "shop", "web-x"),))
    assert delta.endpoints_only
    assert addresses(without_slice, host, "shop") == ["10.0.0.7", "10.0.0.2"]
    relabelled, delta = changed(
        mesh,
        """
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: other, version: v2}}
status: {podIP: 10.0.0.1}
""",
    )
    assert delta.endpoints == {("shop", host)}
    assert (
        dict(relabelled.endpoints(service_of(relabelled, host, "shop")).endpoints[0].labels)["version"]
        == "v2"
    )


@pytest.mark.parametrize(
    ("spec", "resolution", "headless", "external"),
    [
        ("{clusterIP: None, ports: [{port: 80}]}", Resolution.NONE, True, False),
        ("{type: ExternalName, externalName: x.com, ports: [{port: 80}]}", Resolution.DNS, False, True),
    ],
)
def test_kubernetes_services_of_other_types(
    mesh_of: MeshOf, spec: str, resolution: Resolution, headless: bool, external: bool
) -> None:
    mesh = mesh_of(f"kind: Service\nmetadata: {{name: a}}\nspec: {spec}")
    service = service_of(mesh, "a.default.svc.cluster.local")
    assert (service.resolution, service.headless, service.mesh_external) == (resolution, headless, external)
    assert addresses(mesh, service.hostname) == (["x.com"] if external else [])


def test_kubernetes_owns_a_host_that_an_entry_claims_too(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: ServiceEntry
metadata: {name: a, creationTimestamp: "2001-01-01T00:00:00Z"}
spec:
  hosts: [web.default.svc.cluster.local]
  ports: [{number: 81, name: tcp, protocol: TCP}, {number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.5}]
---
kind: Service
metadata: {name: web, creationTimestamp: "2002-01-01T00:00:00Z"}
spec: {ports: [{name: http, port: 80}]}
""")
    service = service_of(mesh, "web.default.svc.cluster.local")
    assert service.from_kubernetes
    assert [port.number for port in service.ports] == [80]
    assert addresses(mesh, service.hostname) == ["10.0.0.5"]


def test_instances_and_labels_of_a_proxy(mesh_of: MeshOf, proxy_at: Callable[..., Any]) -> None:
    mesh = mesh_of("""
kind: ServiceEntry
metadata: {name: b, creationTimestamp: "2002-01-01T00:00:00Z"}
spec:
  hosts: [b.com]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1, labels: {app: from-b}}]
---
kind: ServiceEntry
metadata: {name: a, creationTimestamp: "2001-01-01T00:00:00Z"}
spec:
  hosts: [z.com]
  ports: [{number: 90, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1, labels: {app: from-z}}]
---
kind: ServiceEntry
metadata: {name: c, namespace: other}
spec:
  hosts: [c.com]
  ports: [{number: 90, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1}]
""")
    proxy = proxy_at(address="10.0.0.1", app="from-node")
    found = [(one.service.hostname, one.port.number, one.target_port) for one in mesh.instances(proxy)]
    assert found == [("z.com", 90, 90), ("b.com", 80, 8080)]
    assert mesh.workload_labels(proxy)["app"] == "from-z"
    assert mesh.workload_labels(proxy_at(address="10.0.0.2", app="from-node")) == {"app": "from-node"}


def test_export_to_and_the_mesh_default(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    entry = """
kind: ServiceEntry
metadata: {{name: e{number}}}
spec:
  hosts: [e{number}.com]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  exportTo: {export_to}
"""
    exports = ("[]", '["*"]', '["."]', "[other]", '["~"]')
    text = "---".join(entry.format(number=number, export_to=each) for number, each in enumerate(exports))

    def seen(mesh: Mesh, namespace: str) -> list[str]:
        return [service.hostname for service in scope_of(mesh, namespace).services]

    mesh = mesh_of(text)
    assert seen(mesh, "default") == ["e0.com", "e1.com", "e2.com"]
    assert seen(mesh, "other") == ["e0.com", "e1.com", "e3.com"]
    private = mesh_of(text, default_service_export_to=["."])
    assert seen(private, "default") == ["e0.com", "e1.com", "e2.com"]
    assert seen(private, "other") == ["e1.com", "e3.com"]


def test_allocated_addresses_do_not_depend_on_the_order_of_documents(
    mesh_of: MeshOf, changed: Callable[..., Any]
) -> None:
    entry = """
kind: ServiceEntry
metadata: {{name: e{number}}}
spec:
  hosts: [e{number}.com]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: {resolution}
"""
    static = [entry.format(number=number, resolution="STATIC") for number in range(300)]
    mesh = mesh_of("---".join(static))
    addresses = {key: one.auto_allocated_addresses for key, one in mesh.registry.services.items()}
    assert all(ipv4.startswith("240.240.") and ":" in ipv6 for ipv4, ipv6 in addresses.values())
    assert len(set(addresses.values())) == 300
    assert not any(ipv4.endswith((".0", ".255")) for ipv4, _ in addresses.values())
    half, _ = changed(mesh_of("---".join(static[150:])), "---".join(static[:150]))
    assert {key: one.auto_allocated_addresses for key, one in half.registry.services.items()} == addresses
    none, _ = changed(mesh, entry.format(number=7, resolution="NONE"))
    assert none.registry.services[("default", "e7.com")].auto_allocated_addresses == ()


def test_a_selector_of_several_labels_picks_workloads_with_all_of_them(
    mesh_of: MeshOf, changed: Callable[..., Any]
) -> None:
    vm = """
---
kind: WorkloadEntry
metadata: {{name: {name}, labels: {labels}}}
spec: {{address: {address}}}
"""
    mesh = mesh_of(
        """
kind: ServiceEntry
metadata: {name: db}
spec:
  hosts: [db.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  workloadSelector: {labels: {app: db, tier: gold}}
"""
        + vm.format(name="both", labels="{app: db, tier: gold, more: x}", address="10.0.0.1")
        + vm.format(name="one", labels="{app: db}", address="10.0.0.2")
        + vm.format(name="other", labels="{tier: gold}", address="10.0.0.3")
        + vm.format(name="wrong", labels="{app: db, tier: silver}", address="10.0.0.4")
    )
    assert addresses(mesh, "db.com") == ["10.0.0.1"]
    now, _ = changed(mesh, vm.format(name="other", labels="{app: db, tier: gold}", address="10.0.0.3")[5:])
    assert addresses(now, "db.com") == ["10.0.0.1", "10.0.0.3"]
    less, _ = changed(now, vm.format(name="both", labels="{app: db}", address="10.0.0.1")[5:])
    assert addresses(less, "db.com") == ["10.0.0.3"]


def test_a_service_may_name_in_an_annotation_who_sees_it(
    mesh_of: MeshOf, scope_of: Callable[..., Any]
) -> None:
    mesh = mesh_of("""
kind: Service
metadata: {name: web, namespace: shop, annotations: {networking.istio.io/exportTo: "one , ,two"}}
spec: {ports: [{name: http, port: 80}]}
""")
    assert [bool(scope_of(mesh, name).services) for name in ("one", "two", "shop", "other")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_block_of_addresses_may_be_written_by_one_of_them(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: ServiceEntry
metadata: {name: db}
spec:
  hosts: [db.com]
  addresses: [10.1.2.3/8, 10.0.0.1, 10.0.0.1/32, "2001:db8::1/128"]
  ports: [{number: 80, name: tcp, protocol: TCP}]
  resolution: NONE
""")
    assert service_of(mesh, "db.com").addresses == ("10.1.2.3/8", "10.0.0.1", "2001:db8::1")


def test_an_endpoint_has_the_labels_of_a_place_that_is_known(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: ServiceEntry
metadata: {name: db}
spec:
  hosts: [db.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints:
  - {address: 10.0.0.1, labels: {app: db}}
  - {address: 10.0.0.2, locality: r/z, network: west}
  - {address: 10.0.0.3, locality: r/z/s, labels: {topology.kubernetes.io/zone: own}}
""")
    nowhere, somewhere, relabelled = mesh.endpoints(service_of(mesh, "db.com"))
    assert nowhere.labels == (("app", "db"),)
    assert dict(somewhere.labels) == {
        "topology.kubernetes.io/region": "r",
        "topology.kubernetes.io/zone": "z",
        "topology.istio.io/network": "west",
    }
    assert dict(relabelled.labels) == {
        "topology.kubernetes.io/region": "r",
        "topology.kubernetes.io/zone": "z",
        "topology.istio.io/subzone": "s",
    }


def test_what_a_pod_speaks_is_in_its_label(mesh_of: MeshOf) -> None:
    pods = """
---
kind: Pod
metadata: {name: in-mesh, namespace: shop, labels: {app: web, security.istio.io/tlsMode: istio}}
status: {podIP: 10.0.0.5}
"""
    mesh = mesh_of(KUBERNETES + pods)
    pool = mesh.endpoints(service_of(mesh, "web.shop.svc.cluster.local", "shop"))
    assert {each.address: each.tls_mode for each in pool} == {
        "10.0.0.1": "disabled",
        "10.0.0.2": "disabled",
        "10.0.0.5": "istio",
    }
    assert {each.address: each.weight for each in pool} == {"10.0.0.1": 1, "10.0.0.2": 1, "10.0.0.5": 1}


@pytest.mark.parametrize(
    ("annotations", "spec", "told"),
    [
        ("{}", "{ports: [{port: 80}]}", False),
        ("{}", "{internalTrafficPolicy: Local, ports: [{port: 80}]}", True),
        ("{}", "{trafficDistribution: PreferSameNode, ports: [{port: 80}]}", True),
        ("{networking.istio.io/traffic-distribution: PreferSameNode}", "{ports: [{port: 80}]}", True),
        ("{networking.istio.io/traffic-distribution: PreferClose}", "{ports: [{port: 80}]}", False),
    ],
)
def test_a_clients_node_counts_while_a_service_asks_for_it(
    mesh_of: MeshOf, changed: Callable[..., Any], annotations: str, spec: str, told: bool
) -> None:
    proxy = Proxy.from_node({"id": "sidecar~10.9.9.9~a.b~b.c", "metadata": {"NODE_NAME": "n1"}})
    mesh = mesh_of(f"kind: Service\nmetadata: {{name: a, annotations: {annotations}}}\nspec: {spec}")
    assert mesh.outbound_profile(proxy).node_name == ("n1" if told else "")
    gone, _ = changed(mesh, removed=(("Service", "default", "a"),))
    assert gone.outbound_profile(proxy).node_name == ""


TWO = """
kind: ServiceEntry
metadata: {{name: {name}, creationTimestamp: "{year}-01-01T00:00:00Z", labels: {labels}}}
spec:
  hosts: [a.com]
  ports: {ports}
  resolution: {resolution}
  exportTo: {export_to}
{more}
"""
FIRST_PORTS = "[{number: 80, name: http, protocol: HTTP}]"
SECOND_PORTS = "[{number: 80, name: other, protocol: TCP}, {number: 81, name: more, protocol: TCP}]"


def declared(name: str, ports: str, year: int = 2000, **changes: str) -> str:
    values = {"labels": "{}", "resolution": "STATIC", "export_to": "[]", "more": "", **changes}
    return TWO.format(name=name, ports=ports, year=year, **values)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({}, ""),
        ({"labels": "{team: b}"}, "labels"),
        ({"resolution": "DNS"}, "resolution"),
        ({"export_to": "['.']"}, "exportTo"),
        ({"more": "  workloadSelector: {labels: {app: a}}"}, "workloadSelector"),
    ],
)
def test_entries_of_one_host_are_one_service_where_they_agree(
    mesh_of: MeshOf, changed: Callable[..., Any], changes: dict[str, str], difference: str
) -> None:
    third = "[{number: 82, name: third, protocol: TCP}]"
    mesh = mesh_of(
        "---".join(
            [
                declared("c", third, 2003),
                declared("b", SECOND_PORTS, 2002, **changes),
                declared("a", FIRST_PORTS, 2001),
            ]
        )
    )
    ports = {port.number: port.name for port in service_of(mesh, "a.com").ports}
    if not difference:
        assert ports == {80: "http", 81: "more", 82: "third"}
        assert [str(origin) for origin in service_of(mesh, "a.com").origins] == [
            "mesh.yaml:19",
            "mesh.yaml:10",
            "mesh.yaml:1",
        ]
        assert mesh.diagnostics == ()
        return
    assert ports == {80: "http", 82: "third"}
    (found,) = mesh.diagnostics
    assert (found.code, found.path) == ("MZ0201", "spec.ports")
    assert f"port 81 of this one is ignored; give both the same {difference}" in found.message
    mended, _ = changed(mesh, declared("b", SECOND_PORTS, 2002))
    assert mended.diagnostics == ()
    gone, _ = changed(mesh, removed=tuple(("ServiceEntry", "default", name) for name in "abc"))
    assert gone.diagnostics == ()


def test_what_is_gone_leaves_nothing_in_the_indexes(mesh_of: MeshOf, changed: Callable[..., Any]) -> None:
    mesh = mesh_of(KUBERNETES)
    slices = """
kind: EndpointSlice
metadata: {name: web-x, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}]
ports: [{name: http-main, port: 7070}]
"""
    mesh, _ = changed(mesh, slices)
    gone, _ = changed(
        mesh,
        removed=(
            ("Service", "shop", "web"),
            ("Pod", "shop", "web-1"),
            ("WorkloadEntry", "shop", "vm"),
            ("EndpointSlice", "shop", "web-x"),
        ),
    )
    registry = gone.registry
    service = ("shop", "web.shop.svc.cluster.local")
    assert not any((registry.services, registry.pools, registry.workloads_by_key, registry.diagnostics))
    assert not registry.selectors.get(("shop", "app", "web"))
    assert not registry.declarations.get(service)
    assert not registry.workloads.get(("shop", "app", "web"))
    assert not registry.pods.get("10.0.0.1")
    assert not registry.listed.get("10.0.0.1")
    assert not registry.listings.get(("shop", "web"))
    assert not registry.by_address.get("10.0.0.1")
    assert registry.hosts.get(service[1]) is None


def test_an_address_is_allocated_to_what_has_none(mesh_of: MeshOf) -> None:
    entry = """
kind: ServiceEntry
metadata: {{name: "{name}"}}
spec:
  hosts: ["{host}"]
  addresses: {addresses}
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: {resolution}
"""
    cases = {
        "plain.com": ("[]", "STATIC", True),
        "own.com": ("[10.1.1.1]", "STATIC", False),
        "none.com": ("[]", "NONE", False),
        "*.wild.com": ("[]", "DYNAMIC_DNS", False),
    }
    mesh = mesh_of(
        "---".join(
            entry.format(name=f"e{number}", host=host, addresses=addresses, resolution=resolution)
            for number, (host, (addresses, resolution, _)) in enumerate(cases.items())
        )
    )
    found = {host: bool(service_of(mesh, host).auto_allocated_addresses) for host in cases}
    assert found == {host: allocated for host, (_, _, allocated) in cases.items()}


def test_a_port_of_a_slice_without_a_number_is_not_served(mesh_of: MeshOf) -> None:
    mesh = mesh_of(
        KUBERNETES
        + """
---
kind: EndpointSlice
metadata: {name: web-x, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.9]}]
ports: [{name: http-main}, {name: api, port: 6060}]
"""
    )
    pool = mesh.endpoints(service_of(mesh, "web.shop.svc.cluster.local", "shop"))
    assert pool.endpoints[0].ports == (("api", 6060),)


def test_an_external_name_counts_for_that_type_alone(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: Service
metadata: {name: a}
spec: {type: ClusterIP, externalName: x.com, ports: [{name: web, port: 80, appProtocol: grpc-web}]}
""")
    service = service_of(mesh, "a.default.svc.cluster.local")
    assert (service.resolution, service.mesh_external) == (Resolution.STATIC, False)
    assert service.ports[0].protocol is Protocol.GRPC_WEB


def test_a_target_by_name_may_be_a_port_of_a_workload_entry(mesh_of: MeshOf) -> None:
    mesh = mesh_of(KUBERNETES.replace("ports: {http-main: 9090}", "ports: {main: 9191}"))
    pool = mesh.endpoints(service_of(mesh, "web.shop.svc.cluster.local", "shop"))
    assert {one.address: one.port_named("http-main") for one in pool} == {"10.0.0.1": 8080, "10.0.0.2": 9191}


def test_annotations_are_the_services_too(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: ServiceEntry
metadata: {name: a, annotations: {istio.io/connect-strategy: RACE_FIRST_TCP_CONNECT}}
spec:
  hosts: [a.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
---
kind: Service
metadata: {name: b, annotations: {mine: "1"}, labels: {team: x}}
spec: {ports: [{name: http, port: 80}]}
""")
    assert races_addresses(service_of(mesh, "a.com"))
    service = service_of(mesh, "b.default.svc.cluster.local")
    assert (dict(service.annotations), dict(service.labels)) == ({"mine": "1"}, {"team": "x"})


def test_each_workload_of_a_shared_address_is_an_endpoint_once(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: [a.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints:
  - {address: 10.0.0.1, ports: {http: 1}}
  - {address: 10.0.0.1, ports: {http: 2}}
  - {address: 10.0.0.2, ports: {http: 1}}
  - {address: 10.0.0.1, ports: {http: 3}}
""")
    pool = mesh.endpoints(service_of(mesh, "a.com"))
    assert [(one.address, one.port_named("http")) for one in pool] == [
        ("10.0.0.1", 1),
        ("10.0.0.1", 2),
        ("10.0.0.2", 1),
        ("10.0.0.1", 3),
    ]


def test_a_workload_that_two_entries_of_a_host_select_is_one_endpoint(mesh_of: MeshOf) -> None:
    more = "  workloadSelector: {labels: {app: x}}"
    vm = """
kind: WorkloadEntry
metadata: {name: vm, labels: {app: x}}
spec: {address: 10.0.0.1}
"""
    both = [declared(name, FIRST_PORTS, more=more) for name in "ab"]
    assert addresses(mesh_of("---".join([*both, vm])), "a.com") == ["10.0.0.1"]


def test_a_zone_of_a_pod_goes_before_that_of_a_slice(mesh_of: MeshOf) -> None:
    text = KUBERNETES.replace(
        "labels: {app: web, version: v1}", "labels: {app: web, topology.kubernetes.io/zone: own}"
    )
    listing = """
---
kind: EndpointSlice
metadata: {name: web-x, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1], zone: listed}]
ports: [{name: http-main, port: 7070}]
"""
    host = "web.shop.svc.cluster.local"
    for pods, zone in ((text, "own"), (KUBERNETES, "listed")):
        mesh = mesh_of(pods + listing)
        assert mesh.endpoints(service_of(mesh, host, "shop")).endpoints[0].locality.zone == zone


def test_a_change_of_one_of_two_selecting_entries_leaves_the_other_in_place(
    mesh_of: MeshOf, changed: Callable[..., Any]
) -> None:
    def selecting(name: str, app: str) -> str:
        return declared(name, FIRST_PORTS, more=f"  workloadSelector: {{labels: {{app: {app}}}}}")

    def vm(name: str, app: str, address: str) -> str:
        return f"""
kind: WorkloadEntry
metadata: {{name: {name}, labels: {{app: {app}}}}}
spec: {{address: {address}}}
"""

    mesh = mesh_of(
        "---".join(
            [selecting("a", "x"), selecting("b", "z"), vm("one", "x", "10.0.0.1"), vm("two", "z", "10.0.0.2")]
        )
    )
    assert sorted(addresses(mesh, "a.com")) == ["10.0.0.1", "10.0.0.2"]
    mesh, _ = changed(mesh, removed=(("ServiceEntry", "default", "b"),))
    assert addresses(mesh, "a.com") == ["10.0.0.1"]
    mesh, delta = changed(mesh, vm("three", "x", "10.0.0.3"))
    assert delta.endpoints == {("default", "a.com")}
    assert addresses(mesh, "a.com") == ["10.0.0.1", "10.0.0.3"]
    mesh, delta = changed(mesh, vm("four", "z", "10.0.0.4"))
    assert not delta.endpoints
    # The same where the one that goes asked for a label of the other's.
    narrow = selecting("b", "x").replace("{app: x}", "{app: x, tier: one}")
    mesh, _ = changed(mesh, narrow)
    mesh, _ = changed(mesh, removed=(("ServiceEntry", "default", "b"),))
    mesh, delta = changed(mesh, vm("five", "x", "10.0.0.5"))
    assert delta.endpoints == {("default", "a.com")}
    assert "10.0.0.5" in addresses(mesh, "a.com")


def test_many_changes_at_once_leave_the_services_in_order_of_age(
    mesh_of: MeshOf, scope_of: Callable[..., Any], changed: Callable[..., Any]
) -> None:
    def entry(number: int) -> str:
        return f"""
kind: ServiceEntry
metadata: {{name: e{number}, creationTimestamp: "{2300 - number}-01-01T00:00:00Z"}}
spec:
  hosts: [e{number}.com]
  ports: [{{number: {80 + number % 2}, name: http, protocol: HTTP}}]
  resolution: STATIC
"""

    mesh = mesh_of(entry(150))
    scope_of(mesh)
    many, _ = changed(mesh, "---".join(entry(number) for number in range(300) if number != 150))
    scope = scope_of(many)
    assert [one.hostname for one in scope.services] == [f"e{number}.com" for number in reversed(range(300))]
    assert [one.hostname for one in scope.services_on_port(80)] == [
        f"e{number}.com" for number in reversed(range(0, 300, 2))
    ]


def test_endpoints_that_are_not_ready_are_unhealthy(mesh_of: MeshOf) -> None:
    mesh = mesh_of(
        KUBERNETES
        + """
---
kind: Endpoints
metadata: {name: web, namespace: shop}
subsets:
- {addresses: [{ip: 10.0.0.8}], notReadyAddresses: [{ip: 10.0.0.9}], ports: [{name: api, port: 6060}]}
"""
    )
    pool = mesh.endpoints(service_of(mesh, "web.shop.svc.cluster.local", "shop"))
    assert [(one.address, one.health) for one in pool][:2] == [
        ("10.0.0.8", HealthStatus.HEALTHY),
        ("10.0.0.9", HealthStatus.UNHEALTHY),
    ]


COLLIDING = ("a3182.example.com", "a8473.example.com")
"""In the namespace default both hash to the slot 8763."""


@pytest.mark.parametrize("older", COLLIDING)
def test_of_two_hosts_that_hash_alike_the_older_has_the_address(
    mesh_of: MeshOf, changed: Callable[..., Any], older: str
) -> None:
    def entry(host: str, year: int) -> str:
        return f"""
kind: ServiceEntry
metadata: {{name: {host}, creationTimestamp: "{year}-01-01T00:00:00Z"}}
spec:
  hosts: [{host}]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
"""

    def allocated(mesh: Mesh, host: str) -> tuple[str, ...]:
        return service_of(mesh, host).auto_allocated_addresses

    (younger,) = set(COLLIDING) - {older}
    alone = allocated(mesh_of(entry(younger, 2002)), younger)
    assert alone == allocated(mesh_of(entry(older, 2001)), older)
    for text in (
        entry(older, 2001) + "---" + entry(younger, 2002),
        entry(younger, 2002) + "---" + entry(older, 2001),
    ):
        both = mesh_of(text)
        assert allocated(both, older) == alone
        assert allocated(both, younger) not in (alone, ())
    # A younger one that was there first gives way, and has it again when the older one goes.
    both, _ = changed(mesh_of(entry(younger, 2002)), entry(older, 2001))
    assert allocated(both, older) == alone != allocated(both, younger)
    again, _ = changed(both, removed=(("ServiceEntry", "default", older),))
    assert allocated(again, younger) == alone


def test_an_endpoint_serves_no_udp(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: [a.com]
  ports:
  - {number: 80, name: http, protocol: HTTP}
  - {number: 53, name: dns, protocol: UDP}
  resolution: STATIC
  workloadSelector: {labels: {app: a}}
---
kind: WorkloadEntry
metadata: {name: one}
spec: {address: 10.0.0.9, labels: {app: a}}
""")
    (endpoint,) = mesh.endpoints(service_of(mesh, "a.com"))
    assert endpoint.ports == (("http", 80),)


def test_a_pod_that_is_listed_by_its_address_alone_brings_its_labels(
    mesh_of: MeshOf, changed: Callable[..., Any]
) -> None:
    def pod(labels: str) -> str:
        return f"""
kind: Pod
metadata: {{name: pod, namespace: shop, labels: {labels}}}
spec: {{serviceAccountName: one}}
status: {{podIP: 10.0.0.1}}
"""

    mesh = mesh_of("""
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
kind: Endpoints
metadata: {name: web, namespace: shop}
subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{name: http, port: 8080}]}]
""")

    def endpoint(mesh: Mesh) -> tuple[dict[str, str], str]:
        (found,) = mesh.endpoints(service_of(mesh, "web.shop.svc.cluster.local", "shop"))
        return dict(found.labels), found.identity

    identity = "spiffe://cluster.local/ns/shop/sa/one"
    assert endpoint(mesh) == ({}, "")
    mesh, delta = changed(mesh, pod("{version: v1}"))
    assert delta.endpoints_only
    assert endpoint(mesh) == ({"version": "v1"}, identity)
    mesh, _ = changed(mesh, pod("{version: v2}"))
    assert endpoint(mesh) == ({"version": "v2"}, identity)
    mesh, _ = changed(mesh, removed=(("Pod", "shop", "pod"),))
    assert endpoint(mesh) == ({}, "")


def test_a_second_name_serves_the_ports_that_the_first_does_not(mesh_of: MeshOf) -> None:
    second = "[{number: 80, name: http, protocol: HTTP}, {number: 81, name: more, protocol: HTTP}]"
    mesh = mesh_of(
        "---".join(
            declared(
                name,
                ports,
                year,
                resolution="DNS_ROUND_ROBIN",
                more=f"  endpoints: [{{address: {name}.com}}]",
            )
            for name, ports, year in (("a", FIRST_PORTS, 2001), ("b", second, 2002))
        )
    )
    pool = mesh.endpoints(service_of(mesh, "a.com"))
    assert [(one.address, one.ports) for one in pool] == [
        ("a.com", (("http", 80),)),
        ("b.com", (("more", 81),)),
    ]
