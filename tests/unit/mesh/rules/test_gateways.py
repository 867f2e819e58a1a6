from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mizzen.incremental import Database
from mizzen.mesh.recorded.mesh import RecordedMesh
from mizzen.mesh.rules.gateways import MergedGateway
from mizzen.mesh.snapshot import Mesh

MeshOf = Callable[..., Mesh]


def gateway(
    name: str, servers: str, namespace: str = "default", selector: str = "{istio: gw}", year: int = 2000
) -> str:
    return f"""
---
kind: Gateway
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: "{year}-01-01T00:00:00Z"}}
spec:
  selector: {selector}
  servers:
{servers}
"""


def server(number: int, protocol: str, hosts: str, *, name: str = "p", tls: str = "", bind: str = "") -> str:
    text = f"  - port: {{number: {number}, name: {name}, protocol: {protocol}}}\n    hosts: {hosts}\n"
    if bind:
        text += f"    bind: {bind}\n"
    return text + (f"    tls: {tls}\n" if tls else "")


def merged(mesh_of: MeshOf, proxy_at: Callable[..., Any], *documents: str) -> MergedGateway:
    mesh = mesh_of("".join(documents).removeprefix("\n---\n"))
    return mesh.gateways_for(proxy_at(kind="router", istio="gw"))


def shape(gateway: MergedGateway) -> list[tuple[int, str, str, list[str]]]:
    return [
        (one.port, one.bind, one.protocol_class, [server.gateway.name for server in one.servers])
        for one in gateway.listeners
    ]


SIMPLE = "{mode: SIMPLE, credentialName: c}"


def test_http_servers_of_one_port_are_merged(mesh_of: MeshOf, proxy_at: Callable[..., Any]) -> None:
    found = merged(
        mesh_of,
        proxy_at,
        gateway("young", server(80, "HTTP", '["b.com"]'), year=2002),
        gateway(
            "old", server(80, "HTTP2", '["*/a.com", "./own.com", "x/far.com", "*/*"]'), "other", year=2001
        ),
        gateway("not-mine", server(80, "HTTP", '["c.com"]'), selector="{istio: other}"),
    )
    assert shape(found) == [(80, "", "HTTP", ["old", "young"])]
    first, second = found.servers
    assert first.route_name == second.route_name == "http.80"
    assert first.hosts == (("", "a.com"), ("other", "own.com"), ("x", "far.com"), ("", "*"))
    assert (second.gateway_name, second.index) == ("default/young", 0)
    assert found.rejected == ()


def test_a_gateway_without_selector_and_of_another_namespace_applies(
    mesh_of: MeshOf, proxy_at: Callable[..., Any]
) -> None:
    found = merged(mesh_of, proxy_at, gateway("a", server(80, "HTTP", '["*.com"]'), "far", selector="{}"))
    assert shape(found) == [(80, "", "HTTP", ["a"])]


def test_https_servers_are_told_apart_by_host(mesh_of: MeshOf, proxy_at: Callable[..., Any]) -> None:
    found = merged(
        mesh_of,
        proxy_at,
        gateway("a", server(443, "HTTPS", '["a.com"]', tls=SIMPLE), year=2001),
        gateway("b", server(443, "HTTPS", '["b.com", "c.com"]', tls=SIMPLE), year=2002),
        gateway("c", server(443, "TLS", '["x.com", "c.com"]', tls="{mode: PASSTHROUGH}"), year=2003),
        gateway("d", server(443, "TLS", '["d.com"]', tls="{mode: PASSTHROUGH}"), year=2004),
    )
    assert shape(found) == [(443, "", "TLS", ["a", "b", "d"])]
    assert [one.route_name for one in found.servers] == ["https.443.p.a.default", "https.443.p.b.default", ""]
    assert found.servers[1].sni_hosts == ("b.com", "c.com")
    assert [one.is_http for one in found.servers] == [True, True, False]
    assert [one.is_passthrough for one in found.servers] == [False, False, True]
    (rejected,) = found.rejected
    assert "host c.com on port 443 is already served with TLS by default/b" in rejected.message
    assert rejected.path == "spec.servers[0].hosts"


def test_protocols_that_cannot_share_a_port(mesh_of: MeshOf, proxy_at: Callable[..., Any]) -> None:
    found = merged(
        mesh_of,
        proxy_at,
        gateway("http", server(80, "HTTP", '["a.com"]'), year=2001),
        gateway("tcp", server(80, "TCP", '["b.com"]'), year=2002),
        gateway("elsewhere", server(80, "TCP", '["b.com"]', bind="10.0.0.1"), year=2003),
        gateway("tcp-first", server(90, "TCP", '["a.com"]'), year=2004),
        gateway("tcp-second", server(90, "TCP", '["b.com"]'), year=2005),
        gateway("tls-first", server(443, "TLS", '["a.com"]', tls=SIMPLE), year=2006),
        gateway("plain-second", server(443, "HTTP", '["z.com"]'), year=2007),
        gateway("plain-third", server(443, "HTTP", '["y.com"]'), year=2008),
        gateway("tls-late", server(443, "TLS", '["b.com"]', tls=SIMPLE), year=2009),
        gateway("tcp-late", server(443, "TCP", '["c.com"]'), year=2010),
    )
    assert shape(found) == [
        (80, "", "HTTP", ["http"]),
        (80, "10.0.0.1", "TCP", ["elsewhere"]),
        (90, "", "TCP", ["tcp-first"]),
        (443, "", "TLS", ["tls-first", "plain-second", "plain-third"]),
    ]
    assert len(found.rejected) == 4
    assert all(one.code == "MZ0206" for one in found.rejected)


