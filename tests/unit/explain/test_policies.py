"""What policies say of a call is a step of the answer, with the lines of the policies."""

from __future__ import annotations

import pytest

import mizzen
from mizzen.explain.answer import Answer, Step
from mizzen.explain.answer_text import answer_text
from mizzen.explain.question import Question
from mizzen.explain.why import ServedMesh, why

MESH = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  clusterIP: 10.1.0.1
  ports: [{name: http, port: 80}, {name: tcp, port: 81}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.2.0.1, labels: {app: shop}, serviceAccount: shop}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1}
spec: {address: 10.2.0.2, labels: {app: web}, serviceAccount: web}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: gate}
spec:
  hosts: [gate.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 9000, name: grpc, protocol: GRPC}]
  endpoints: [{address: 10.2.0.9}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: callers}
spec:
  selector: {matchLabels: {app: shop}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/default/sa/web]}}]
    to: [{operation: {methods: [GET]}}]
  - from: [{source: {requestPrincipals: ["*"]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin}
spec:
  selector: {matchLabels: {app: shop}}
  action: DENY
  rules:
  - to: [{operation: {paths: [/nobody]}}]
  - to: [{operation: {paths: [/admin*], ports: ["80"]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: later, annotations: {istio.io/dry-run: "true"}}
spec:
  selector: {matchLabels: {app: shop}}
  action: DENY
  rules:
  - to: [{operation: {paths: [/later], ports: ["80"]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask}
spec:
  selector: {matchLabels: {app: shop}}
  action: CUSTOM
  provider: {name: opa}
  rules:
  - to: [{operation: {paths: [/ask], ports: ["80"]}}]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec:
  selector: {matchLabels: {app: shop}}
  jwtRules:
  - {issuer: https://one.example, jwksUri: https://one.example/keys}
  - {issuer: https://another.example, jwksUri: https://another.example/keys}
"""
SETTINGS = """\
extensionProviders:
- name: opa
  envoyExtAuthzGrpc: {service: gate.example, port: 9000}
"""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> ServedMesh:
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "m.yaml").write_text(MESH, encoding="utf-8")
    (folder / "settings.yaml").write_text(SETTINGS, encoding="utf-8")
    return ServedMesh(mizzen.load(folder / "m.yaml", mesh_config=folder / "settings.yaml"))


def ask(serving: ServedMesh, line: str, claims: dict[str, str] | None = None, **headers: str) -> Answer:
    question = Question.of_line(line, headers, claims=claims)
    return why(question, serving.callers.sidecar("web-1"), serving)


def security(answer: Answer) -> list[Step]:
    return [step for step in answer.hops[-1].steps if step.kind in ("policy", "token")]


def lines(*texts: str) -> tuple[int, ...]:
    return tuple(1 + MESH[: MESH.index(text)].count("\n") for text in texts)


def line_of(step: Step) -> tuple[int, ...]:
    return tuple(int(origin.rpartition(":")[2]) for origin in step.origins)


def test_what_allows_a_call(serving: ServedMesh) -> None:
    answer = ask(serving, "GET http://shop/")
    token, denies, allows = security(answer)
    assert token.name == "none, and none is required"
    assert denies.name == "none denies the call"
    assert (allows.name, allows.details) == ("callers.default, rules[0]", ("allows the call",))
    assert line_of(allows) == lines("  - from: [{source: {principals")
    assert answer.hops[-1].outcome == "forwarded"
    assert "the client is spiffe://cluster.local/ns/default/sa/web" in answer_text(answer)
    assert Answer.from_dict(answer.as_dict()) == answer


def test_the_nearest_rule_and_what_would_have_to_be_otherwise(serving: ServedMesh) -> None:
    answer = ask(serving, "POST http://shop/")
    assert answer.hops[-1].conclusion == "the call fails with status 403, since no policy allows it"
    step = security(answer)[-1]
    assert step.name == "none allows the call"
    assert step.lost is not None
    assert (step.lost.name, step.lost.condition) == ("callers.default, rules[0]", "method")
    assert (step.lost.wanted, step.lost.found) == ("GET", "POST")
    assert not [each for each in answer.hops[-1].steps if each.kind == "route"]


def test_by_what_a_call_is_denied(serving: ServedMesh) -> None:
    answer = ask(serving, "GET http://shop/admin/users")
    assert answer.hops[-1].conclusion.endswith("a policy denies it: no-admin.default, rules[1]")
    step = security(answer)[-1]
    assert line_of(step) == lines("  - to: [{operation: {paths: [/admin*]")
    assert step.details == (
        "denies the call",
        "as destination port is 80",
        "as path is /admin/users (prefix /admin)",
    )


def test_what_is_only_tried_out_is_told(serving: ServedMesh) -> None:
    answer = ask(serving, "GET http://shop/later")
    assert answer.hops[-1].outcome == "forwarded"
    [tried] = [step for step in security(answer) if "dry run" in "".join(step.details)]
    assert tried.name == "later.default, rules[0]"


def test_an_authorizer_outside_is_named(serving: ServedMesh) -> None:
    answer = ask(serving, "GET http://shop/ask")
    assert answer.hops[-1].outcome == "unknown"
    step = security(answer)[0]
    assert (step.name, step.details) == (
        "ask.default, rules[0]",
        ("the authorizer opa decides, which is not asked here",),
    )
    assert line_of(step) == lines("  - to: [{operation: {paths: [/ask]")
    assert ask(serving, "GET http://shop/").hops[-1].outcome == "forwarded"


def test_a_token_and_the_line_of_its_issuer(serving: ServedMesh) -> None:
    valid = ask(serving, "POST http://shop/", {"iss": "https://one.example", "sub": "jane"})
    token, _, allows = security(valid)
    assert (token.name, token.details) == ("of https://one.example", ("it is valid",))
    assert line_of(token) == lines("  - {issuer: https://one.example")
    assert allows.name == "callers.default, rules[1]"
    assert valid.notes[0].startswith("the request brings a valid token with the claims")
    refused = ask(serving, "POST http://shop/", authorization="Bearer a.b.c")
    assert refused.hops[-1].conclusion == "the call fails with status 401, since its token is not valid"
    [step] = security(refused)
    assert step.lost is not None
    assert (step.lost.condition, step.lost.wanted) == ("token", "a JSON Web Token")


def test_a_connection_without_http_is_judged(serving: ServedMesh) -> None:
    question = Question.of_connection("shop:81")
    answer = why(question, serving.callers.sidecar("web-1"), serving)
    assert answer.hops[-1].conclusion.endswith("a policy denies it: no-admin.default, rules[0]")
    assert answer.hops[-1].status is None
