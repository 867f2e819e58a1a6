"""The route configurations of gateways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mizzen.translator.routes.gateway import intersection

MeshOf = Callable[..., Any]


def gateway(servers: str, name: str = "edge") -> str:
    return f"""
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: edge}}
spec:
  selector: {{app: gateway}}
  servers: {servers}
"""


def virtual_service(name: str, hosts: str, http: str, namespace: str = "default", more: str = "") -> str:
    return f"""
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}{more}}}
spec:
  hosts: {hosts}
  gateways: [edge/edge]
  http: {http}
"""


HTTP = "[{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]"
TO_SHOP = "route: [{destination: {host: shop.example.com}}]"
SHOP = """
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example.com]
  ports: [{number: 9080, name: http, protocol: HTTP}]
  resolution: STATIC
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: two, namespace: default}
spec:
  hosts: [two.example.com]
  ports: [{number: 9080, name: http, protocol: HTTP}, {number: 9081, name: other, protocol: HTTP}]
  resolution: STATIC
"""


def hosts(configuration: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {host["name"]: host for host in configuration["virtual_hosts"]}


def route_names(host: dict[str, Any]) -> list[str]:
    return [route.get("name", "") for route in host.get("routes", [])]


def test_a_host_of_server_and_virtual_service_is_a_virtual_host(routed: MeshOf) -> None:
    found = routed(
        SHOP + gateway(HTTP) + virtual_service("shop", "[Shop.example.com]", f"[{{name: all, {TO_SHOP}}}]")
    ).gateway("http.80")
    assert {key: value for key, value in found.items() if key != "virtual_hosts"} == {
        "name": "http.80",
        "validate_clusters": False,
        "ignore_port_in_host_matching": True,
        "max_direct_response_body_size_bytes": 1048576,
    }
    (host,) = found["virtual_hosts"]
    assert host["domains"] == ["shop.example.com"]
    assert host["include_request_attempt_count"] is True
    # The only port of the service: 80 is the gateway's own affair.
    assert host["routes"][0]["route"]["cluster"] == "outbound|9080||shop.example.com"


def test_a_destination_with_several_ports_and_none_named_means_the_servers_port(routed: MeshOf) -> None:
    rule = virtual_service("two", "[two.example.com]", "[{route: [{destination: {host: two.example.com}}]}]")
    (host,) = routed(SHOP + gateway(HTTP) + rule).gateway("http.80")["virtual_hosts"]
    assert host["routes"][0]["route"]["cluster"] == "outbound|80||two.example.com"


def test_without_any_host_there_is_a_black_hole(routed: MeshOf) -> None:
    assert routed(SHOP + gateway(HTTP)).gateway("http.80")["virtual_hosts"] == [
        {"name": "blackhole:80", "domains": ["*"], "include_request_attempt_count": True}
    ]


def test_a_name_of_no_server_gets_an_empty_answer(routed: MeshOf) -> None:
    assert routed(SHOP + gateway(HTTP)).gateway("http.81") == {
        "name": "http.81",
        "validate_clusters": False,
    }


def test_virtual_services_of_one_host_are_joined_and_catch_alls_go_last(routed: MeshOf) -> None:
    first = virtual_service("a", "[shop.example.com]", f"[{{name: all, {TO_SHOP}}}]")
    second = virtual_service(
        "b",
        "[shop.example.com]",
        f"[{{name: b, match: [{{uri: {{prefix: /b}}}}], {TO_SHOP}}}, {{name: b all, {TO_SHOP}}}]",
    )
    (host,) = routed(SHOP + gateway(HTTP) + first + second).gateway("http.80")["virtual_hosts"]
    assert route_names(host) == ["b", "all", "b all"]


def test_hosts_with_the_same_routes_share_a_virtual_host(routed: MeshOf) -> None:
    rule = virtual_service(
        "shop", "[b.example.com, a.example.com, '*.z.example.com', '*.yy.example.com']", f"[{{{TO_SHOP}}}]"
    )
    other = virtual_service("other", "[c.example.com]", f"[{{{TO_SHOP}}}]")
    found = routed(SHOP + gateway(HTTP) + rule + other).gateway("http.80")
    assert {host["name"]: host["domains"] for host in found["virtual_hosts"]} == {
        "a.example.com:80": [
            "a.example.com",
            "b.example.com",
            "*.yy.example.com",
            "*.z.example.com",
        ],
        "c.example.com:80": ["c.example.com"],
    }


@pytest.mark.parametrize(
    ("server_hosts", "namespace", "expected"),
    [
        ("['*']", "default", ["a.example.com", "*.example.org"]),
        ("['*.example.com']", "default", ["a.example.com"]),
        ("['b.example.org']", "default", ["b.example.org"]),
        ("['default/*']", "default", ["a.example.com", "*.example.org"]),
        ("['other/*']", "default", []),
        ("['./*']", "edge", ["a.example.com", "*.example.org"]),
        ("['./*']", "default", []),
        ("['other/*', '*/a.example.com']", "default", ["a.example.com"]),
    ],
)
def test_the_narrower_of_both_hosts_counts(
    routed: MeshOf, server_hosts: str, namespace: str, expected: list[str]
) -> None:
    server = f"[{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: {server_hosts}}}]"
    rule = virtual_service("shop", "[a.example.com, '*.example.org']", f"[{{name: r, {TO_SHOP}}}]", namespace)
    found = routed(SHOP + gateway(server) + rule).gateway("http.80")
    domains = [
        domain
        for host in found["virtual_hosts"]
        if not host["name"].startswith("blackhole")
        for domain in host["domains"]
    ]
    assert domains == expected


REDIRECTING = (
    "[{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*.example.com'], tls: {httpsRedirect: true}}]"
)


def test_https_redirect_holds_for_hosts_with_and_without_routes(routed: MeshOf) -> None:
    rule = virtual_service("shop", "[shop.example.com]", f"[{{{TO_SHOP}}}]")
    found = hosts(routed(SHOP + gateway(REDIRECTING) + rule).gateway("http.80"))
    assert {name: (host["require_tls"], len(host.get("routes", ()))) for name, host in found.items()} == {
        "*.example.com:80": ("ALL", 0),
        "shop.example.com:80": ("ALL", 1),
    }


def test_two_gateways_on_one_port_share_its_routes(routed: MeshOf) -> None:
    rule = virtual_service("shop", "[shop.example.com]", f"[{{name: one, {TO_SHOP}}}]")
    other = rule.replace("name: shop,", "name: other,").replace("edge/edge", "edge/second")
    other = other.replace("name: one", "name: two").replace("hosts: [shop", "hosts: [more")
    text = SHOP + gateway(HTTP) + gateway(HTTP, "second") + rule + other
    found = hosts(routed(text).gateway("http.80"))
    assert {name: route_names(host) for name, host in found.items()} == {
        "more.example.com:80": ["two"],
        "shop.example.com:80": ["one"],
    }


HTTPS = """
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [shop.example.com]
    tls: {mode: SIMPLE, credentialName: shop}
