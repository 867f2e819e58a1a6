from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mizzen.config.models import HTTPMatchRequest, HTTPRoute
from mizzen.mesh.analysis import analyze
from mizzen.mesh.rules.delegates import merge_matches, merge_route
from mizzen.mesh.rules.virtual_services import VirtualServiceRule, resolve_gateway
from mizzen.mesh.snapshot import Mesh

MeshOf = Callable[..., Mesh]


def rule_named(mesh: Mesh, name: str) -> VirtualServiceRule:
    for rule in mesh.virtual_service_index.rules.values():
        if rule.config.name == name:
            return rule
    raise AssertionError(name)


def test_short_names_are_written_out(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: VirtualService
metadata: {name: a, namespace: shop}
spec:
  hosts: [web, x.com, "*.y.com"]
  gateways: [mesh, gw, other/gw]
  http:
  - match: [{gateways: [gw]}]
    route: [{destination: {host: web}}]
    mirrors: [{destination: {host: copy}}]
  tls:
  - match: [{sniHosts: [x.com]}]
    route: [{destination: {host: secure}}]
  tcp:
  - route: [{destination: {host: db, port: {number: 5}}}]
""")
    rule = rule_named(mesh, "a")
    assert rule.hosts == ("web.shop.svc.cluster.local", "x.com", "*.y.com")
    assert rule.gateways == ("mesh", "shop/gw", "other/gw")
    assert rule.http[0].route.match[0].gateways == ("shop/gw",)
    assert rule.destination_hosts == {
        f"{name}.shop.svc.cluster.local" for name in ("web", "copy", "secure", "db")
    }
    assert rule.destinations("any")["db.shop.svc.cluster.local"] == {5}
    assert str(rule.http[0].origin) == "mesh.yaml:8"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mesh", "mesh"),
        ("gw", "ns/gw"),
        ("./gw", "ns/gw"),
        ("a/gw", "a/gw"),
        ("gw.b.svc.cluster.local", "b/gw"),
    ],
)
def test_gateway_names(name: str, expected: str) -> None:
    assert resolve_gateway(name, "ns") == expected


def test_order_is_private_then_exported_then_public_each_oldest_first(
    mesh_of: MeshOf, scope_of: Callable[..., Any]
) -> None:
    document = """
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: "{year}-01-01T00:00:00Z"}}
spec:
  hosts: [{name}.com]
  exportTo: {export_to}
  http: [{{route: [{{destination: {{host: x.com}}}}]}}]
"""
    cases = [
        ("public-new", "other", 2005, "['*']"),
        ("public-old", "default", 2001, "[]"),
        ("exported", "other", 2004, "[default]"),
        ("private", "default", 2006, "['.']"),
        ("hidden", "other", 2000, "['.']"),
    ]
    mesh = mesh_of(
        "---".join(
            document.format(name=name, namespace=namespace, year=year, export_to=export_to)
            for name, namespace, year, export_to in cases
        )
    )
    names = [rule.config.name for rule in scope_of(mesh, "default").virtual_services]
    assert names == ["private", "exported", "public-old", "public-new"]
    assert not scope_of(mesh, "default", kind="router").virtual_services


ROOT = """
kind: VirtualService
metadata: {name: root}
spec:
  hosts: [web.com]
  http:
  - name: r
    match: [{uri: {prefix: /a}, headers: {h: {exact: x}}}]
    delegate: {name: leaf, namespace: team}
    timeout: 3s
    headers: {request: {set: {root: "1"}}}
  - route: [{destination: {host: rest}}]
"""
LEAF = """
---
kind: VirtualService
metadata: {name: leaf, namespace: team}
spec:
  http:
  - name: l
    match: [{uri: {prefix: /a/b}}, {uri: {exact: /a}}]
    route: [{destination: {host: short}}]
    headers: {request: {set: {leaf: "1"}}}
  - match: [{uri: {prefix: /elsewhere}}]
    route: [{destination: {host: never}}]
