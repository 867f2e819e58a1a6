"""What applies to a service or workload, from where, and what is odd about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mizzen.explain.describe.describe import UnknownNameError, describe
from mizzen.explain.describe.description import Description
from mizzen.explain.describe.description_text import description_text
from mizzen.mesh.analysis import analyze
from mizzen.sources.loading import load_configs

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  clusterIP: 10.1.0.1
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.2.0.1, labels: {app: shop, version: v1, security.istio.io/tlsMode: istio}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-2}
spec: {address: 10.2.0.2, labels: {app: shop, version: v2, security.istio.io/tlsMode: istio}}
"""
DESTINATION_RULE = """\
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop
  trafficPolicy: {connectionPool: {tcp: {connectTimeout: 3s}}}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
"""
VIRTUAL_SERVICE = """\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop]
  http:
  - name: beta
    match: [{headers: {beta: {exact: "yes"}}, uri: {prefix: /new}}]
    route: [{destination: {host: shop, subset: v2}}]
  - route:
    - {destination: {host: shop, subset: v1}, weight: 90}
    - {destination: {host: shop, subset: v2}, weight: 10}
"""
EDGE = """\
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {app: edge}
  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: [shop.example]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: outside}
spec:
  hosts: [shop.example]
  gateways: [edge]
  http: [{route: [{destination: {host: shop}}]}]
"""
POLICIES = """\
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict}
spec: {selector: {matchLabels: {version: v2}}, mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only-get}
spec: {selector: {matchLabels: {app: shop}}, rules: [{to: [{operation: {methods: [GET]}}]}]}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec: {selector: {matchLabels: {app: shop}}, jwtRules: [{issuer: https://id.example, jwks: '{"keys": []}'}]}
"""
WHOLE = SERVICE + DESTINATION_RULE + VIRTUAL_SERVICE + EDGE + POLICIES


def described(folder: Path, text: str, name: str = "shop") -> Description:
    (folder / "mesh.yaml").write_text(text, encoding="utf-8")
    loaded = load_configs([folder])
    mesh = loaded.mesh(certificates_served=True)
    return describe(mesh, name, (*loaded.diagnostics, *analyze(mesh)))


def line_of(text: str, words: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if words in line)


def test_a_service_has_its_ports_and_endpoints(tmp_path: Path) -> None:
    found = described(tmp_path, WHOLE)
    assert (found.kind, found.name, found.addresses) == (
        "service",
        "shop.default.svc.cluster.local",
        ("10.1.0.1",),
    )
    (port,) = found.ports
    assert (port.number, port.target, port.called) == (80, "8080", "mutual TLS")
    assert port.takes == "mutual TLS alone (1), mutual TLS and plain text (1)"
    assert [(each.address, each.subsets) for each in found.endpoints] == [
        ("10.2.0.1", ("v1",)),
        ("10.2.0.2", ("v2",)),
    ]
    assert found.endpoints[0].origins == (f"{tmp_path}/mesh.yaml:{line_of(WHOLE, 'name: shop-1') - 2}",)


def test_a_fault_is_told_with_the_route_that_has_it(tmp_path: Path) -> None:
    fault = "fault: {abort: {httpStatus: 418, percentage: {value: 100}}}"
    found = described(tmp_path, WHOLE.replace("  - name: beta", f"  - name: beta\n    {fault}"))
    [routed] = [rule for rule in found.rules if rule.name == "default/shop" and "routes" in rule.what]
    assert routed.parts[0].words.endswith("goes to shop.default v2, with a fault (abort)")


def test_a_service_has_its_rules_with_their_lines(tmp_path: Path) -> None:
    found = described(tmp_path, WHOLE)
    told = {(rule.kind, rule.name): rule for rule in found.rules}
    assert {key: rule.what for key, rule in told.items()} == {
        ("VirtualService", "default/shop"): "routes the calls to it",
        ("VirtualService", "default/outside"): "leads calls for shop.example to it (in default/edge)",
        ("DestinationRule", "default/shop"): "shapes the calls to it",
        ("Gateway", "default/edge"): "calls for shop.example come in here",
        ("PeerAuthentication", "default/strict"): "STRICT (for 1 of 2 workloads)",
        ("AuthorizationPolicy", "default/only-get"): "ALLOW, 1 rule",
        ("RequestAuthentication", "default/tokens"): "tokens of https://id.example",
    }
    first, second = told["VirtualService", "default/shop"].parts
    assert first.words == "beta: uri prefix /new, header beta = yes goes to shop.default v2"
    assert first.origins == (f"{tmp_path}/mesh.yaml:{line_of(WHOLE, '- name: beta')}",)
    assert second.words == "everything goes to shop.default v1 (weight 90), shop.default v2 (weight 10)"
    parts = [part.words for part in told["DestinationRule", "default/shop"].parts]
    assert parts == ["trafficPolicy: connectionPool", "subset v1: 1 endpoint", "subset v2: 1 endpoint"]


