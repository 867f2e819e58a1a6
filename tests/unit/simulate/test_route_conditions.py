"""Which route takes a request: every kind of condition."""

from __future__ import annotations

from typing import Any

import pytest

from mizzen.simulate import Call, Failure, Simulator
from tests.unit.simulate.simulated_proxy import get, http


def _with(match: str) -> Simulator:
    return http(f"""
        virtual_hosts:
          - name: all
            domains: ["*"]
            routes:
              - {{name: asked, match: {match}, direct_response: {{status: 200}}}}
              - {{name: rest, match: {{prefix: /}}, direct_response: {{status: 200}}}}
    """)


def _takes(match: str, call: Call) -> bool:
    verdict = _with(match).verdict(call)
    assert verdict.route is not None
    return verdict.route.name == "asked"


@pytest.mark.parametrize(
    ("match", "path", "takes"),
    [
        ("{prefix: /shop}", "/shopping?x=1", True),
        ("{prefix: /shop}", "/Shop", False),
        ("{prefix: /Shop, case_sensitive: false}", "/sHOPPING", True),
        ("{path: /shop}", "/shop?x=1", True),
        ("{path: /shop}", "/shop/", False),
        ("{path: /SHOP, case_sensitive: false}", "/shop", True),
        ("{safe_regex: {regex: '/s.*p'}}", "/shop?x=1", True),
        ("{safe_regex: {regex: '/s.*p'}}", "/shopping", False),
        ("{safe_regex: {regex: '/SHOP'}, case_sensitive: false}", "/shop", False),
        ("{path_separated_prefix: /shop}", "/shop", True),
        ("{path_separated_prefix: /shop}", "/shop/cart", True),
        ("{path_separated_prefix: /shop}", "/shopping", False),
        ("{prefix: /, query_parameters: [{name: a, string_match: {exact: '1'}}]}", "/?b=2&a=1&a=2", True),
        ("{prefix: /, query_parameters: [{name: a, string_match: {exact: '2'}}]}", "/?a=1&a=2", False),
        ("{prefix: /, query_parameters: [{name: a, present_match: true}]}", "/?a", True),
        ("{prefix: /, query_parameters: [{name: a, present_match: true}]}", "/a", False),
        ("{prefix: /, query_parameters: [{name: a}]}", "/?a=", True),
    ],
)
def test_paths_and_query_parameters(match: str, path: str, takes: bool) -> None:
    assert _takes(match, get(path)) is takes


@pytest.mark.parametrize(
    ("header", "sent", "takes"),
    [
        ("string_match: {exact: a}", {"X-Test": "a"}, True),
        ("string_match: {exact: a}", {"x-test": "A"}, False),
        ("string_match: {exact: A, ignore_case: true}", {"x-test": "a"}, True),
        ("string_match: {prefix: a}", {"x-test": "ab"}, True),
        ("string_match: {suffix: b}", {"x-test": "ab"}, True),
        ("string_match: {contains: x}", {"x-test": "ab"}, False),
        ("string_match: {safe_regex: {regex: 'a.'}}", {"x-test": "abc"}, False),
        ("string_match: {exact: a}, invert_match: true", {"x-test": "b"}, True),
        ("string_match: {exact: a}, invert_match: true", {}, False),
        ("string_match: {exact: a}, invert_match: true, treat_missing_header_as_empty: true", {}, True),
        ("string_match: {exact: ''}, treat_missing_header_as_empty: true", {}, True),
        ("present_match: true", {"x-test": ""}, True),
        ("present_match: true", {}, False),
        ("present_match: false", {}, True),
        ("present_match: true, invert_match: true", {}, True),
        ("range_match: {start: -1, end: 10}", {"x-test": "9"}, True),
        ("range_match: {start: -1, end: 10}", {"x-test": "10"}, False),
        ("range_match: {start: -1, end: 10}", {"x-test": "9a"}, False),
        ("exact_match: a", {"x-test": "a"}, True),
        ("prefix_match: a", {"x-test": "ba"}, False),
        ("suffix_match: a", {"x-test": "ba"}, True),
        ("contains_match: a", {"x-test": "bab"}, True),
        ("safe_regex_match: {regex: a+}", {"x-test": "aa"}, True),
    ],
)
def test_headers(header: str, sent: dict[str, str], takes: bool) -> None:
    assert _takes(f"{{prefix: /, headers: [{{name: X-Test, {header}}}]}}", get(headers=sent)) is takes