"""


def test_a_terminating_server_has_routes_of_its_own_and_redirects_stay_https(routed: MeshOf) -> None:
    rule = virtual_service(
        "shop", "[shop.example.com]", "[{redirect: {uri: /x, derivePort: FROM_REQUEST_PORT}}]"
    )
    found = routed(SHOP + gateway(HTTPS) + rule).gateway("https.443.https.edge.edge")
    (host,) = found["virtual_hosts"]
    # 443 is what https means: no port in the Location header.
    assert host["routes"][0]["redirect"] == {"path_redirect": "/x"}
    assert host["name"] == "shop.example.com:443"


def test_conditions_name_gateways_and_claims_of_tokens(routed: MeshOf) -> None:
    rule = virtual_service(
        "shop",
        "[shop.example.com]",
        f"""
  - name: claims
    match:
    - headers: {{'@request.auth.claims[group][id]': {{exact: admin}}, '@request.auth.claims.sub': {{}}}}
      withoutHeaders: {{'@Request.auth.claims.Role': {{prefix: guest}}}}
    {TO_SHOP}
  - {{name: elsewhere, match: [{{gateways: [other]}}], {TO_SHOP}}}
  - {{name: here, match: [{{gateways: [edge/edge], sourceLabels: {{a: b}}, uri: {{prefix: /h}}}}], {TO_SHOP}}}
  - {{name: not a sidecar, match: [{{sourceLabels: {{a: b}}}}], {TO_SHOP}}}
""",
    )
    (host,) = routed(SHOP + gateway(HTTP) + rule).gateway("http.80")["virtual_hosts"]
    assert route_names(host) == ["claims", "here"]

    def path(*keys: str) -> list[dict[str, str]]:
        return [{"key": key} for key in ("payload", *keys)]

    def either(text: dict[str, Any]) -> dict[str, Any]:
        matchers = [{"list_match": {"one_of": {"string_match": text}}}, {"string_match": text}]
        return {"or_match": {"value_matchers": matchers}}

    assert host["routes"][0]["match"] == {
        "prefix": "/",
        "case_sensitive": True,
        "dynamic_metadata": [
            {
                "filter": "envoy.filters.http.jwt_authn",
                "path": path("sub"),
                "value": {"present_match": True},
            },
            {
                "filter": "envoy.filters.http.jwt_authn",
                "path": path("group", "id"),
                "value": either({"exact": "admin"}),
            },
            {
                "filter": "envoy.filters.http.jwt_authn",
                "path": path("Role"),
                "value": either({"prefix": "guest"}),
                "invert": True,
            },
        ],
    }


def test_the_same_question_has_the_same_answer_object(routed: MeshOf) -> None:
    mesh = routed(SHOP + gateway(HTTP) + virtual_service("shop", "[shop.example.com]", f"[{{{TO_SHOP}}}]"))
    first = mesh.gateway_resource("http.80")
    assert mesh.gateway_resource("http.80") is first
    assert [origin.file for origin in first.origins] == ["mesh.yaml"]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (["*"], ["a.com", "*.b.com"], ["a.com", "*.b.com"]),
        (["a.com"], ["*"], ["a.com"]),
        (["*.a.com"], ["x.a.com", "a.com", "*.x.a.com"], ["x.a.com", "*.x.a.com"]),
        (["*.x.a.com"], ["*.a.com"], ["*.x.a.com"]),
        (["*.a.com", "x.a.com"], ["x.a.com"], ["x.a.com"]),
        (["a.com"], ["b.com"], []),
    ],
)
def test_intersection(left: list[str], right: list[str], expected: list[str]) -> None:
    assert intersection(left, right) == expected
