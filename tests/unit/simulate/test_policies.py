"""What RBAC filters and external authorization say of a call."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import yaml

from mizzen.simulate import Call, ClientTls, Failure, Outcome, Protocol, Simulator, Verdict
from mizzen.simulate.verdict import Decision, Met, RunnerUp
from tests.unit.simulate.simulated_proxy import configuration, get, http, typed

ROUTES = """
virtual_hosts: [{name: a, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}]
"""
MUTUAL = "{require_client_certificate: true}"
ANY = "[{any: true}]"


def judged(
    policies: str, call: Call, *, action: str = "ALLOW", tls: str = "", manager: str = "{}", **more: Any
) -> Verdict:
    rules = {"action": action, "policies": yaml.safe_load(policies)}
    proxy = http(ROUTES, filters=(typed("rbac", "rbac", rules=rules, **more),), tls=tls, manager=manager)
    return proxy.verdict(call, runners_up=True)


def permission(text: str) -> str:
    return f"{{p: {{permissions: [{text}], principals: {ANY}}}}}"


def principal(text: str) -> str:
    return f"{{p: {{permissions: {ANY}, principals: [{text}]}}}}"


WEB = ClientTls("shop.example", ("h2",), certificate=True, names=("spiffe://cluster.local/ns/shop/sa/web",))
CLAIMS = {
    "envoy.filters.http.jwt_authn": {"payload": {"sub": "jason", "groups": ["a", "b"], "in": {"it": "x"}}}
}


def metadata(path: str, value: str) -> str:
    keys = ", ".join(f"{{key: {key}}}" for key in path.split("."))
    return f"{{metadata: {{filter: envoy.filters.http.jwt_authn, path: [{keys}], value: {value}}}}}"


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        (permission("{header: {name: ':method', string_match: {exact: GET}}}"), get(), get(method="POST")),
        (
            permission(
                "{header: {name: ':authority', string_match: {exact: SHOP.example, ignore_case: true}}}"
            ),
            get(),
            get(authority="x.example"),
        ),
        (permission("{url_path: {path: {prefix: /a}}}"), get("/a?b=/x"), get("/x?b=/a")),
        (permission("{destination_port: 80}"), get(), None),
        (permission("{destination_port: 81}"), None, get()),
        (permission("{destination_port_range: {start: 80, end: 81}}"), get(), None),
        (
            permission("{destination_ip: {address_prefix: 10.0.0.0, prefix_len: 8}}"),
            get(address="10.1.1.1"),
            get(),
        ),
        (permission("{not_rule: {url_path: {path: {exact: /a}}}}"), get("/b"), get("/a")),
        (
            permission("{and_rules: {rules: [{url_path: {path: {suffix: b}}}, {destination_port: 80}]}}"),
            get("/b"),
            get("/a"),
        ),
        (
            permission("{or_rules: {rules: [{url_path: {path: {exact: /a}}}, {destination_port: 81}]}}"),
            get("/a"),
            get("/b"),
        ),
        (
            permission(
                "{not_rule: {and_rules: {rules: [{url_path: {path: {exact: /a}}}, "
                "{header: {name: ':method', string_match: {exact: GET}}}]}}}"
            ),
            get("/a", method="PUT"),
            get("/a"),
        ),
        (principal("{header: {name: x-user, present_match: true}}"), get(headers={"X-User": ""}), get()),
        (
            principal("{direct_remote_ip: {address_prefix: 192.0.2.0, prefix_len: 24}}"),
            get(source_address="192.0.2.9", headers={"x-forwarded-for": "203.0.113.1"}),
            get(source_address="198.51.100.1"),
        ),
        (
            principal("{remote_ip: {address_prefix: 203.0.113.0, prefix_len: 24}}"),
            get(headers={"x-forwarded-for": "10.0.0.1, 203.0.113.1"}),
            get(headers={"x-forwarded-for": "203.0.113.1, what"}),
        ),
        (
            principal("{remote_ip: {address_prefix: '2001:db8::', prefix_len: 32}}"),
            get(source_address="2001:db8::1"),
            get(),
        ),
        (
            principal(metadata("payload.sub", "{string_match: {exact: jason}}")),
            get(dynamic_metadata=CLAIMS),
            get(),
        ),
        (
            principal(metadata("payload.groups", "{list_match: {one_of: {string_match: {exact: b}}}}")),
            get(dynamic_metadata=CLAIMS),
            get(),
        ),
        (
            principal(metadata("payload.in.it", "{string_match: {prefix: x}}"))
            .replace("metadata:", "sourced_metadata: {metadata_matcher:")
            .replace("}}}]", "}}}}]"),
            get(dynamic_metadata=CLAIMS),
            get(),
        ),
    ],
)
def test_each_condition(text: str, yes: Call | None, no: Call | None) -> None:
    if yes is not None:
        verdict = judged(text, yes)
        assert (verdict.status, verdict.policies[-1].policy) == (200, "p")
    if no is not None:
        verdict = judged(text, no)
        assert (verdict.outcome, verdict.failure) == (Outcome.FAILED, Failure.NO_POLICY_ALLOWS)


@pytest.mark.parametrize(
    ("hops", "edge", "forwarded", "believed"),
    [
        (0, False, "1.1.1.1, 2.2.2.2", "2.2.2.2"),
        (1, False, "1.1.1.1, 2.2.2.2", "1.1.1.1"),
        (2, False, "1.1.1.1, 2.2.2.2", "192.0.2.1"),
        (0, True, "1.1.1.1, 2.2.2.2", "192.0.2.1"),
        (1, True, "1.1.1.1, 2.2.2.2", "2.2.2.2"),
        (2, True, "1.1.1.1, 2.2.2.2", "1.1.1.1"),
    ],
)
def test_whose_address_is_believed(hops: int, edge: bool, forwarded: str, believed: str) -> None:
    text = principal(f"{{remote_ip: {{address_prefix: {believed}, prefix_len: 32}}}}")
    manager = f"{{use_remote_address: {str(edge).lower()}, xff_num_trusted_hops: {hops}}}"
    assert judged(text, get(headers={"x-forwarded-for": forwarded}), manager=manager).status == 200


@pytest.mark.parametrize(
    ("template", "path", "fits"),
    [
        ("/shops/*/items/**", "/shops/1/items/2/3", True),
        ("/shops/*/items/**", "/shops/1/items/", True),
        ("/shops/*/items/**", "/shops/1/2/items/3", False),
        ("/**/cart", "/a/b/cart", True),
        ("/a/*.html", "/a/x.html", True),
        ("/a/*.html", "/a/.html", False),
        ("/a/{id}/{rest=**}", "/a/1/2/3", True),
        ("/a.b/*", "/a-b/1", False),
    ],
)
def test_templates_of_paths(template: str, path: str, fits: bool) -> None:
    config = typed("template", "uri_template", path_template=template)
    rules = {"policies": {"p": {"permissions": [{"uri_template": config}], "principals": [{"any": True}]}}}
    verdict = http(ROUTES, filters=(typed("rbac", "rbac", rules=rules),)).verdict(get(path))
    assert verdict.status == (200 if fits else 403)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("{exact: 'spiffe://cluster.local/ns/shop/sa/web'}", True),
        ("{suffix: /job}", False),
        ("{exact: ''}", False),
    ],
)
def test_the_name_in_the_clients_certificate(name: str, fits: bool) -> None:
    text = principal(f"{{authenticated: {{principal_name: {name}}}}}")
    call = get(protocol=Protocol.HTTP2, tls=WEB)
    assert (judged(text, call, tls=MUTUAL).status == 200) is fits
    plain = judged(text, get())
    assert plain.runners_up is not None
    lost = plain.policies[-1].lost
    assert lost is not None
    assert lost.found == "a connection in plain text"


def test_a_certificate_that_nobody_asks_for_is_not_shown() -> None:
    text = principal("{authenticated: {principal_name: {prefix: spiffe}}}")
    verdict = judged(text, get(protocol=Protocol.HTTP2, tls=WEB), tls="{}")
    assert verdict.failure is Failure.NO_POLICY_ALLOWS


def test_a_certificate_whose_names_are_not_known_decides_nothing() -> None:
    text = principal("{authenticated: {principal_name: {prefix: spiffe}}}")
    call = get(protocol=Protocol.HTTP2, tls=dataclasses.replace(WEB, names=()))
    verdict = judged(text, call, tls=MUTUAL)
    assert verdict.policies[-1].decision is Decision.UNKNOWN
    assert verdict.unjudged == ("rbac",)


TWO = """
far: {permissions: [{destination_port: 99}], principals: [{header: {name: x-a, present_match: true}}]}
near:
  permissions: [{and_rules: {rules: [{destination_port: 80}, {or_rules: {rules: [
    {header: {name: ':method', string_match: {exact: GET}}},
    {header: {name: ':method', string_match: {exact: HEAD}}}]}}]}}]
  principals: [{any: true}]