@pytest.mark.parametrize(
    ("condition", "takes"),
    [
        ("string_match: {exact: a}", True),
        ("string_match: {exact: b}", True),
        ("string_match: {exact: 'a,b'}", False),
        ("string_match: {exact: a}, invert_match: true", False),
        ("string_match: {exact: c}, invert_match: true", True),
    ],
)
def test_one_of_several_headers_of_one_name_must_match(condition: str, takes: bool) -> None:
    call = Call(80, authority="a", headers=(("x-test", "a"), ("X-Test", "b")))
    assert _takes(f"{{prefix: /, headers: [{{name: x-test, {condition}}}]}}", call) is takes


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        (":method", "POST", True),
        (":authority", "shop.example", True),
        ("host", "shop.example", True),
        (":scheme", "http", True),
        (":path", "/a?b=c", True),
        (":scheme", "https", False),
    ],
)
def test_parts_of_the_request_line_are_headers_too(name: str, value: str, takes: bool) -> None:
    match = f"{{prefix: /, headers: [{{name: '{name}', string_match: {{exact: '{value}'}}}}]}}"
    assert _takes(match, get("/a?b=c", method="POST")) is takes


@pytest.mark.parametrize(
    ("content_type", "takes"),
    [
        ("application/grpc", True),
        ("application/grpc+proto", True),
        ("application/grpc-web", False),
        ("", False),
    ],
)
def test_grpc_is_known_by_its_content_type(content_type: str, takes: bool) -> None:
    assert _takes("{prefix: /, grpc: {}}", get(headers={"content-type": content_type})) is takes


_CLAIM = "filter: envoy.filters.http.jwt_authn, path: [{key: payload}, {key: group}]"


@pytest.mark.parametrize(
    ("matcher", "payload", "takes"),
    [
        ("value: {string_match: {exact: admin}}", {"group": "admin"}, True),
        ("value: {string_match: {exact: admin}}", {}, False),
        ("value: {string_match: {exact: admin}}, invert: true", {}, True),
        ("value: {list_match: {one_of: {string_match: {exact: admin}}}}", {"group": ["user", "admin"]}, True),
        (
            "value: {or_match: {value_matchers: [{bool_match: true}, {null_match: {}}]}}",
            {"group": None},
            True,
        ),
        ("value: {present_match: true}", {"group": 0}, True),
        ("value: {double_match: {range: {start: 1, end: 2}}}", {"group": 1.5}, True),
        ("value: {double_match: {exact: 1}}", {"group": True}, False),
    ],
)
def test_claims_of_a_token(matcher: str, payload: dict[str, Any], takes: bool) -> None:
    metadata = {"envoy.filters.http.jwt_authn": {"payload": payload}}
    assert (
        _takes(f"{{prefix: /, dynamic_metadata: [{{{_CLAIM}, {matcher}}}]}}", get(dynamic_metadata=metadata))
        is takes
    )


def test_a_route_of_a_share_of_requests_is_a_chance() -> None:
    fraction = "{default_value: {numerator: 25, denominator: HUNDRED}}"
    verdict = _with(f"{{prefix: /, runtime_fraction: {fraction}}}").verdict(get())
    assert verdict.route is not None
    assert verdict.route.name == "rest"
    assert [(each.route, each.condition) for each in verdict.chances] == [
        ("asked", "a random 25 % of requests")
    ]


def test_no_route_is_not_found() -> None:
    verdict = http(
        "virtual_hosts: [{name: a, domains: ['*'], routes: [{match: {path: /x}, route: {cluster: c}}]}]"
    ).verdict(get())
    assert (verdict.failure, verdict.status) == (Failure.NO_ROUTE, 404)


@pytest.mark.parametrize(
    ("call", "name", "condition", "wanted", "found"),
    [
        (get("/shop"), "user", "header x-user", "jason", "none"),
        (
            get("/shop", headers={"x-user": "jason"}),
            "rest",
            "order",
            "the first route that matches",
            "an earlier one matches",
        ),
        (get("/other", headers={"x-user": "jason"}), "user", "path prefix", "/shop", "/other"),
    ],
)
def test_the_runner_up_is_the_route_that_got_furthest(
    call: Call, name: str, condition: str, wanted: str, found: str
) -> None:
    simulator = http("""
        virtual_hosts:
          - name: all
            domains: ["*"]
            routes:
              - name: user
                match: {prefix: /shop, headers: [{name: x-user, string_match: {exact: jason}}]}
                direct_response: {status: 200}
              - {name: cart, match: {prefix: /cart}, direct_response: {status: 200}}
              - {name: rest, match: {prefix: /}, direct_response: {status: 200}}
    """)
    runners_up = simulator.verdict(call, runners_up=True).runners_up
    assert runners_up is not None
    lost = runners_up.route
    assert lost is not None
    assert (lost.name, lost.condition, lost.wanted, lost.found) == (name, condition, wanted, found)
