from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from weakref import ref

from mizzen.config.group_kinds import VIRTUAL_SERVICE
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.domains import NamesKnownAs
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.snapshot import Mesh

MeshOf = Callable[..., Mesh]


def entry(
    host: str, namespace: str = "default", ports: str = "80", export_to: str = "[]", year: int = 2000
) -> str:
    listed = ", ".join(f"{{number: {port}, name: http-{port}, protocol: HTTP}}" for port in ports.split())
    return f"""
---
kind: ServiceEntry
metadata:
  name: {host.replace("*", "any")}
  namespace: {namespace}
  creationTimestamp: "{year}-01-01T00:00:00Z"
spec:
  hosts: ["{host}"]
  ports: [{listed}]
  resolution: {"NONE" if host.startswith("*") else "STATIC"}
  exportTo: {export_to}
"""


def route(name: str, hosts: str, to: str, namespace: str = "default") -> str:
    return f"""
---
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: {hosts}
  http: [{{route: [{{destination: {{host: {to}}}}}]}}]
"""


def sidecar(name: str, egress: str, namespace: str = "default", more: str = "") -> str:
    return f"""
---
kind: Sidecar
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  egress:
{egress}
{more}
"""


def mesh(mesh_of: MeshOf, *documents: str) -> Mesh:
    return mesh_of("".join(documents).removeprefix("\n---\n"))


def found(scope: SidecarScope) -> list[tuple[str, str, list[int]]]:
    return [
        (service.hostname, service.namespace, [port.number for port in service.ports])
        for service in scope.services
    ]