"""


def test_the_nearest_policy_and_its_first_condition_that_fails() -> None:
    verdict = judged(TWO, get(method="PUT"))
    assert verdict.failure is Failure.NO_POLICY_ALLOWS
    assert verdict.policies[-1].lost == RunnerUp("near", "method", "GET or HEAD", "PUT")


def test_of_alternatives_that_counts_which_lacks_least() -> None:
    far = "{and_rules: {rules: [{destination_port: 99}, {url_path: {path: {exact: /a}}}]}}"
    near = "{and_rules: {rules: [{destination_port: 80}, {url_path: {path: {exact: /b}}}]}}"
    for permissions in (f"{far}, {near}", f"{near}, {far}"):
        verdict = judged(permission(permissions), get("/c"))
        assert verdict.policies[-1].lost == RunnerUp("p", "path", "/b", "/c")


def test_by_which_conditions_a_policy_denies() -> None:
    verdict = judged(TWO, get(), action="DENY")
    assert (verdict.status, verdict.failure) == (403, Failure.POLICY_DENIES)
    assert verdict.policies[-1].policy == "near"
    assert verdict.policies[-1].met == (
        Met("destination port", "80", "80"),
        Met("method", "GET or HEAD", "GET"),
    )
    assert judged(TWO, get(method="PUT"), action="DENY").status == 200


def test_a_filter_without_policies_allows_nothing() -> None:
    verdict = judged("{}", get())
    assert verdict.failure is Failure.NO_POLICY_ALLOWS
    assert verdict.policies[-1].lost is None


def test_logging_and_shadow_rules_deny_nothing() -> None:
    assert judged(TWO, get(), action="LOG").policies[-1].policy == "near"
    shadow = {"action": "DENY", "policies": yaml.safe_load(TWO)}
    verdict = http(ROUTES, filters=(typed("rbac", "rbac", shadow_rules=shadow),)).verdict(get())
    assert verdict.status == 200
    assert verdict.policies[0].tried == "near"


def test_to_grpc_a_denial_is_a_grpc_status() -> None:
    verdict = judged("{}", get(headers={"content-type": "application/grpc"}))
    assert (verdict.status, verdict.grpc_status) == (200, 7)


@pytest.mark.parametrize(
    "policy",
    [
        "{p: {permissions: [{any: true}], principals: [{filter_state: {key: a, string_match: {exact: b}}}]}}",
        "{p: {permissions: [{any: true}], principals: [{any: true}], condition: {const_expr: {}}}}",
    ],
)
def test_what_the_simulator_does_not_know_is_named(policy: str) -> None:
    verdict = judged(policy, get())
    assert verdict.unjudged == ("rbac",)


def test_a_route_with_settings_of_its_own_for_the_filter_is_not_judged() -> None:
    config = typed("rbac", "fault")["typed_config"]
    routes = yaml.safe_load(ROUTES)
    routes["virtual_hosts"][0]["routes"][0] = {
        "match": {"prefix": "/"},
        "route": {"cluster": "c"},
        "typed_per_filter_config": {"rbac": config},
    }
    rules = {"policies": {}}
    verdict = http(yaml.safe_dump(routes), filters=(typed("rbac", "rbac", rules=rules),)).verdict(get())
    assert verdict.unjudged == ("rbac",)


def test_an_authorizer_is_asked_about_noted_requests_alone() -> None:
    note = {
        "action": "DENY",
        "policies": {
            "ask": {"permissions": [{"url_path": {"path": {"exact": "/ask"}}}], "principals": [{"any": True}]}
        },
    }
    matcher = {
        "filter": "envoy.filters.http.rbac",
        "path": [{"key": "x_shadow_effective_policy_id"}],
        "value": {"string_match": {"exact": "ask"}},
    }
    proxy = http(
        ROUTES.replace("direct_response: {status: 200}", "route: {cluster: c}"),
        filters=(
            typed("rbac", "rbac", shadow_rules=note, shadow_rules_stat_prefix="x_"),
            typed("ext_authz", "ext_authz", filter_enabled_metadata=matcher),
        ),
    )
    asked = proxy.verdict(get("/ask"))
    assert asked.policies[-1].decision is Decision.UNKNOWN
    assert asked.unjudged == ("ext_authz",)
    assert proxy.verdict(get("/other")).unjudged == ()


def test_a_connection_that_is_denied_is_closed() -> None:
    policies = {"p": {"permissions": [{"destination_port": 3306}], "principals": [{"header": {"name": "a"}}]}}
    rules = {"action": "ALLOW", "policies": policies}
    chain = {
        "filters": [
            typed("rbac", "network_rbac", rules=rules, stat_prefix="tcp."),
            typed("tcp", "tcp", stat_prefix="tcp", cluster="c"),
        ]
    }
    address = {"socket_address": {"address": "0.0.0.0", "port_value": 3306}}
    listeners = [{"name": "tcp", "address": address, "filter_chains": [chain]}]
    proxy = Simulator(configuration(listeners=yaml.safe_dump(listeners)))
    verdict = proxy.verdict(Call(3306, protocol=Protocol.TCP), runners_up=True)
    assert (verdict.failure, verdict.status) == (Failure.NO_POLICY_ALLOWS, None)
    assert verdict.policies[-1].lost == RunnerUp("p", "header a", "present", "none")
