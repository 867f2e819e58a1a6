"""Conditions of HTTP rules as matches of routes, and which routes they leave out."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.unit.translator.routes.test_route_rules import TO_REVIEWS, Routes

MATCHES = [
    ("uri exact", "uri: {exact: /a}", "{path: /a, case_sensitive: true}"),
    ("uri prefix", "uri: {prefix: /a}", "{prefix: /a, case_sensitive: true}"),
    ("uri regex", "uri: {regex: '/a.*'}", "{safe_regex: {regex: '/a.*'}, case_sensitive: true}"),
    ("uri, any case", "{uri: {prefix: /a}, ignoreUriCase: true}", "{prefix: /a, case_sensitive: false}"),
    (
        "headers in the order of names, then method, authority, scheme",
        """
        headers: {x-b: {prefix: b}, x-a: {exact: a}, x-c: {regex: 'c+'}}
        scheme: {exact: https}
        method: {exact: GET}
        authority: {exact: a.example.com}
        """,
        """
        headers:
        - {name: x-a, string_match: {exact: a}}
        - {name: x-b, string_match: {prefix: b}}
        - {name: x-c, string_match: {safe_regex: {regex: 'c+'}}}
        - {name: ':method', string_match: {exact: GET}}
        - {name: ':authority', string_match: {exact: a.example.com}}
        - {name: ':scheme', string_match: {exact: https}}
        """,
    ),
    (
        "presence of a header",
        "headers: {x-b: {}, x-a: {}}",
        "headers: [{name: x-a, present_match: true}, {name: x-b, present_match: true}]",
    ),
    (
        "absence of a value counts a missing header as one",
        "withoutHeaders: {x-a: {exact: a}}",
        """
        headers:
        - {name: x-a, string_match: {exact: a}, invert_match: true, treat_missing_header_as_empty: true}
        """,
    ),
    (
        "absence of a header",
        "withoutHeaders: {x-a: {}, x-b: {regex: '*'}}",
        """
        headers:
        - {name: x-a, present_match: true, invert_match: true}
        - {name: x-b, present_match: true, invert_match: true}
        """,
    ),
    (
        "query parameters",
        "queryParams: {b: {exact: '1'}, a: {}, d: {regex: '[0-9]'}}",
        """
        query_parameters:
        - {name: a, present_match: true}
        - {name: b, string_match: {exact: '1'}}
        - {name: d, string_match: {safe_regex: {regex: '[0-9]'}}}
        """,
    ),
]


@pytest.mark.parametrize(("match", "expected"), [case[1:] for case in MATCHES], ids=[c[0] for c in MATCHES])
def test_matches(routes: Routes, match: str, expected: str) -> None:
    condition = yaml.safe_load(match)
    (route,) = routes(yaml.safe_dump([{"match": [condition], **yaml.safe_load(f"{{{TO_REVIEWS}}}")}]))
    found = {"prefix": "/", "case_sensitive": True, **yaml.safe_load(expected)}
    if "path" in found or "safe_regex" in found:
        del found["prefix"]
    assert route["match"] == found


def test_each_condition_is_a_route_and_names_join(routes: Routes) -> None:
    found = routes(
        f"""
        - name: rule
          match:
          - {{name: first, uri: {{prefix: /a}}, statPrefix: first}}
          - {{uri: {{prefix: /b}}}}
          {TO_REVIEWS}
        - match: [{{name: alone, uri: {{prefix: /c}}}}]
          {TO_REVIEWS}
        """
    )
    assert [route.get("name") for route in found] == ["rule.first", "rule", ".alone"]
    assert [route.get("stat_prefix") for route in found] == ["first", None, None]


ENDS = [
    ("no conditions", ""),
    ("prefix /", "match: [{uri: {prefix: /}}]"),
    ("regex .*", "match: [{uri: {regex: '.*'}}]"),
    ("one of several", "match: [{uri: {prefix: /x}}, {uri: {prefix: /}}, {uri: {prefix: /y}}]"),
]


@pytest.mark.parametrize("match", [end[1] for end in ENDS], ids=[end[0] for end in ENDS])
def test_nothing_comes_behind_a_route_that_takes_all(routes: Routes, match: str) -> None:
    found = routes(
        f"""
        - name: all
          {match}
          {TO_REVIEWS}
        - name: never
          match: [{{uri: {{prefix: /n}}}}]
          {TO_REVIEWS}
        """
    )
    assert {route["name"] for route in found} == {"all"}
    assert found[-1]["match"].get("prefix", "/") == "/"


def test_a_condition_on_a_header_does_not_end_the_list(routes: Routes) -> None:
    found = routes(
        f"""
        - {{name: some, match: [{{headers: {{x-a: {{}}}}}}], {TO_REVIEWS}}}
        - {{name: rest, {TO_REVIEWS}}}
        """
    )
    assert [route["name"] for route in found] == ["some", "rest"]


SOURCES = f"""
- {{name: other port, match: [{{port: 81}}], {TO_REVIEWS}}}
- {{name: gateway, match: [{{gateways: [edge]}}], {TO_REVIEWS}}}
- {{name: label, match: [{{sourceLabels: {{app: shop}}}}], {TO_REVIEWS}}}
- {{name: namespace, match: [{{sourceNamespace: blue, uri: {{prefix: /blue}}}}], {TO_REVIEWS}}}
- name: mesh
  match: [{{gateways: [mesh], sourceLabels: {{app: none}}, uri: {{prefix: /mesh}}}}]
  {TO_REVIEWS}
- {{name: this port, match: [{{port: 9080, uri: {{prefix: /port}}}}], {TO_REVIEWS}}}
"""


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        ({}, ["mesh", "this port"]),
        ({"labels": {"app": "shop", "version": "v1"}}, ["label"]),
        ({"labels": {"app": "other"}}, ["mesh", "this port"]),
        ({"namespace": "blue"}, ["namespace", "mesh", "this port"]),
    ],
)
def test_conditions_on_the_proxy_choose_the_routes(
    routes: Routes, proxy: dict[str, Any], expected: list[str]
) -> None:
    assert [route["name"] for route in routes(SOURCES, **proxy)] == expected
