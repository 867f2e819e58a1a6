"""Tests of a mesh: what they find right, what they find wrong, and what they say."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

import mizzen
from mizzen.config.models.virtual_service import Destination
from mizzen.explain.answer import Answer
from mizzen.explain.why import why
from mizzen.mesh_tests import (
    CallEnd,
    Ending,
    Expectation,
    MeshUnderTest,
    Result,
    Wrong,
    judge,
    read_mesh_tests,
    result_text,
)
from mizzen.mesh_tests.judgement import Names
from mizzen.mesh_tests.schema import json_schema
from mizzen.sources.mesh_tests import load_mesh_tests, load_mesh_under_test

ROOT = Path(__file__).parents[3]

MESH = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  ports: [{name: http, port: 80}, {name: tcp, port: 81}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1, labels: {app: shop, version: v1}}
spec: {address: 10.2.0.1}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-2, labels: {app: shop, version: v2}}
spec: {address: 10.2.0.2}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: ["*"]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
  - {name: v9, labels: {version: v9}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop, shop.example.com]
  gateways: [mesh, edge]
  http:
  - name: beta
    match: [{uri: {prefix: /old}, headers: {beta: {exact: "yes"}}}]
    rewrite: {uri: /new, authority: beta.example}
    headers: {request: {set: {x-beta: "1"}, remove: [x-secret]}}
    route: [{destination: {host: shop, port: {number: 80}, subset: v2}}]
  - name: moved
    match: [{uri: {exact: /moved}}]
    redirect: {uri: /here, authority: elsewhere.example, redirectCode: 302}
  - name: nobody
    match: [{uri: {exact: /nobody}}]
    route: [{destination: {host: shop, port: {number: 80}, subset: v9}}]
  - name: teapot
    match: [{uri: {exact: /teapot}}]
    directResponse: {status: 418}
  - name: rest
    route:
    - destination: {host: shop, port: {number: 80}, subset: v1}
      weight: 90
    - destination: {host: shop, port: {number: 80}, subset: v2}
      weight: 10
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> MeshUnderTest:
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "mesh.yaml").write_text(MESH, encoding="utf-8")
    return MeshUnderTest(mizzen.load(folder))


def run(mesh: MeshUnderTest, call: str, expect: str) -> Result:
    text = f"tests:\n- name: it\n{textwrap.indent(call, '  ')}\n  expect: {expect}\n"
    found = read_mesh_tests(text.encode(), "shop.mesh-test.yaml")
    assert not found.diagnostics, found.diagnostics[0]
    return mesh.run(found.tests[0])


SHOP = "from: shop-1\nrequest: GET http://shop"
BETA = f"{SHOP}/old\nheaders: {{beta: 'yes', x-secret: s}}"
V1, V2 = "destination: {host: shop, subset: v1}", "destination: {host: shop, subset: v2}"

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


BAD = [
    ("", "a.mesh-test.yaml: has no tests; write them under `tests:`"),
    ("[]", "a.mesh-test.yaml:1: must be a mapping with `tests`; not a list"),
    ("tests: []", "a.mesh-test.yaml:1: tests is empty; write at least one, or remove the file"),
    ("tests: [\n", "a.mesh-test.yaml:1: "),
    (
        "tests:\n- name: a\n  form: b\n  expect: {closed: true}",
        "a.mesh-test.yaml:3: tests[0].form: unknown field; did you mean `from`?",
    ),
    (
        "{T}\n  expect: {status: 3}",
        "a.mesh-test.yaml:5: tests[0].expect.status: must be at least 100; not the integer 3",
    ),
    (
        "{T}\n  expect: {status: 300, closed: true}",
        "a.mesh-test.yaml:5: tests[0].expect: status and closed exclude each other; keep one of them",
    ),
    (
        "{T}\n  expect: {}",
        "a.mesh-test.yaml:5: tests[0].expect: must say how the call ends; add one of destination, route, "
        "redirect, status, denied, closed",
    ),
    (
        "{T}\n  expect: {status: 404, request: {uri: /}}",
        "a.mesh-test.yaml:5: tests[0].expect: request goes with destination or route: no request arrives "
        "otherwise",
    ),
    (
        "{T}\n  expect: {destination: {host: a}, request: {headers: {Host: back}}}",
        "a.mesh-test.yaml:5: tests[0].expect.request: headers has no Host here; write it as `authority`",
    ),
    (
        "{T}\n  expect: {denied: false}",
        "a.mesh-test.yaml:5: tests[0].expect: denied can only be true; else say how the call ends",
    ),
    (
        "{T}\n  tcp: b:80\n  expect: {closed: true}",
        "a.mesh-test.yaml:2: tests[0]: request and tcp exclude each other; keep one of them",
    ),
    (
        "tests:\n- name: a\n  request: GET http://a\n  expect: {status: 404}",
        "a.mesh-test.yaml:2: tests[0]: needs from or gateway; add `from: WORKLOAD` or `gateway: NAME`",
    ),
    (
        "tests:\n- name: a\n  from: b\n  tcp: b:80\n  expect: {status: 404}",
        "a.mesh-test.yaml:2: tests[0]: expect.status is for HTTP; remove it, or make a request",
    ),
    (
        "tests:\n- name: a\n  from: b\n  request: GET httpx://a\n  expect: {status: 404}",
        'a.mesh-test.yaml:4: tests[0].request: "httpx://a" is no URL of HTTP; write one such as http://',
    ),
    (
        "{T}\n  expect: {status: 404}\n- name: a\n  from: b\n  tcp: b:80\n  expect: {closed: true}",
        "a.mesh-test.yaml:6: tests[1].name: the test on line 2 has this name too; change one of them",
    ),
    (
        "{T}\n  expect: {status: 404}\n---\ntests: []",
        "a.mesh-test.yaml:7: a second document; put all tests under",
    ),
]


@pytest.mark.parametrize(("text", "said"), BAD)
def test_a_bad_file_is_told_with_file_and_line(text: str, said: str) -> None:
    text = text.replace("{T}", "tests:\n- name: a\n  from: b\n  request: GET http://a")
    found = read_mesh_tests(text.encode(), "a.mesh-test.yaml")
    assert not found.valid
    assert not found.tests
    assert str(found.diagnostics[0]).startswith(said), found.diagnostics[0]
    assert len(found.diagnostics) <= 2


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    text = """\
tests:
- {name: a, from: b, request: GET http://a, expect: {status: 3}}
- {name: a, from: b, request: GET http://a, expect: {status: 404}}
- {name: b, from: b, request: reviews/0, expect: {status: 404}}
- no test
"""
    found = read_mesh_tests(text.encode(), "a.mesh-test.yaml")
    assert [(each.origin.line, each.path) for each in found.diagnostics] == [
        (2, "tests[0].expect.status"),
        (3, "tests[1].name"),
        (4, "tests[2].request"),
        (5, "tests[3]"),
    ]
    assert not found.tests


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


def test_bytes_that_are_no_text_are_told() -> None:
    found = read_mesh_tests(b"\xff\xfe\x00", "a.mesh-test.yaml")
    assert str(found.diagnostics[0]) == "a.mesh-test.yaml: is not UTF-8 text; save it as UTF-8"


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


def test_the_published_schema_is_that_of_the_model() -> None:
    published = json.loads((ROOT / "docs" / "mesh-test.schema.json").read_text(encoding="utf-8"))
    assert published == json_schema()


GUARDED = """\
apiVersion: v1
kind: Service
metadata: {name: orders}
spec:
  selector: {app: orders}
  clusterIP: 10.1.0.1
  ports: [{name: http, port: 80}, {name: tcp-db, port: 5432}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: orders-1}
spec: {address: 10.2.0.1, labels: {app: orders}, serviceAccount: orders}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1}
spec: {address: 10.2.0.2, labels: {app: web}, serviceAccount: web}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: job-1}
spec: {address: 10.2.0.3, labels: {app: job}, serviceAccount: job}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: callers}
spec:
  selector: {matchLabels: {app: orders}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/default/sa/web]}}]
    to: [{operation: {methods: [GET], ports: ["80"]}}]
  - from: [{source: {requestPrincipals: [https://issuer.example/jane]}}]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec:
  selector: {matchLabels: {app: orders}}
  jwtRules:
  - issuer: https://issuer.example
    jwks: '{"keys": []}'
    outputClaimToHeaders: [{header: x-who, claim: sub}]
"""
DENIED = "{denied: true}"
ARRIVES = "{destination: {host: orders}}"
JANE = "claims: {iss: https://issuer.example, sub: jane}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> MeshUnderTest:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "mesh.yaml").write_text(GUARDED, encoding="utf-8")
    return MeshUnderTest(mizzen.load(folder))


@pytest.mark.parametrize(
    ("call", "expect"),
    [
        ("from: web-1\nrequest: GET http://orders", ARRIVES),
        ("from: web-1\nrequest: POST http://orders", DENIED),
        ("from: job-1\nrequest: GET http://orders", DENIED),
        (f"from: job-1\nrequest: POST http://orders\n{JANE}", ARRIVES),
        (
            f"from: job-1\nrequest: POST http://orders\n{JANE}",
            "{destination: {host: orders}, request: {headers: {x-who: jane}}}",
        ),
        ("from: job-1\nrequest: POST http://orders\nclaims: {iss: https://other.example}", DENIED),
        ("from: job-1\nrequest: POST http://orders\nheaders: {authorization: Bearer a.b.c}", "{status: 401}"),
        ("from: web-1\nrequest: POST http://orders", "{status: 403}"),
        (
            "from: web-1\nrequest: GET http://orders\nhttp2: true\nheaders: {content-type: application/grpc}",
            ARRIVES,
        ),
        ("from: web-1\nrequest: POST http://orders\nheaders: {content-type: application/grpc}", DENIED),
        ("from: web-1\ntcp: orders:5432", DENIED),
        ("from: web-1\ntcp: orders:5432", "{closed: true}"),
    ],
)
def test_what_policies_say_of_a_call(guarded: MeshUnderTest, call: str, expect: str) -> None:
    result = run(guarded, call, expect)
    assert result.passed, result_text(result)


def test_a_denial_that_is_not_expected_says_what_would_have_to_be_otherwise(guarded: MeshUnderTest) -> None:
    text = result_text(run(guarded, "from: job-1\nrequest: GET http://orders", ARRIVES))
    assert "happened  the call fails with status 403, since no policy allows it" in text
    line = 1 + GUARDED[: GUARDED.index("  - from: [{source: {principals")].count("\n")
    wanted = "principal wants spiffe://cluster.local/ns/default/sa/web, found spiffe://cluster.local/ns/default/sa/job"
    assert f"mesh.yaml:{line}: {wanted}" in text


UNCAPTURED = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.2.0.1, labels: {app: shop}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: client}
spec: {address: 10.2.0.9, labels: {app: client}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: client}
spec:
  workloadSelector: {labels: {app: client}}
  egress:
  - {port: {number: 80, name: http, protocol: HTTP}, bind: 127.0.0.7, captureMode: NONE, hosts: ["./*"]}
"""
INGRESS = """\
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: shop}
spec:
  workloadSelector: {labels: {app: shop}}
  ingress:
  - {port: {number: 8080, name: http, protocol: HTTP}, defaultEndpoint: 127.0.0.1:8000}
"""
ANNOTATED = "metadata: {name: client, annotations: {sidecar.istio.io/interceptionMode: NONE}}\nspec: {address"


@pytest.mark.parametrize(
    ("head", "mesh", "listener"),
    [
        ("interceptionMode: NONE\n", UNCAPTURED, "127.0.0.7_80"),
        ("", UNCAPTURED.replace("metadata: {name: client}\nspec: {address", ANNOTATED), "127.0.0.7_80"),
        ("", UNCAPTURED, "virtualOutbound"),
    ],
)
def test_sidecars_without_captured_traffic(tmp_path: Path, head: str, mesh: str, listener: str) -> None:
    text = (
        f"{head}tests:\n- name: a\n  from: client\n  request: GET http://shop/\n  expect: {{closed: true}}\n"
    )
    (tmp_path / "t.mesh-test.yaml").write_text(text)
    (tmp_path / "m.yaml").write_text(mesh)
    [file] = load_mesh_tests([tmp_path])
    under_test, _ = load_mesh_under_test(file)
    answer = under_test.run(file.tests[0]).answer
    assert answer is not None
    assert answer.hops[0].steps[0].name == listener


def test_a_workload_whose_proxy_does_not_listen_is_called_itself(tmp_path: Path) -> None:
    call = "tests: [{name: a, from: client, request: http://shop/, expect: {destination: {host: shop}}}]"

    def told(mesh: str) -> Answer:
        (tmp_path / "m.yaml").write_text(mesh)
        under_test = MeshUnderTest(mizzen.load(tmp_path), "NONE")
        [placed] = read_mesh_tests(call.encode(), "t.mesh-test.yaml").tests
        assert under_test.run(placed).passed == ("serviceAccount" not in mesh)
        return why(placed.question, under_test.caller("client"), under_test.serving)

    assert "its proxy does not listen at 10.2.0.1:8080" in " ".join(told(UNCAPTURED).notes)
    assert [hop.side for hop in told(UNCAPTURED + INGRESS).hops] == ["client", "server"]
    # Mutual TLS is nothing that the workload itself speaks.
    refused = told(UNCAPTURED.replace("{address: 10.2.0.1,", "{address: 10.2.0.1, serviceAccount: shop,"))
    assert refused.hops[1].conclusion == "the call fails, since no listener has this address and port"
    assert "its traffic is not captured" in " ".join(refused.hops[1].steps[0].details)
