"""`mizzen test --envoy`: the calls of mesh tests made with real Envoys, both ends and mutual TLS between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forked_mizzen import mizzen
from tests.unit.testing.forked_pytest import run

pytest_plugins = "pytester"
pytestmark = pytest.mark.envoy

MESH = """\
apiVersion: v1
kind: Service
metadata: {name: bank}
spec:
  selector: {app: bank}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 3306}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: bank-1}
spec: {address: 10.9.0.1, labels: {app: bank, version: v1, security.istio.io/tlsMode: istio}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: client}
spec: {address: 10.9.0.2, labels: {app: client}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-vault}
spec:
  action: DENY
  selector: {matchLabels: {app: bank}}
  rules: [{to: [{operation: {paths: [/vault]}}]}]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec:
  selector: {matchLabels: {app: bank}}
  jwtRules:
  - {issuer: us.example, jwks: '{"keys":[]}'}
  - {issuer: them.example, jwks: '{"keys":[]}', fromParams: [token]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: members}
spec:
  action: DENY
  selector: {matchLabels: {app: bank}}
  rules:
  - to: [{operation: {paths: [/members]}}]
    when: [{key: "request.auth.claims[group]", notValues: [members]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: bank}
spec:
  host: bank
  subsets: [{name: v1, labels: {version: v1}}, {name: none, labels: {version: none}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bank}
spec:
  hosts: [bank]
  http:
  - match: [{uri: {prefix: /old}}]
    redirect: {uri: /new}
  - match: [{uri: {prefix: /split}}]
    route:
    - {destination: {host: bank, port: {number: 80}}, weight: 70}
    - {destination: {host: bank, subset: v1, port: {number: 80}}, weight: 30}
  - match: [{uri: {prefix: /r}}]
    rewrite: {uri: /w}
    headers: {request: {set: {x-a: b}}}
    route: [{destination: {host: bank, port: {number: 80}}}]
  - route: [{destination: {host: bank, port: {number: 80}}}]
"""

TESTS = """\
tests:
- {name: let in, from: client, request: GET http://bank/, expect: {destination: {host: bank}}}
- {name: denied, from: client, request: GET http://bank/vault, expect: {denied: true}}
- {name: HTTP/2, from: client, request: GET http://bank/, http2: true, expect: {destination: {host: bank}}}
- {name: TCP has no path, from: client, tcp: "bank:3306", expect: {denied: true}}
- {name: redirected, from: client, request: GET http://bank/old, expect: {redirect: {uri: /new}}}
- {name: no member, from: client, request: GET http://bank/members, expect: {denied: true}}
- name: member
  from: client
  request: GET http://bank/members
  claims: {iss: us.example, sub: me, group: [members]}
  expect: {destination: {host: bank}}
- name: member of others
  from: client
  request: GET http://bank/members
  claims: {iss: them.example, sub: me, group: [members]}
  expect: {destination: {host: bank}}
- name: rewritten
  from: client
  request: GET http://bank/r/1?x=2
  expect: {destination: {host: bank}, request: {uri: /w/1?x=2, headers: {x-a: b}}}
- name: split
  from: client
  request: GET http://bank/split
  expect:
    route:
    - {destination: {host: bank}, weight: 70}
    - {destination: {host: bank, subset: v1}, weight: 30}
"""

WRONG = """\
- {name: wrong, from: client, request: GET http://bank/, expect: {status: 404}}
- {name: nobody, from: noone, request: GET http://bank/, expect: {status: 404}}
"""


async def test_the_calls_are_made_and_judged(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(MESH, encoding="utf-8")
    file = tmp_path / "bank.mesh-test.yaml"
    file.write_text(TESTS, encoding="utf-8")
    code, out, err = await mizzen("test", str(tmp_path), "--envoy")
    assert code == 0, out
    assert err.splitlines()[-1] == "10 tests: 10 passed, 0 failed"

    file.write_text("tests:\n" + WRONG, encoding="utf-8")
    code, out, err = await mizzen("test", str(tmp_path), "--envoy")
    assert code == 2
    assert f"FAIL  {file}:2 wrong\n  expected  a proxy answers 404\n  happened  it goes to bank." in out
    assert f'{file}:3: from: no workload is named "noone"' in out
    assert err.splitlines()[-1] == "1 test: 0 passed, 1 failed; what is wrong with the files: 1"


EDGES = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: a, protocol: HTTPS}
    hosts: [a.example]
    tls: {mode: SIMPLE, credentialName: lost}
  - {port: {number: 81, name: d, protocol: HTTP}, hosts: [d.example]}
  - {port: {number: 443, name: c, protocol: TLS}, hosts: ["*.example"], tls: {mode: PASSTHROUGH}}
  - {port: {number: 80, name: b, protocol: HTTP}, hosts: [a.example], tls: {httpsRedirect: true}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec: {hosts: [a.example], gateways: [edge], http: [{route: [{destination: {host: bank.internal}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: far}
spec: {hosts: [d.example], gateways: [edge], http: [{route: [{destination: {host: far.internal}}]}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far}
spec:
  hosts: [far.internal]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 192.0.2.9}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: far}
spec: {host: far.internal, trafficPolicy: {tls: {mode: SIMPLE, credentialName: lost}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: passed}
spec:
  hosts: ["*.example"]
  gateways: [edge]
  tls: [{match: [{sniHosts: ["*.example"]}], route: [{destination: {host: bank.internal}}]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: bank}
spec:
  hosts: [bank.internal]
  resolution: STATIC
  ports: [{number: 8084, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.3, labels: {app: bank}}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: bound}
spec: {address: 127.0.0.2, labels: {app: bound}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: free, annotations: {sidecar.istio.io/interceptionMode: NONE}}
spec: {address: 127.0.0.4, labels: {app: bound}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: bound}
spec:
  workloadSelector: {labels: {app: bound}}
  egress:
  - {port: {number: 8084, name: http, protocol: HTTP}, bind: 127.0.0.2, captureMode: NONE, hosts: ["*/*"]}
"""

EDGE_TESTS = """\
tests:
- {name: no certificate, gateway: edge, request: "https://a.example/", expect: {closed: true}}
- {name: passed, gateway: edge, tcp: "c.example:443", tls: true, expect: {destination: {host: bank.internal}}}
- {name: no authority, gateway: edge, request: "http://d.example:81/", expect: {status: 503}}
- {name: redirected, gateway: edge, request: "http://a.example/", expect: {redirect: {scheme: https}}}
- name: to a listener that is bound
  from: bound
  request: "http://127.0.0.2:8084/"
  headers: {host: bank.internal}
  expect: {destination: {host: bank.internal}}
- name: without capture
  from: free
  request: "http://bank.internal:8084/"
  expect: {destination: {host: bank.internal}}
"""


async def test_the_simulator_agrees_where_nothing_is_captured_and_secrets_are_missing(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(EDGES, encoding="utf-8")
    (tmp_path / "edges.mesh-test.yaml").write_text(EDGE_TESTS, encoding="utf-8")
    code, out, err = await mizzen("test", str(tmp_path), "--envoy")
    assert code == 0, out
    assert "differs" not in out
    assert err.splitlines()[-1] == "6 tests: 6 passed, 0 failed"


async def test_without_an_envoy_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIZZEN_ENVOY", str(tmp_path / "none"))
    (tmp_path / "mesh.yaml").write_text(MESH, encoding="utf-8")
    (tmp_path / "bank.mesh-test.yaml").write_text(TESTS, encoding="utf-8")
    code, out, err = await mizzen("test", str(tmp_path), "--envoy")
    assert (code, out) == (2, "")
    assert (
        err.splitlines()[-1]
        == f"mizzen: MIZZEN_ENVOY is {tmp_path / 'none'}, which is no program that can be run"
    )


def test_pytest_makes_the_calls_too(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("mesh.yaml").write_text(MESH, encoding="utf-8")
    first, second, *_ = TESTS.removeprefix("tests:\n").split("- name: ")[1:]
    tests = f"tests:\n- name: {first}- name: {second}{WRONG}"
    pytester.path.joinpath("bank.mesh-test.yaml").write_text(tests, encoding="utf-8")
    result = run(pytester, "--mizzen-envoy", "-v")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["  happened  it goes to bank.*"])
    result.stdout.no_fnmatch_line("*Traceback*")