def test_own_namespace_wins_then_the_oldest(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    both = mesh(
        mesh_of,
        entry("a.com", "one", year=2002),
        entry("a.com", "two", year=2001),
        entry("a.com", "three", export_to="['.']"),
    )
    assert found(scope_of(both, "one")) == [("a.com", "one", [80])]
    assert found(scope_of(both, "elsewhere")) == [("a.com", "two", [80])]
    assert found(scope_of(both, "three")) == [("a.com", "three", [80])]
    # A gateway takes the oldest, also of another namespace than its own.
    assert found(scope_of(both, "one", kind="router")) == [("a.com", "two", [80])]


def test_choice_of_the_sidecar(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    everything = mesh(
        mesh_of,
        entry("a.com"),
        sidecar("plain", '  - hosts: ["./*"]'),
        sidecar("picky", '  - hosts: ["*/*"]', more="  workloadSelector: {labels: {app: x}}"),
        sidecar("root", '  - hosts: ["~/*"]', "istio-system"),
    )
    assert scope_of(everything, "default", app="x").sidecar.name == "picky"
    assert scope_of(everything, "default", app="z").sidecar.name == "plain"
    other = scope_of(everything, "other")
    assert (other.sidecar.name, len(other.services)) == ("root", 0)
    assert scope_of(everything, "default", kind="router").sidecar is None


def test_imports_by_namespace_and_host(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    services = (
        entry("a.com", "one"),
        entry("b.com", "one"),
        entry("c.org", "two"),
        entry("d.com", "default"),
        entry("*.wild.com", "two"),
    )

    def imported(hosts: str) -> set[str]:
        scope = scope_of(mesh(mesh_of, *services, sidecar("s", f"  - hosts: {hosts}")))
        return {service.hostname for service in scope.services}

    assert imported('["one/a.com"]') == {"a.com"}
    assert imported('["one/*"]') == {"a.com", "b.com"}
    assert imported('["./*", "two/c.org"]') == {"d.com", "c.org"}
    assert imported('["*/*.com"]') == {"a.com", "b.com", "d.com", "*.wild.com"}
    assert imported('["*/*", "~one/*"]') == {"c.org", "d.com", "*.wild.com"}
    assert imported('["*/*", "~/c.org", "~/*.com"]') == set()
    assert imported('["*/*", "~/c.org"]') == {"a.com", "b.com", "d.com", "*.wild.com"}
    assert imported('["*/*", "~./*"]') == {"a.com", "b.com", "c.org", "*.wild.com"}
    assert imported('["*/*.wild.com"]') == {"*.wild.com"}
    # An exact host does not import a wildcard over it.
    assert imported('["*/x.wild.com"]') == set()
    assert imported('["~/*"]') == set()


def test_listeners_with_ports(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    scope = scope_of(
        mesh(
            mesh_of,
            entry("a.com", ports="80 90"),
            entry("b.com", ports="90"),
            sidecar(
                "s",
                "  - port: {number: 80, name: http, protocol: HTTP}\n    hosts: ['*/*']\n"
                "  - port: {number: 90, name: http2, protocol: HTTP}\n    bind: 127.0.0.1\n"
                "    captureMode: NONE\n    hosts: ['*/a.com']\n"
                "  - hosts: ['*/b.com']",
            ),
        )
    )
    first, second, rest = scope.egress_listeners
    assert [(one.hostname, [port.number for port in one.ports]) for one in first.services] == [
        ("a.com", [80])
    ]
    assert [(one.hostname, [port.number for port in one.ports]) for one in second.services] == [
        ("a.com", [90])
    ]
    assert (second.bind, second.capture_mode) == ("127.0.0.1", "NONE")
    assert [one.hostname for one in rest.services] == ["b.com"]
    assert found(scope) == [("a.com", "default", [80, 90]), ("b.com", "default", [90])]
    assert scope.egress_listener_for(80) is first
    assert scope.egress_listener_for(7777) is rest


def test_destinations_of_imported_rules_are_imported(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    scope = scope_of(
        mesh(
            mesh_of,
            entry("a.com", "one", ports="80 90"),
            entry("target.com", "two"),
            entry("target.com", "three", year=1999),
            entry("unused.com", "two"),
            route("r", "[a.com]", "target.com", "one"),
            route("other", "[unused.com]", "unused.com", "two"),
            sidecar("s", '  - hosts: ["one/*"]'),
        )
    )
    assert found(scope) == [("a.com", "one", [80, 90]), ("target.com", "three", [80])]
    assert [rule.config.name for rule in scope.virtual_services] == ["r"]
    assert scope.destination_service("unused.com").namespace == "two"
    assert scope.service("unused.com") is None


def test_rules_are_imported_by_two_way_matching(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    scope = scope_of(
        mesh(
            mesh_of,
            entry("a.x.com"),
            route("wide", '["*.x.com"]', "a.x.com", "one"),
            route("other", "[b.x.com]", "a.x.com", "one"),
            sidecar("s", '  - hosts: ["*/a.x.com"]'),
        )
    )
    assert [rule.config.name for rule in scope.virtual_services] == ["wide"]


def test_rules_of_a_service(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    scope = scope_of(
        mesh(
            mesh_of,
            entry("a.x.com"),
            route("1-any", '["*.com"]', "a.x.com"),
            route("2-wide", '["*.x.com"]', "a.x.com"),
            route("3-exact", "[a.x.com]", "a.x.com"),
            route("4-late", "[a.x.com]", "a.x.com"),
        )
    )
    (listener,) = scope.egress_listeners
    names = [rule.config.name for rule in listener.virtual_services_for("a.x.com")]
    assert names == ["1-any", "2-wide", "3-exact", "4-late"]
    assert listener.virtual_service_of("a.x.com").config.name == "3-exact"
    assert listener.virtual_service_of("b.x.com").config.name == "2-wide"
    assert listener.virtual_service_of("b.org") is None
    assert listener.service("a.x.com").hostname == "a.x.com"
    assert listener.service("b.x.com") is None


def test_the_virtual_hosts_of_a_port_are_made_once_for_all_who_have_them(
    mesh_of: MeshOf, scope_of: Callable[..., Any]
) -> None:
    made = mesh(mesh_of, entry("a.x.com"), entry("b.x.com"), route("r", "[a.x.com]", "b.x.com"))
    (listener,) = scope_of(made).egress_listeners
    names = NamesKnownAs("default.svc.cluster.local", False, "V4_ONLY")
    asked: list[str] = []

    def contributes(rule: VirtualServiceRule) -> bool:
        asked.append(rule.config.name)
        return True

    def virtual_hosts(port: int = 80, names: NamesKnownAs = names, **more: Any) -> Any:
        return listener.virtual_hosts(port, names, more.get("silent", frozenset()), contributes)

    first = virtual_hosts()
    assert {each.name: each.rule is None for host in first.by_host for each in first.served(host)} == {
        "a.x.com:80": False,
        "b.x.com:80": True,
    }
    times = len(asked)
    assert virtual_hosts() is first
    assert len(asked) == times
    silent = frozenset(listener.virtual_services)
    others = [virtual_hosts(81), virtual_hosts(names=replace(names, dns_domain="x.com"))]
    assert all(other is not first for other in (*others, virtual_hosts(silent=silent)))
    gone = ref(first)
    del first
    assert gone() is None


def test_outbound_traffic_policy(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    text = sidecar("s", "  - hosts: ['*/*']", "default", "  outboundTrafficPolicy: {mode: REGISTRY_ONLY}")
    text += sidecar(
        "s",
        "  - hosts: ['*/*']",
        "proxied",
        "  outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: out.com, port: {number: 80}}}",
    )
    mesh = mesh_of(text.removeprefix("\n---\n"), outbound_traffic_policy={"mode": "ALLOW_ANY_DYNAMIC_DNS"})
    assert scope_of(mesh, "default").outbound_traffic_policy == "REGISTRY_ONLY"
    assert scope_of(mesh, "other").outbound_traffic_policy == "ALLOW_ANY_DYNAMIC_DNS"
    proxied = scope_of(mesh, "proxied")
    assert (proxied.outbound_traffic_policy, proxied.egress_proxy.host) == ("ALLOW_ANY", "out.com")


def test_what_did_not_change_stays_the_same_object(
    mesh_of: MeshOf, scope_of: Callable[..., Any], changed: Callable[..., Any]
) -> None:
    def anew() -> tuple[Mesh, dict[str, Any]]:
        restricted = "  - port: {number: 80, name: http, protocol: HTTP}\n    hosts: ['*/a.com']"
        made = mesh(
            mesh_of,
            entry("a.com", ports="80 90"),
            entry("b.com", "two"),
            route("r", "[a.com]", "a.com"),
            sidecar("s", restricted, "default"),
        )
        return made, {name: scope_of(made, name) for name in ("default", "free")}

    before, scopes = anew()
    routed, delta = changed(before, route("r", "[a.com]", "b.com").removeprefix("\n---\n"))
    assert [(old.name, new.name) for old, new in delta.of_kind(VIRTUAL_SERVICE)] == [("r", "r")]
    assert scope_of(routed, "free").services is scopes["free"].services
    # The rule routes to b.com now, so a Sidecar that names only a.com imports it.
    assert {one.hostname for one in scope_of(routed, "default").services} == {"a.com", "b.com"}
    before, scopes = anew()
    ruled, _ = changed(
        before, "kind: DestinationRule\nmetadata: {name: d}\nspec: {host: a.com, trafficPolicy: {tls: {}}}"
    )
    for name, scope in scopes.items():
        assert scope_of(ruled, name).services is scope.services
        assert scope_of(ruled, name).egress_listeners is scope.egress_listeners
        assert scope_of(ruled, name).destination_rule("a.com") is not None
        assert scope.destination_rule("a.com") is None
    before, scopes = anew()
    other, _ = changed(before, entry("c.com", "two").removeprefix("\n---\n"))
    assert scope_of(other, "default") is not scopes["default"]
    assert scope_of(other, "default").services is scopes["default"].services
    assert [one.hostname for one in scope_of(other, "free").services] == ["a.com", "b.com", "c.com"]


def test_an_endpoint_change_keeps_the_scope(
    mesh_of: MeshOf, scope_of: Callable[..., Any], changed: Callable[..., Any]
) -> None:
    before = mesh_of("""
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: [a.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  workloadSelector: {labels: {app: a}}
""")
    scope = scope_of(before)
    vm = "kind: WorkloadEntry\nmetadata: {name: vm, labels: {app: a}}\nspec: {address: 10.0.0.1}"
    after, delta = changed(before, vm)
    assert not delta.services
    assert delta.endpoints == {("default", "a.com")}
    assert scope_of(after) is scope
    assert [one.address for one in after.endpoints(scope.services[0])] == ["10.0.0.1"]
    assert len(before.endpoints(scope.services[0])) == 0
    same, delta = changed(after, vm)
    assert delta.services == delta.endpoints == set()
    assert same.endpoints(scope.services[0]) is after.endpoints(scope.services[0])


def test_of_one_host_imported_from_several_namespaces_the_oldest_counts(
    mesh_of: MeshOf, scope_of: Callable[..., Any]
) -> None:
    services = (entry("a.com", "one", year=2002), entry("a.com", "two", year=2001))
    for hosts in ('["one/a.com", "two/a.com"]', '["two/a.com", "one/a.com"]', '["one/*", "*/*"]'):
        both = mesh(mesh_of, *services, sidecar("s", f"  - hosts: {hosts}"))
        assert found(scope_of(both)) == [("a.com", "two", [80])]
    own = mesh(mesh_of, *services, sidecar("s", '  - hosts: ["two/a.com", "one/a.com"]', "one"))
    assert found(scope_of(own, "one")) == [("a.com", "one", [80])]


def test_imported_rules_are_in_the_order_in_which_the_namespace_sees_them(
    mesh_of: MeshOf, scope_of: Callable[..., Any]
) -> None:
    document = """
---
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: "{year}-01-01T00:00:00Z"}}
spec:
  hosts: [a.com]
  exportTo: {export_to}
  http: [{{route: [{{destination: {{host: a.com}}}}]}}]
"""
    cases = [
        ("public-new", "other", 2005, "['*']"),
        ("public-old", "default", 2001, "[]"),
        ("exported", "other", 2004, "[default]"),
        ("private", "default", 2006, "['.']"),
        ("hidden", "other", 2000, "['.']"),
        ("excluded", "third", 2000, "[]"),
    ]
    rules = [
        document.format(name=name, namespace=namespace, year=year, export_to=export_to)
        for name, namespace, year, export_to in cases
    ]
    limited = mesh(mesh_of, *rules, sidecar("s", '  - hosts: ["other/*", "./*", "*/a.com", "~third/*"]'))
    assert [rule.config.name for rule in scope_of(limited).virtual_services] == [
        "private",
        "exported",
        "public-old",
        "public-new",
    ]


def test_a_sidecar_selects_by_all_of_its_labels(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    picky = mesh(
        mesh_of, sidecar("s", '  - hosts: ["~/*"]', more="  workloadSelector: {labels: {app: x, tier: one}}")
    )
    assert scope_of(picky, app="x", tier="one", more="z").sidecar is not None
    assert scope_of(picky, app="x").sidecar is None
    assert scope_of(picky, app="x", tier="other").sidecar is None


def test_destinations_of_every_kind_of_route_are_imported(
    mesh_of: MeshOf, scope_of: Callable[..., Any]
) -> None:
    rule = """
---
kind: VirtualService
metadata: {name: r}
spec:
  hosts: [a.com]
  http: [{route: [{destination: {host: http.com}}], mirror: {host: mirror.com}}]
  tls: [{match: [{sniHosts: [a.com]}], route: [{destination: {host: tls.com}}]}]
  tcp: [{route: [{destination: {host: tcp.com}}]}]
"""
    hosts = ("http.com", "mirror.com", "tls.com", "tcp.com", "other.com")
    scope = scope_of(
        mesh(
            mesh_of,
            entry("a.com"),
            *(entry(host, "far") for host in hosts),
            rule,
            sidecar("s", '  - hosts: ["./*"]'),
        )
    )
    assert {service.hostname for service in scope.services} == {
        "a.com",
        "http.com",
        "mirror.com",
        "tls.com",
        "tcp.com",
    }


def test_udp_is_on_no_port_and_grpc_web_is(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    text = entry("a.com", ports="80 81").replace("number: 81, name: http-81, protocol: HTTP", "{udp}")
    text = text.replace("{udp}", "number: 81, name: u, protocol: UDP")
    web = entry("b.com", ports="82").replace("protocol: HTTP", "protocol: GRPC-WEB")
    scope = scope_of(mesh(mesh_of, text, web))
    (listener,) = scope.egress_listeners
    assert [len(listener.services_on(number)) for number in (80, 81, 82)] == [1, 0, 1]


def test_sockets_are_told_apart_by_their_paths(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    egress = "\n".join(
        f"  - port: {{number: 0, name: u, protocol: HTTP}}\n    bind: unix:///{name}\n"
        f"    hosts: ['*/{name}.com']"
        for name in ("a", "b")
    )
    scope = scope_of(
        mesh(mesh_of, entry("a.com"), entry("b.com"), sidecar("s", egress + "\n  - hosts: ['*/*']"))
    )
    first, second, rest = scope.egress_listeners
    assert scope.egress_listener_for(0, "unix:///a") is first
    assert scope.egress_listener_for(0, "unix:///b") is second
    assert scope.egress_listener_for(0, "unix:///c") is rest
