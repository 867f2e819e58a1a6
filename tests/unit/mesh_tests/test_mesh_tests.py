"""Tests of a mesh: what they find right, what they find wrong, and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

import mizzen
from mizzen.config.models.virtual_service import Destination
from mizzen.mesh_tests import (
    CallEnd,
    Ending,
    Expectation,
    MeshUnderTest,
    Wrong,
    judge,
    result_text,
)
from mizzen.mesh_tests.judgement import Names
from tests.unit.mesh_tests.shop import BETA, MESH, SHOP, V1, V2, run


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> MeshUnderTest:
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "mesh.yaml").write_text(MESH, encoding="utf-8")
    return MeshUnderTest(mizzen.load(folder))


RIGHT = [
    (BETA, f"{{{V2}}}"),
    (BETA, "{destination: {host: shop.default.svc.cluster.local, subset: v2, port: {number: 80}}}"),
    (BETA, "{destination: {host: shop.default, subset: v2}}"),
    (
        BETA,
        f"{{{V2}, request: {{uri: /new, authority: beta.example, "
        "headers: {x-beta: '1', x-secret: null}}}",
    ),
    (SHOP, f"{{route: [{{{V1}, weight: 90}}, {{{V2}, weight: 10}}]}}"),
    (SHOP, f"{{route: [{{{V2}, weight: 1}}, {{{V1}, weight: 9}}]}}"),
    (f"{SHOP}/moved", "{redirect: {}}"),
    (
        f"{SHOP}/moved",
        "{redirect: {uri: /here, authority: elsewhere.example, redirectCode: 302, scheme: http}}",
    ),
    (f"{SHOP}/moved", "{status: 302}"),
    (f"{SHOP}/teapot", "{status: 418}"),
    (f"{SHOP}/nobody", "{status: 503}"),
    ("from: shop-1\nrequest: http://10.2.0.2:81/", "{destination: {host: shop, port: {number: 81}}}"),
    ("gateway: edge\nrequest: GET http://shop.example.com:8080/teapot", "{status: 418}"),
    ("gateway: edge\nrequest: GET http://other.example.com:8080/", "{status: 404}"),
    ("from: shop-1\ntcp: shop:81", "{destination: {host: shop, port: {number: 81}}}"),
    ("from: shop-1\ntcp: 10.9.9.9:99", "{destination: {host: PassthroughCluster}}"),
    ("gateway: edge\ntcp: shop.example.com:9999", "{closed: true}"),
]


@pytest.mark.parametrize(("call", "expect"), RIGHT)
def test_what_is_right_passes(mesh: MeshUnderTest, call: str, expect: str) -> None:
    result = run(mesh, call, expect)
    assert result.passed, result_text(result)


WRONG = [
    (BETA, f"{{{V1}}}", "it goes to shop.default.svc.cluster.local:80, subset v2"),
    (BETA, "{destination: {host: shop}}", "it goes to shop.default.svc.cluster.local:80, subset v2"),
    (BETA, "{destination: {host: shop, subset: v2, port: {number: 81}}}", "local:80, subset v2"),
    (BETA, f"{{{V2}, request: {{uri: /old}}}}", "arrives with uri /new, not /old"),
    (BETA, f"{{{V2}, request: {{authority: shop}}}}", "arrives with authority beta.example, not shop"),
    (BETA, f"{{{V2}, request: {{headers: {{x-beta: '2'}}}}}}", "arrives with header x-beta: 1, not 2"),
    (BETA, f"{{{V2}, request: {{headers: {{x-beta: null}}}}}}", "x-beta: 1, which must be absent"),
    (BETA, f"{{{V2}, request: {{headers: {{x-secret: s}}}}}}", "arrives with no header x-secret, not s"),
    (SHOP, f"{{route: [{{{V1}, weight: 80}}, {{{V2}, weight: 20}}]}}", "subset v1 gets 90 %, not 80 %"),
    (SHOP, f"{{{V1}}}", "subset v1 gets 90 %, not 100 %"),
    (SHOP, "{status: 200}", "90 % of the calls: it goes to shop.default.svc.cluster.local:80, subset v1"),
    (f"{SHOP}/moved", "{redirect: {uri: /there}}", "the redirect has uri /here, not /there"),
    (f"{SHOP}/moved", "{redirect: {redirectCode: 301}}", "the redirect has redirectCode 302, not 301"),
    (
        f"{SHOP}/moved",
        "{redirect: {authority: here.example}}",
        "authority elsewhere.example, not here.example",
    ),
    (f"{SHOP}/teapot", "{redirect: {}}", "the proxy answers 418 by itself"),
    (f"{SHOP}/nobody", f"{{{V1}}}", "the call fails with status 503, since the cluster has no endpoint"),
    (f"{SHOP}/teapot", "{denied: true}", "the proxy answers 418 by itself"),
    ("from: shop-1\ntcp: shop:81", "{closed: true}", "it goes to shop.default.svc.cluster.local:81"),
]


@pytest.mark.parametrize(("call", "expect", "said"), WRONG)
def test_what_is_wrong_fails_and_says_what_happened(
    mesh: MeshUnderTest, call: str, expect: str, said: str
) -> None:
    result = run(mesh, call, expect)
    assert not result.passed
    assert said in result.wrong


def test_a_failure_shows_the_steps_with_their_lines(mesh: MeshUnderTest) -> None:
    result = run(mesh, BETA, f"{{{V1}}}")
    text = result_text(result)
    assert text.startswith("FAIL  shop.mesh-test.yaml:2 it\n  expected  it goes to shop, subset v1\n")
    line = 1 + MESH[: MESH.index("- name: beta")].count("\n")
    assert f"mesh.yaml:{line}\n" in next(
        each for each in text.splitlines(True) if "route         beta" in each
    )
    assert "sidecar of the client, shop-1.default" in text
    assert "sidecar of the server, shop-2.default" in text


POLICY_OF_V2 = """\
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: v2}
spec:
  selector: {matchLabels: {version: v2}}
  action: DENY
  rules: [{}]