def test_a_workload_has_its_services_and_policies(tmp_path: Path) -> None:
    found = described(tmp_path, WHOLE, "shop-2")
    assert (found.kind, found.name) == ("workload", "shop-2.default")
    assert dict(found.facts)["services"] == "shop.default (subset v2)"
    (port,) = found.ports
    assert (port.number, port.service, port.takes) == (8080, "shop.default:80", "mutual TLS alone")
    kinds = {rule.kind: rule.what for rule in found.rules}
    assert kinds["PeerAuthentication"] == "STRICT"
    assert kinds.keys() >= {
        "AuthorizationPolicy",
        "RequestAuthentication",
        "VirtualService",
        "DestinationRule",
    }


@pytest.mark.parametrize("name", ["edge", "gateway/edge", "edge.default", "gateway/default/edge"])
def test_a_gateway_has_its_servers_and_what_is_bound_to_it(name: str, tmp_path: Path) -> None:
    redirecting = WHOLE.replace(
        "hosts: [shop.example]}]",
        "hosts: [shop.example], tls: {httpsRedirect: true}}, "
        "{port: {number: 443, name: tls, protocol: HTTPS}, hosts: [a.example, b.example], "
        "tls: {mode: SIMPLE, credentialName: none}}]",
    )
    assert redirecting != WHOLE
    found = described(tmp_path, redirecting, name)
    assert (found.kind, found.name) == ("gateway", "edge.default")
    assert [(each.number, each.takes, each.hosts) for each in found.ports] == [
        (8080, "plain text redirected to HTTPS (301)", "shop.example"),
        (443, "SIMPLE TLS", "a.example, b.example"),
    ]
    told = {(rule.kind, rule.name): rule for rule in found.rules}
    assert list(told) == [("Gateway", "default/edge"), ("VirtualService", "default/outside")]
    assert told["Gateway", "default/edge"].parts[0].words == (
        "port 8080 HTTP, plain text redirected to HTTPS (301) for shop.example"
    )
    assert told["VirtualService", "default/outside"].parts[0].words == "everything goes to shop.default"
    assert "there is no Secret none" in " ".join(each.message for each in found.odd)
    text = description_text(found)
    assert "endpoints" not in text
    assert "called in" not in text
    assert Description.from_dict(json.loads(json.dumps(found.as_dict()))) == found


ODD = {
    "a rule that never matches": (
        WHOLE.replace("  - name: beta", "  - route: [{destination: {host: shop}}]\n  - name: beta"),
        "IST0130",
        "no request reaches this route",
    ),
    "a subset without endpoints": (
        WHOLE.replace("{name: v2, labels: {version: v2}}", "{name: v2, labels: {version: v9}}"),
        "IST0173",
        "v2",
    ),
    "a VirtualService behind another": (
        WHOLE + VIRTUAL_SERVICE.replace("{name: shop}\nspec", "{name: shop-again}\nspec"),
        "IST0109",
        "shop",
    ),
    "plain text where mutual TLS alone is taken": (
        WHOLE.replace("connectionPool: {tcp: {connectTimeout: 3s}}", "tls: {mode: DISABLE}"),
        "IST0113",
        "clients of shop.default.svc.cluster.local speak plain text, and workloads refuse that (shop-2), as "
        "the PeerAuthentication at",
    ),
    "mutual TLS where plain text alone is taken": (
        WHOLE.replace("connectionPool: {tcp: {connectTimeout: 3s}}", "tls: {mode: ISTIO_MUTUAL}").replace(
            "mode: STRICT", "mode: DISABLE"
        ),
        "IST0113",
        "clients of shop.default.svc.cluster.local speak mutual TLS, and workloads refuse that (shop-2)",
    ),
    "mutual TLS alone, and no label that says so": (
        WHOLE.replace("version: v2, security.istio.io/tlsMode: istio", "version: v2"),
        "MZ0223",
        "nothing says that it has a proxy, so clients call it in plain text, and the PeerAuthentication at",
    ),
    "mutual TLS, and nothing says that there is a proxy": (
        WHOLE.replace("connectionPool: {tcp: {connectTimeout: 3s}}", "tls: {mode: ISTIO_MUTUAL}").replace(
            "version: v2, security.istio.io/tlsMode: istio", "version: v2"
        ),
        "",
        "port 80: clients speak mutual TLS, as the DestinationRule says ISTIO_MUTUAL, and nothing says that "
        "1 of 2 endpoints have a proxy (shop-2): without one calls to them fail",
    ),
    "a document of its name that is refused": (
        SERVICE + VIRTUAL_SERVICE.replace("weight: 90", "weight: -1"),
        "IST0106",
        "weight",
    ),
    "no endpoints": (
        SERVICE.replace("app: shop, version", "app: other, version"),
        "MZ0212",
        "has no endpoint",
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_odd_is_told(case: str, tmp_path: Path) -> None:
    text, code, words = ODD[case]
    assert text != WHOLE
    found = described(tmp_path, text)
    told = [odd for odd in found.odd if odd.code == code and words in odd.message]
    assert told, found.odd
    assert all(place.startswith(f"{tmp_path}/mesh.yaml:") for odd in told for place in odd.origins)
    assert words in description_text(found)


def test_the_rule_that_comes_first_is_named(tmp_path: Path) -> None:
    found = described(tmp_path, ODD["a VirtualService behind another"][0])
    told = {rule.name: rule.what for rule in found.rules}
    assert told["default/shop-again"] == "has no effect here: default/shop comes first"


def test_nothing_is_odd_about_a_sound_service(tmp_path: Path) -> None:
    text = SERVICE + DESTINATION_RULE + VIRTUAL_SERVICE
    assert described(tmp_path, text).odd == ()
    assert "what is odd: nothing" in description_text(described(tmp_path, text))


def test_it_is_the_same_behind_json(tmp_path: Path) -> None:
    for name in ("shop", "shop-2"):
        found = described(tmp_path, WHOLE, name)
        assert Description.from_dict(json.loads(json.dumps(found.as_dict()))) == found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shopp", 'no service, workload or Gateway is named "shopp"; did you mean shop'),
        ("gateway/egde", 'no gateway is named "egde"; did you mean edge.default?'),
        ("service/shop-1", 'no service is named "shop-1"'),
        ("workload/shop", 'no workload is named "shop"'),
    ],
)
def test_a_name_that_is_not_there_is_said(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=words.replace("?", r"\?")):
        described(tmp_path, WHOLE, name)


