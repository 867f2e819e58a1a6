"""The endpoints of services: which workloads they are, with which labels, and when they are well."""

from collections.abc import Callable
from typing import Any

import pytest

from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.service import HealthStatus, Protocol
from mizzen.mesh.snapshot import Mesh
from tests.unit.mesh.services.registry_documents import (
    FIRST_PORTS,
    KUBERNETES,
    addresses,
    declared,
    service_of,
)

MeshOf = Callable[..., Mesh]


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
    assert not delta.services
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


@pytest.mark.parametrize(
    ("annotations", "spec", "metadata", "told"),
    [
        ("{}", "{ports: [{port: 80}]}", {"LABELS": {"app": "a"}}, False),
        ("{}", "{trafficDistribution: PreferClose, ports: [{port: 80}]}", {"LABELS": {"app": "a"}}, True),
        ("{}", "{trafficDistribution: PreferClose, ports: [{port: 80}]}", {"NODE_NAME": "n1"}, True),
        ("{}", "{trafficDistribution: PreferClose, ports: [{port: 80}]}", {}, False),
        (
            "{networking.istio.io/traffic-distribution: PreferSameNode}",
            "{ports: [{port: 80}]}",
            {"LABELS": {"app": "a"}},
            True,
        ),
    ],
)
def test_that_a_client_has_labels_counts_while_a_service_distributes_traffic(
    mesh_of: MeshOf,
    changed: Callable[..., Any],
    annotations: str,
    spec: str,
    metadata: dict[str, Any],
    told: bool,
) -> None:
    proxy = Proxy.from_node({"id": "sidecar~10.9.9.9~a.b~b.c", "metadata": metadata})
    mesh = mesh_of(f"kind: Service\nmetadata: {{name: a, annotations: {annotations}}}\nspec: {spec}")
    assert mesh.outbound_profile(proxy).is_labelled is told
    gone, _ = changed(mesh, removed=(("Service", "default", "a"),))
    assert not gone.outbound_profile(proxy).is_labelled


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


def test_a_target_by_name_may_be_a_port_of_a_workload_entry(mesh_of: MeshOf) -> None:
    mesh = mesh_of(KUBERNETES.replace("ports: {http-main: 9090}", "ports: {main: 9191}"))
    pool = mesh.endpoints(service_of(mesh, "web.shop.svc.cluster.local", "shop"))
    assert {one.address: one.port_named("http-main") for one in pool} == {"10.0.0.1": 8080, "10.0.0.2": 9191}


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
    assert not delta.services
    assert endpoint(mesh) == ({"version": "v1"}, identity)
    mesh, _ = changed(mesh, pod("{version: v2}"))
    assert endpoint(mesh) == ({"version": "v2"}, identity)
    mesh, _ = changed(mesh, removed=(("Pod", "shop", "pod"),))
    assert endpoint(mesh) == ({}, "")
