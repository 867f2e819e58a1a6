"""What a route does to a request."""

from __future__ import annotations

import pytest

from mizzen.simulate import Call, Failure, Outcome, Protocol, Simulator
from mizzen.simulate.verdict import Fault, HeaderChange, Mirror, Retries
from tests.unit.simulate.simulated_proxy import get, http


def _route(fields: str, match: str = "{prefix: /shop}", **more: object) -> Simulator:
    host = "{name: all, domains: ['*'], routes: [{name: one, match: " + match + ", " + fields + "}]}"
    return http("virtual_hosts: [" + host + "]", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("redirect", "authority", "location"),
    [
        ("{path_redirect: /new}", "a.example", "http://a.example/new?q=1"),
        ("{path_redirect: '/new?x=2'}", "a.example", "http://a.example/new?x=2"),
        ("{path_redirect: /new, strip_query: true}", "a.example", "http://a.example/new"),
        ("{prefix_rewrite: /new}", "a.example", "http://a.example/new/cart?q=1"),
        ("{host_redirect: b.example}", "a.example:8080", "http://b.example/shop/cart?q=1"),
        ("{https_redirect: true}", "a.example:80", "https://a.example/shop/cart?q=1"),
        ("{https_redirect: true}", "a.example:8080", "https://a.example:8080/shop/cart?q=1"),
        (
            "{scheme_redirect: https, port_redirect: 8443}",
            "a.example:80",
            "https://a.example:8443/shop/cart?q=1",
        ),
        ("{port_redirect: 81}", "[::1]:80", "http://[::1]:81/shop/cart?q=1"),
    ],
)
def test_redirects(redirect: str, authority: str, location: str) -> None:
    verdict = _route(f"redirect: {redirect}").verdict(get("/shop/cart?q=1", authority=authority))
    assert (verdict.outcome, verdict.answered_by, verdict.status) == (Outcome.ANSWERED, "redirect", 301)
    assert verdict.location == location


@pytest.mark.parametrize(
    ("action", "match", "authority", "path"),
    [
        ("cluster: c", "{prefix: /shop}", "a.example", "/shop/cart?q=1"),
        ("cluster: c, prefix_rewrite: /", "{prefix: /shop/}", "a.example", "/cart?q=1"),
        ("cluster: c, prefix_rewrite: /new", "{path: /shop/cart}", "a.example", "/new?q=1"),
        ("cluster: c, prefix_rewrite: /new", "{safe_regex: {regex: /s.*}}", "a.example", "/new?q=1"),
        (
            "cluster: c, regex_rewrite: {pattern: {regex: '/([a-z]+)/'}, substitution: '/\\1-'}",
            "{prefix: /}",
            "a.example",
            "/shop-cart?q=1",
        ),
        ("cluster: c, host_rewrite_literal: b.example", "{prefix: /}", "b.example", "/shop/cart?q=1"),
        ("cluster: c, host_rewrite_header: x-host", "{prefix: /}", "h.example", "/shop/cart?q=1"),
    ],
)
def test_rewrites(action: str, match: str, authority: str, path: str) -> None:
    verdict = _route(f"route: {{{action}}}", match).verdict(
        get("/shop/cart?q=1", authority="a.example", headers={"x-host": "h.example"})
    )
    assert verdict.upstream is not None
    assert (verdict.upstream.authority, verdict.upstream.path) == (authority, path)


def test_weights_are_shares() -> None:
    clusters = "[{name: a, weight: 3}, {name: b, weight: 1}, {name: c, weight: 0}]"
    verdict = _route(f"route: {{weighted_clusters: {{clusters: {clusters}}}}}").verdict(get("/shop"))
    assert [(each.cluster.name, each.share) for each in verdict.destinations] == [("a", 0.75), ("b", 0.25)]
    assert verdict.cluster == ""


def test_a_header_may_name_the_cluster() -> None:
    simulator = _route("route: {cluster_header: X-Cluster, cluster_not_found_response_code: NOT_FOUND}")
    verdict = simulator.verdict(get("/shop", headers={"x-cluster": "there"}))
    assert (verdict.cluster, verdict.failure, verdict.status) == ("there", Failure.NO_CLUSTER, 404)


def test_timeouts_retries_mirrors_and_headers_are_told() -> None:
    simulator = http("""
        request_headers_to_remove: [x-gone]
        virtual_hosts:
          - name: all
            domains: ["*"]
            response_headers_to_add: [{header: {key: x-host, value: h}}]
            routes:
              - name: one
                match: {prefix: /}
                metadata: {filter_metadata: {istio: {config: /apis/virtual-service/b}}}
                request_headers_to_add:
                  - {header: {key: x-set, value: "1"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
                route:
                  cluster: c
                  timeout: 1.5s
                  retry_policy:
                    retry_on: 5xx
                    num_retries: 3
                    per_try_timeout: 0.25s
                    retriable_status_codes: [503]
                  request_mirror_policies:
                    - cluster: m
                      runtime_fraction: {default_value: {numerator: 5, denominator: TEN_THOUSAND}}
    """)
    step = simulator.verdict(get()).route
    assert step is not None
    assert step.config == "/apis/virtual-service/b"
    assert (step.timeout, step.idle_timeout) == (1.5, None)
    assert step.retries == Retries("5xx", 3, 0.25, (503,))
    assert step.mirrors == (Mirror("m", 0.05),)
    assert step.request_headers == (
        HeaderChange("overwrite_if_exists_or_add", "x-set", "1"),
        HeaderChange("remove", "x-gone"),
    )
    assert step.response_headers == (HeaderChange("append_if_exists_or_add", "x-host", "h"),)