@pytest.mark.parametrize(
    ("name", "kind"), [("shop:80", "service"), ("SHOP.default.:8080", "service"), ("10.2.0.1:80", "workload")]
)
def test_the_port_of_a_name_does_not_count(name: str, kind: str, tmp_path: Path) -> None:
    assert described(tmp_path, WHOLE, name).kind == kind


def test_a_name_in_two_namespaces_is_asked_back(tmp_path: Path) -> None:
    twice = SERVICE + "---\n" + SERVICE.replace("name: shop", "namespace: far, name: shop")
    with pytest.raises(UnknownNameError, match=r"write shop\.default or shop\.far"):
        described(tmp_path, twice)
    assert described(tmp_path, twice, "shop.far").namespace == "far"


def test_a_workload_with_the_name_of_a_service(tmp_path: Path) -> None:
    text = WHOLE.replace("{name: shop-1}", "{name: shop}")
    assert described(tmp_path, text).kind == "service"
    assert described(tmp_path, text, "workload/shop").addresses == ("10.2.0.1",)


TOGETHER = """\
---
apiVersion: v1
kind: Service
metadata: {name: bank}
spec:
  selector: {app: bank}
  clusterIP: 10.1.0.2
  ports: [{name: http, port: 80, targetPort: 8090}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: bank-1}
spec: {address: 10.2.0.1, labels: {app: bank}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: bank-rules}
spec: {selector: {matchLabels: {app: bank}}, rules: [{}]}
"""


def test_workloads_at_one_address_are_told_apart(tmp_path: Path) -> None:
    text = WHOLE + TOGETHER
    bank, shop = described(tmp_path, text, "bank-1"), described(tmp_path, text, "shop-1")
    for found, service, port, other in (
        (bank, "bank.default", 8090, "shop-1.default"),
        (shop, "shop.default (subset v1)", 8080, "bank-1.default"),
    ):
        assert dict(found.facts)["services"] == service
        assert dict(found.facts)["same address"] == other
        assert [each.number for each in found.ports] == [port]
    assert {rule.name for rule in bank.rules} == {"default/bank-rules"}
    assert "default/bank-rules" not in {rule.name for rule in shop.rules}
    assert "same address" not in dict(described(tmp_path, text, "shop-2").facts)


def test_the_address_of_two_workloads_is_asked_back(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"write bank-1\.default or shop-1\.default"):
        described(tmp_path, WHOLE + TOGETHER, "10.2.0.1")


def test_a_pod_and_an_entry_of_one_name_are_chosen_by_kind(tmp_path: Path) -> None:
    pod = """\
---
apiVersion: v1
kind: Pod
metadata: {name: shop-1, labels: {app: shop}}
status: {podIP: 10.2.0.9, phase: Running}
"""
    with pytest.raises(UnknownNameError, match=r"write pod/shop-1\.default or workloadentry/shop-1\.default"):
        described(tmp_path, SERVICE + pod, "shop-1")
    assert described(tmp_path, SERVICE + pod, "pod/shop-1").addresses == ("10.2.0.9",)
    assert described(tmp_path, SERVICE + pod, "workloadentry/shop-1.default").addresses == ("10.2.0.1",)