def test_https_redirect_counts_as_http(mesh_of: MeshOf, proxy_at: Callable[..., Any]) -> None:
    found = merged(
        mesh_of, proxy_at, gateway("a", server(80, "HTTP", '["a.com"]', tls="{httpsRedirect: true}"))
    )
    (one,) = found.servers
    assert (one.is_http, one.terminates_tls, one.is_passthrough, one.route_name) == (
        True,
        False,
        False,
        "http.80",
    )


def test_ports_are_translated_by_the_gateways_own_service(
    mesh_of: MeshOf, proxy_at: Callable[..., Any]
) -> None:
    mesh = mesh_of(
        """
kind: Service
metadata: {name: gw}
spec: {selector: {istio: gw}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
kind: WorkloadEntry
metadata: {name: gw, labels: {istio: gw}}
spec: {address: 10.9.9.9}
"""
        + gateway(
            "a",
            server(80, "HTTP", '["a.com"]')
            + server(81, "HTTP", '["a.com"]', name="other", bind="10.9.9.9")
            + server(443, "HTTPS", '["a.com"]', name="tls", tls=SIMPLE),
        )
    )
    found = mesh.gateways_for(proxy_at(kind="router"))
    assert [(one.port, one.bind) for one in found.listeners] == [(8080, ""), (81, "10.9.9.9"), (443, "")]
    assert [one.route_name for one in found.servers] == [
        "http.8080",
        "http.81.10.9.9.9",
        "https.443.tls.a.default",
    ]


def test_the_same_parts_give_the_same_object(
    mesh_of: MeshOf, proxy_at: Callable[..., Any], changed: Callable[..., Any]
) -> None:
    mesh = mesh_of(gateway("a", server(80, "HTTP", '["a.com"]')).removeprefix("\n---\n"))
    recorded = RecordedMesh(Database(), mesh)
    proxy = proxy_at(kind="router", istio="gw")
    before = recorded.gateways_for(proxy)
    vm = "kind: WorkloadEntry\nmetadata: {name: vm}\nspec: {address: 10.0.0.1}"
    after, _ = changed(mesh, vm)
    recorded.renew(after)
    assert recorded.gateways_for(proxy) is before
    after, _ = changed(after, gateway("b", server(80, "HTTP", '["b.com"]')).removeprefix("\n---\n"))
    recorded.renew(after)
    assert shape(recorded.gateways_for(proxy)) == [(80, "", "HTTP", ["a", "b"])]


def test_rules_bound_to_a_gateway(mesh_of: MeshOf) -> None:
    route = """
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: [a.com]
  gateways: {gateways}
  exportTo: {export_to}
  http: [{{route: [{{destination: {{host: a.com}}}}]}}]
"""
    cases = [
        ("own", "default", "[gw]", "['.']"),
        ("far", "other", "[default/gw]", "[]"),
        ("hidden", "other", "[default/gw]", "['.']"),
        ("unbound", "default", "[mesh]", "[]"),
    ]
    mesh = mesh_of(
        "---".join(
            route.format(name=name, namespace=namespace, gateways=gateways, export_to=export_to)
            for name, namespace, gateways, export_to in cases
        )
    )
    names = [rule.config.name for rule in mesh.virtual_services_for_gateway("default/gw", "default")]
    assert names == ["own", "far"]


def test_only_servers_whose_requests_are_routed_have_route_configurations(
    mesh_of: MeshOf, proxy_at: Callable[..., Any]
) -> None:
    cases = {
        "http.80": server(80, "HTTP", "[a.com]"),
        "http.81.10.0.0.1": server(81, "GRPC", "[a.com]", bind="10.0.0.1"),
        "https.443.p.one.default": server(443, "HTTPS", "[a.com]", tls=SIMPLE),
        "https.444.p.one.default.10.0.0.1": server(444, "HTTPS", "[a.com]", tls=SIMPLE, bind="10.0.0.1"),
        "": server(445, "HTTPS", "[a.com]", tls="{mode: PASSTHROUGH}"),
    }
    others = [
        server(446, "HTTPS", "[a.com]", tls="{mode: AUTO_PASSTHROUGH}"),
        server(447, "TLS", "[a.com]", tls=SIMPLE),
        server(448, "TCP", "[a.com]"),
    ]
    for name, text in [*cases.items(), *(("", text) for text in others)]:
        found = merged(mesh_of, proxy_at, gateway("one", text))
        assert [one.route_name for one in found.servers] == [name]