"""


def test_delegate_is_merged_into_its_root(mesh_of: MeshOf) -> None:
    mesh = mesh_of(ROOT + LEAF)
    first, rest = rule_named(mesh, "root").http
    assert first.route.name == "r-l"
    assert [(match.uri.prefix, match.uri.exact, list(match.headers)) for match in first.route.match] == [
        ("/a/b", None, ["h"]),
        (None, "/a", ["h"]),
    ]
    assert first.route.timeout.total_seconds() == 3
    assert first.route.headers.request.set == {"leaf": "1"}
    # Short names are the delegate's own.
    assert first.route.route[0].destination.host == "short.team.svc.cluster.local"
    assert (first.config.name, first.index, rest.config.name) == ("leaf", 0, "root")
    (dropped,) = mesh.diagnostics
    assert (dropped.code, dropped.path) == ("MZ0205", "spec.http[1].match")
    assert len(mesh.virtual_service_index.rules) == 1


def test_a_delegate_that_comes_changes_and_goes(mesh_of: MeshOf, changed: Callable[..., Any]) -> None:
    mesh = mesh_of(ROOT)
    (missing,) = [one for one in analyze(mesh) if one.code == "MZ0203"]
    assert (missing.code, str(missing.origin), missing.path) == (
        "MZ0203",
        "mesh.yaml:9",
        "spec.http[0].delegate",
    )
    assert "there is no VirtualService team/leaf" in missing.message
    assert len(rule_named(mesh, "root").http) == 1
    mesh, _ = changed(mesh, LEAF.removeprefix("\n---\n"))
    assert len(rule_named(mesh, "root").http) == 2
    hidden, _ = changed(mesh, LEAF.removeprefix("\n---\n").replace("  http:", "  exportTo: ['.']\n  http:"))
    assert "is not exported to namespace default" in hidden.diagnostics[0].message
    gone, _ = changed(mesh, removed=(("VirtualService", "team", "leaf"),))
    assert len(rule_named(gone, "root").http) == 1
    assert "MZ0203" in [one.code for one in analyze(gone)]


@pytest.mark.parametrize(
    ("root", "leaf", "expected"),
    [
        ([], [{"port": 1}], [{"port": 1}]),
        ([{"port": 1}], [], [{"port": 1}]),
        ([{"port": 1}], [{"port": 2}], None),
        ([{"port": 1}], [{"name": "x"}], [{"port": 1, "name": "x"}]),
        ([{"uri": {"regex": "a"}}], [{"uri": {"prefix": "a"}}], None),
        ([{"uri": {"exact": "/a"}}], [{"uri": {"prefix": "/a"}}], None),
        ([{"uri": {"exact": "/a"}}], [{"uri": {"exact": "/a"}}], [{"uri": {"exact": "/a"}}]),
        ([{"uri": {"prefix": "/a"}}], [{"uri": {"exact": "/b"}}], None),
        ([{"ignore_uri_case": True}], [{"port": 1}], None),
        ([{"source_namespace": "a"}], [{"port": 1}], None),
        ([{"source_namespace": "a"}], [{"source_namespace": "b"}], None),
        ([{"source_namespace": "a"}], [{"source_namespace": "a"}], [{"source_namespace": "a"}]),
        ([{"port": 1}], [{"source_namespace": "a"}], [{"port": 1, "source_namespace": "a"}]),
        ([{"source_labels": {"a": "1"}}], [{"source_labels": {"a": "2"}}], None),
        (
            [{"source_labels": {"a": "1"}}],
            [{"source_labels": {"b": "2"}}],
            [{"source_labels": {"a": "1", "b": "2"}}],
        ),
        ([{"gateways": ["a"]}], [{"gateways": ["a", "b"]}], None),
        ([{"gateways": ["a", "b"]}], [{"gateways": ["b"]}], [{"gateways": ["b"]}]),
        ([{"headers": {"h": {"exact": "1"}}}], [{"headers": {"h": {"exact": "2"}}}], None),
        ([{"port": 1}, {"port": 2}], [{"name": "n"}], [{"port": 1, "name": "n"}, {"port": 2, "name": "n"}]),
        ([{"port": 1}], [{"name": "n"}, {"port": 2}], None),
        ([{"name": "r"}], [{"name": "l"}], [{"name": "r-l"}]),
        ([{"name": "r"}], [{"port": 1}], [{"name": "r", "port": 1}]),
        ([{"scheme": {"exact": "http"}}], [{"scheme": {"exact": "https"}}], None),
        ([{"method": {"exact": "GET"}}], [{"method": {"exact": "PUT"}}], None),
        ([{"authority": {"exact": "a.com"}}], [{"authority": {"exact": "b.com"}}], None),
        ([{"without_headers": {"h": {"exact": "1"}}}], [{"without_headers": {"h": {"exact": "2"}}}], None),
        ([{"query_params": {"q": {"exact": "1"}}}], [{"query_params": {"q": {"exact": "2"}}}], None),
        (
            [{"headers": {"a": {"exact": "1"}, "b": {"prefix": "2"}}}],
            [{"headers": {"b": {"exact": "22"}, "c": {"exact": "3"}}}],
            [{"headers": {"a": {"exact": "1"}, "b": {"exact": "22"}, "c": {"exact": "3"}}}],
        ),
        (
            [{"without_headers": {"a": {"exact": "1"}}}],
            [{"without_headers": {"b": {"exact": "2"}}}],
            [{"without_headers": {"a": {"exact": "1"}, "b": {"exact": "2"}}}],
        ),
        (
            [{"query_params": {"a": {"exact": "1"}}}],
            [{"query_params": {"b": {"exact": "2"}}}],
            [{"query_params": {"a": {"exact": "1"}, "b": {"exact": "2"}}}],
        ),
    ],
)
def test_merging_of_matches(
    root: list[dict[str, Any]], leaf: list[dict[str, Any]], expected: list[dict[str, Any]] | None
) -> None:
    def matches(items: list[dict[str, Any]]) -> tuple[HTTPMatchRequest, ...]:
        return tuple(HTTPMatchRequest.of(**item) for item in items)

    merged = merge_matches(matches(root), matches(leaf))
    assert merged == (None if expected is None else matches(expected))


@pytest.mark.parametrize(
    ("attribute", "wide", "narrow"),
    [
        ("uri", {"prefix": "/a"}, {"exact": "/ab"}),
        ("scheme", {"prefix": "http"}, {"exact": "https"}),
        ("method", {"prefix": "P"}, {"exact": "PUT"}),
        ("authority", {"prefix": "a"}, {"exact": "a.com"}),
        ("gateways", ["a", "b"], ["a"]),
        ("stat_prefix", "root", "leaf"),
    ],
)
def test_a_match_has_what_the_leaf_says_else_what_the_root_says(
    attribute: str, wide: Any, narrow: Any
) -> None:
    def merged(root: dict[str, Any], leaf: dict[str, Any]) -> Any:
        (match,) = merge_matches((HTTPMatchRequest.of(**root),), (HTTPMatchRequest.of(**leaf),)) or (None,)
        return match

    assert merged({attribute: wide}, {attribute: narrow}) == HTTPMatchRequest.of(**{attribute: narrow})
    assert merged({attribute: wide}, {}) == HTTPMatchRequest.of(**{attribute: wide})
    assert merged({}, {attribute: narrow}) == HTTPMatchRequest.of(**{attribute: narrow})


@pytest.mark.parametrize(
    ("names", "merged"), [(("root", "leaf"), "root-leaf"), (("root", ""), "root"), (("", "leaf"), "leaf")]
)
def test_names_of_delegated_rules_are_joined_where_there_are_two(names: tuple[str, str], merged: str) -> None:
    root, leaf = (HTTPRoute.of(name=name) for name in names)
    found = merge_route(root, leaf)
    assert found is not None
    assert found.name == merged


_INHERITED = {
    "rewrite": ({"uri": "/r"}, {"uri": "/l"}),
    "direct_response": ({"status": 200}, {"status": 404}),
    "timeout": ("1s", "2s"),
    "retries": ({"attempts": 1}, {"attempts": 2}),
    "fault": ({"abort": {"http_status": 500}}, {"abort": {"http_status": 503}}),
    "mirror": ({"host": "r"}, {"host": "l"}),
    "mirror_percent": (1, 2),
    "mirror_percentage": ({"value": 1.0}, {"value": 2.0}),
    "mirrors": ([{"destination": {"host": "r"}}], [{"destination": {"host": "l"}}]),
    "cors_policy": ({"allow_methods": ["GET"]}, {"allow_methods": ["PUT"]}),
    "headers": ({"request": {"remove": ["r"]}}, {"request": {"remove": ["l"]}}),
}


@pytest.mark.parametrize("attribute", _INHERITED)
def test_a_delegate_has_what_it_says_whole_else_what_its_root_says(attribute: str) -> None:
    root_says, leaf_says = _INHERITED[attribute]
    root, leaf = (HTTPRoute.of(**{attribute: said}) for said in (root_says, leaf_says))
    own, inherited = merge_route(root, leaf), merge_route(root, HTTPRoute())
    assert getattr(own, attribute) == getattr(leaf, attribute)
    assert getattr(inherited, attribute) == getattr(root, attribute)


def test_a_redirect_is_not_inherited() -> None:
    merged = merge_route(HTTPRoute.of(redirect={"uri": "/r"}), HTTPRoute())
    assert merged is not None
    assert merged.redirect is None


def test_destinations_of_other_namespaces_do_not_count(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a.com]
  http:
  - match: [{sourceNamespace: x}]
    route: [{destination: {host: x.com}}]
  - route:
    - {destination: {host: all.com, port: {number: 80}}, weight: 1}
    - {destination: {host: all.com}, weight: 1}
""")
    rule = rule_named(mesh, "a")
    assert rule.destinations("x") == {"x.com": {0}, "all.com": {80, 0}}
    assert rule.destinations("other") == {"all.com": {80, 0}}


def test_destinations_of_clients_of_a_namespace_are_those_of_every_kind_of_route(mesh_of: MeshOf) -> None:
    mesh = mesh_of("""
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a.com]
  http:
  - match: [{sourceNamespace: x}]
    route: [{destination: {host: x.com}}]
  tls: [{match: [{sniHosts: [a.com]}], route: [{destination: {host: tls.com}}]}]
  tcp: [{route: [{destination: {host: tcp.com}}]}]
""")
    rule = rule_named(mesh, "a")
    assert set(rule.destinations("x")) == {"x.com", "tls.com", "tcp.com"}
    assert set(rule.destinations("other")) == {"tls.com", "tcp.com"}