def test_a_timeout_is_15_seconds_unless_set() -> None:
    found = [
        _route(f"route: {{cluster: c{more}}}").verdict(get("/shop")).route for more in ("", ", timeout: 0s")
    ]
    assert [step.timeout for step in found if step is not None] == [15.0, None]


_ABORT = "{'@type': fault, abort: {http_status: 418, percentage: {numerator: %d}}}"
_FAULT = f"typed_per_filter_config: {{fault: {_ABORT}}}"


def test_a_certain_fault_answers_and_an_uncertain_one_is_told() -> None:
    certain = _route(f"route: {{cluster: c}}, {_FAULT % 100}").verdict(get("/shop"))
    assert (certain.answered_by, certain.status) == ("fault", 418)
    uncertain = _route(f"route: {{cluster: c}}, {_FAULT % 10}").verdict(get("/shop"))
    assert uncertain.answered_by == ""
    assert uncertain.route is not None
    assert uncertain.route.fault == Fault(418, 10.0)
    without = _route(f"route: {{cluster: c}}, {_FAULT % 100}", filters=()).verdict(get("/shop"))
    assert without.answered_by == ""


@pytest.mark.parametrize(
    ("origin", "method", "answered"),
    [
        ("https://a.example", "OPTIONS", True),
        ("https://b.example", "OPTIONS", False),
        ("https://a.example", "GET", False),
    ],
)
def test_a_preflight_is_answered_by_the_cors_filter(origin: str, method: str, answered: bool) -> None:
    policy = "{cors: {'@type': cors_policy, allow_origin_string_match: [{exact: 'https://a.example'}]}}"
    call = get("/shop", method=method, headers={"origin": origin, "access-control-request-method": "PUT"})
    verdict = _route(f"route: {{cluster: c}}, typed_per_filter_config: {policy}").verdict(call)
    assert (verdict.answered_by == "cors") is answered


def test_a_filter_that_the_simulator_does_not_know_is_named() -> None:
    verdict = http(
        "virtual_hosts: [{name: a, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: c}}]}]",
        filters=("lua",),
    ).verdict(get())
    assert verdict.unjudged == ("lua",)


@pytest.mark.parametrize(
    ("manager", "path", "seen"),
    [
        ("{}", "/a/../shop", None),
        ("{normalize_path: true}", "/a/../shop", "/shop"),
        ("{normalize_path: true}", "/%73hop/%7Ejoe%2F", "/shop/~joe%2F"),
        ("{merge_slashes: true}", "//shop///a", "/shop/a"),
        ("{path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD}", "/shop%2Fa", "/shop/a"),
        ("{path_with_escaped_slashes_action: REJECT_REQUEST}", "/shop%2Fa", 400),
        ("{}", "/shop#fragment", 400),
        ("{}", "http://other.example/shop", "/shop"),
    ],
)
def test_the_path_is_normalized_before_it_is_routed(manager: str, path: str, seen: str | int | None) -> None:
    verdict = _route("route: {cluster: c}", manager=manager).verdict(get(path))
    assert (verdict.upstream.path if verdict.upstream else verdict.status if seen == 400 else None) == seen


def test_to_grpc_envoy_answers_with_200_and_a_code() -> None:
    verdict = _route("route: {cluster: c}").verdict(
        get("/other", headers={"content-type": "application/grpc"})
    )
    assert (verdict.failure, verdict.status, verdict.grpc_status) == (Failure.NO_ROUTE, 200, 12)


def test_http_1_0_is_refused_unless_it_is_accepted() -> None:
    call = Call(80, authority="a", path="/shop", protocol=Protocol.HTTP10)
    assert _route("route: {cluster: c}").verdict(call).status == 426
    accepted = _route("route: {cluster: c}", manager="{http_protocol_options: {accept_http_10: true}}")
    assert accepted.verdict(call).failure is Failure.NO_CLUSTER


def test_what_is_not_http_is_a_bad_request() -> None:
    assert _route("route: {cluster: c}").verdict(Call(80, protocol=Protocol.TCP)).failure is Failure.NOT_HTTP


@pytest.mark.parametrize(
    ("protocol", "path", "location"),
    [
        (Protocol.HTTP1, "/shop", "https://new.example/shop"),
        (Protocol.HTTP2, "/shop", "http://new.example/shop"),
        (Protocol.HTTP1, "http://shop.example/shop", "http://new.example/shop"),
    ],
)
def test_the_scheme_is_what_the_client_says_and_else_what_was_forwarded(
    protocol: Protocol, path: str, location: str
) -> None:
    call = get(path, protocol=protocol, headers={"x-forwarded-proto": "https"})
    assert _route("redirect: {host_redirect: new.example}").verdict(call).location == location


@pytest.mark.parametrize(
    ("codec", "protocol", "failure"),
    [
        ("AUTO", Protocol.HTTP2, Failure.NO_CLUSTER),
        ("HTTP1", Protocol.HTTP2, Failure.NOT_HTTP),
        ("HTTP2", Protocol.HTTP2, Failure.NO_CLUSTER),
        ("HTTP2", Protocol.HTTP1, Failure.NOT_HTTP),
    ],
)
def test_a_codec_reads_its_version_of_http(codec: str, protocol: Protocol, failure: Failure) -> None:
    simulator = _route("route: {cluster: c}", manager=f"{{codec_type: {codec}}}")
    assert simulator.verdict(get("/shop", protocol=protocol)).failure is failure
