from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mizzen.mesh.service import Locality, Protocol, Resolution
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.destinations import races_addresses
from tests.unit.mesh.services.registry_documents import (
    FIRST_PORTS,
    KUBERNETES,
    addresses,
    declared,
    service_of,
)

MeshOf = Callable[..., Mesh]


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


@pytest.mark.parametrize(
    ("spec", "resolution", "headless", "external"),
    [
        ("{clusterIP: None, ports: [{port: 80}]}", Resolution.NONE, True, False),
        ("{type: ExternalName, externalName: X.com., ports: [{port: 80}]}", Resolution.ALIAS, False, True),
    ],
)
def test_kubernetes_services_of_other_types(
    mesh_of: MeshOf, spec: str, resolution: Resolution, headless: bool, external: bool
) -> None:
    mesh = mesh_of(f"kind: Service\nmetadata: {{name: a}}\nspec: {spec}")
    service = service_of(mesh, "a.default.svc.cluster.local")
    assert (service.resolution, service.headless, service.mesh_external) == (resolution, headless, external)
    assert (service.alias_of, addresses(mesh, service.hostname)) == ("x.com" if external else "", [])


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
    # What is exported to a namespace by name comes before what everybody sees.
    assert seen(mesh, "default") == ["e2.com", "e0.com", "e1.com"]
    assert seen(mesh, "other") == ["e3.com", "e0.com", "e1.com"]
    private = mesh_of(text, default_service_export_to=["."])
    assert seen(private, "default") == ["e0.com", "e2.com", "e1.com"]
    assert seen(private, "other") == ["e3.com", "e1.com"]


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


SECOND_PORTS = "[{number: 80, name: other, protocol: TCP}, {number: 81, name: more, protocol: TCP}]"


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({}, ""),
        ({"labels": "{team: b}"}, "labels"),
        ({"resolution": "DNS"}, "resolution"),
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


def test_an_external_name_counts_for_that_type_alone(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: Service
metadata: {name: a}
spec: {type: ClusterIP, externalName: x.com, ports: [{name: web, port: 80, appProtocol: grpc-web}]}
""")
    service = service_of(mesh, "a.default.svc.cluster.local")
    assert (service.resolution, service.mesh_external) == (Resolution.STATIC, False)
    assert service.ports[0].protocol is Protocol.GRPC_WEB


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
    assert [one.hostname for one in scope.egress_listeners[0].by_port[80]] == [
        f"e{number}.com" for number in reversed(range(0, 300, 2))
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