"""


@pytest.mark.parametrize(
    ("policy", "expect", "last"),
    [
        ("", "{status: 404}", "shop-1.default"),
        (POLICY_OF_V2, f"{{route: [{{{V1}, weight: 90}}, {{{V2}, weight: 10}}]}}", "shop-2.default"),
        ("", f"{{{V1}}}", "shop-2.default"),
        ("", f"{{{V2}}}", "shop-1.default"),
        ("", f"{{route: [{{{V1}, weight: 1}}]}}", "shop-2.default"),
    ],
)
def test_the_steps_lead_into_the_share_that_is_wrong(
    tmp_path: Path, policy: str, expect: str, last: str
) -> None:
    (tmp_path / "mesh.yaml").write_text(MESH + policy, encoding="utf-8")
    result = run(MeshUnderTest(mizzen.load(tmp_path)), SHOP, expect)
    assert result.answer is not None
    assert [hop.proxy for hop in result.answer.hops] == ["shop-1.default", last]


def test_an_unknown_caller_is_an_error_at_its_line(mesh: MeshUnderTest) -> None:
    result = run(mesh, "from: shop-7\nrequest: GET http://shop", "{status: 404}")
    assert not result.passed
    assert not result.wrong
    assert 'shop.mesh-test.yaml:3: from: no workload is named "shop-7"; did you mean' in result_text(result)


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("{destination: {host: shoop}}", '"shoop"; did you mean shop.default?'),
        ("{route: [{destination: {host: nowhere}}, {destination: {host: shop}}]}", '"nowhere"'),
        ("{destination: {host: shop.elsewhere}}", '"shop.elsewhere"; did you mean shop.default?'),
        ("{destination: {host: shop.default}}", ""),
        ("{destination: {host: BlackHoleCluster}}", ""),
    ],
)
def test_a_destination_that_no_service_is_named_like_is_told(
    mesh: MeshUnderTest, expect: str, said: str
) -> None:
    result = run(mesh, BETA, expect)
    assert not result.passed
    assert result.expected.partition("; no service is named ")[2] == said


def test_counted_shares_may_differ_within_the_tolerance() -> None:
    expect = Expectation.model_validate(
        {
            "route": [
                {"destination": {"host": "a"}, "weight": 90},
                {"destination": {"host": "b"}, "weight": 10},
            ]
        }
    )
    names = Names("default", "cluster.local")
    ends = [CallEnd(Ending.ARRIVES, 0.86, "a"), CallEnd(Ending.ARRIVES, 0.14, "b")]
    assert judge(expect, ends, names, 0.05) is None
    assert judge(expect, ends, names, 0.03) == Wrong("a gets 86 %, not 90 %", ends[0])
    one = Expectation.of(destination=Destination.of(host="a"))
    assert judge(one, ends, names, 0.2) == Wrong("a gets 86 %, not 100 %", ends[1])
