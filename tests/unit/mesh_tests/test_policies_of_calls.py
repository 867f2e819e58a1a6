"""Tests of a mesh whose policies let in some calls only."""

from __future__ import annotations

import pytest

import mizzen
from mizzen.mesh_tests import (
    MeshUnderTest,
    result_text,
)
from tests.unit.mesh_tests.shop import run

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
