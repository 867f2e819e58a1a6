"""Where a call goes: both ends, what is changed on the way, what lost, and the lines that say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mizzen
from mizzen.explain.answer import Answer
from mizzen.explain.answer_text import answer_text
from mizzen.explain.callers import DeclaredCallers, UnknownCallerError
from mizzen.explain.question import Question, QuestionError
from mizzen.explain.why import ServedMesh, why
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.service import Service
from mizzen.translator.clusters.service_resources import ServiceResources, ServiceTranslator
from mizzen.translator.shared.outbound import OutboundResources
from mizzen.translator.translation import Translation

MESH = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  clusterIP: 10.1.0.1
  ports: [{name: http, port: 80}]
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
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop]
  http:
  - name: beta
    match: [{headers: {beta: {exact: "yes"}}}]
    timeout: 3s
    rewrite: {uri: /new}
    headers: {request: {set: {x-beta: "1"}}}
    route: [{destination: {host: shop, subset: v2}}]
  - name: rest
    route:
    - destination: {host: shop, subset: v1}
      weight: 90
    - destination: {host: shop, subset: v2}
      weight: 10
"""


@pytest.fixture
def serving(tmp_path: Path) -> ServedMesh:
    (tmp_path / "m.yaml").write_text(MESH)
    return ServedMesh(mizzen.load(tmp_path / "m.yaml"))


def ask(serving: ServedMesh, url: str, *headers: str, caller: str = "shop-1") -> Answer:
    return why(Question.of_request("GET", url, headers), serving.callers.sidecar(caller), serving)


def steps(answer: Answer, hop: int = 0) -> dict[str, str]:
    return {step.kind: step.name for step in answer.hops[hop].steps}


def test_a_request_is_followed_to_the_server(serving: ServedMesh) -> None:
    answer = ask(serving, "http://shop/old", "beta: yes")
    client, server = answer.hops
    assert steps(answer)["route"] == "beta"
    assert steps(answer)["cluster"] == "outbound|80|v2|shop.default.svc.cluster.local"
    assert steps(answer)["endpoint"] == "10.2.0.2:80"
    assert steps(answer, 1)["cluster"] == "inbound|80||"
    [route] = [step for step in client.steps if step.kind == "route"]
    assert [each.rpartition("/")[2] for each in route.origins] == ["m.yaml:32"]
    said = "\n".join(route.details)
    for words in ("3s", "/new", "x-beta"):
        assert words in said
    assert route.lost is not None
    assert route.lost.name == "rest"
    assert server.proxy.startswith("shop-2")


def test_shares_are_told(serving: ServedMesh) -> None:
    text = answer_text(ask(serving, "http://shop/"))
    assert "90" in text
    assert "outbound|80|v1|shop.default.svc.cluster.local" in text
    assert "outbound|80|v2|shop.default.svc.cluster.local" in text
    assert "beta" in text


def test_a_service_that_is_not_there_is_said(serving: ServedMesh) -> None:
    answer = ask(serving, "http://stop/")
    assert any("no service of the mesh is named stop" in note for note in answer.notes)


@pytest.mark.parametrize(
    ("host", "meant"),
    [
        ("shpo", "shop.default"),
        ("shop.defualt", "shop.default"),
        ("shpo.default.svc.cluster.local", "shop.default.svc.cluster.local"),
        ("sho", "shop.default"),
    ],
)
def test_a_host_that_nobody_has_is_said_with_the_nearest(serving: ServedMesh, host: str, meant: str) -> None:
    [note] = ask(serving, f"http://{host}/").notes
    assert note.startswith(f"no service of the mesh is named {host} (did you mean {meant}?)")


def test_a_port_that_a_service_has_not_is_said(serving: ServedMesh) -> None:
    expected = "shop.default.svc.cluster.local has no port 81; its ports: 80"
    assert ask(serving, "http://shop:81/").notes == (expected,)


def test_who_a_gateway_without_a_workload_is_taken_for_is_said(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(NO_CHAIN)
    serving = ServedMesh(mizzen.load(tmp_path))
    question = Question.of_request("GET", "https://shop.example/")
    answer = why(question, serving.callers.gateway("edge"), serving)
    assert answer.notes == (
        "no document declares a workload for this gateway: it is assumed to be in namespace default, with "
        "the service account default",
    )
    workload = (
        "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: edge}\n"
        "spec: {address: 10.0.0.1, labels: {istio: ingressgateway}}\n---\n"
    )
    (tmp_path / "m.yaml").write_text(workload + NO_CHAIN)
    serving = ServedMesh(mizzen.load(tmp_path))
    assert why(question, serving.callers.gateway("edge"), serving).notes == ()


def test_who_a_caller_is_taken_for_is_said_where_a_policy_asks(tmp_path: Path) -> None:
    policy = (
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: readers}\n"
        "spec: {rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/x]}}]}]}\n---\n"
    )
    (tmp_path / "m.yaml").write_text(policy + MESH)
    [said] = ask(ServedMesh(mizzen.load(tmp_path)), "http://shop/").notes
    assert said == "nothing says which service account shop-1.default has: default is assumed"


def test_a_caller_that_is_not_there_is_said_with_the_nearest(serving: ServedMesh) -> None:
    with pytest.raises(UnknownCallerError, match="shop-1"):
        serving.callers.sidecar("shop-i")
    with pytest.raises(UnknownCallerError):
        serving.callers.gateway("edge")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("shop:80/x", '"shop:80/x" has no scheme; write http://shop:80/x'),
        ("http:///x", "names no host"),
        ("http://shop:99999/", "no valid port"),
        ("ftp://shop/", "is no URL of HTTP"),
    ],
)
def test_what_is_no_question(url: str, words: str) -> None:
    with pytest.raises(QuestionError, match=words):
        Question.of_request("GET", url)


@pytest.mark.parametrize("claims", ["{", "[1]", '{"a": "\\ud800"}', '{"a":' * 5000])
def test_what_are_no_claims(claims: str) -> None:
    with pytest.raises(QuestionError, match="are no claims; write a JSON object"):
        Question.of_request("GET", "http://shop/", claims=claims)


def test_a_proxy_that_is_expected_is_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(MESH, encoding="utf-8")
    callers = ServedMesh(mizzen.load(tmp_path)).callers
    assert callers.sidecar("shop-1") is callers.sidecar("shop-1.default")
    assert callers.sidecar("shop-1") is callers.at("10.2.0.1")
    assert callers.sidecar("shop-1") is not callers.sidecar("shop-2")


ELSEWHERE = """\
---
apiVersion: v1
kind: Service
metadata: {name: stock, namespace: far}
spec: {selector: {app: stock}, clusterIP: 10.1.0.2, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: stock-1, namespace: far, labels: {app: stock}}
spec: {address: 10.2.0.3}
"""


def test_only_what_takes_part_in_a_call_is_translated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mesh.yaml").write_text(MESH + ELSEWHERE, encoding="utf-8")
    serving = ServedMesh(mizzen.load(tmp_path))
    whole: list[str] = []
    made: list[str] = []
    build, resources = OutboundResources.build, ServiceTranslator.resources

    def noted(self: OutboundResources) -> Iterator[None]:
        whole.append(self.profile.namespace)
        return build(self)

    def noted_service(self: ServiceTranslator, service: Service, *inputs: Any) -> ServiceResources:
        made.append(service.hostname)
        return resources(self, service, *inputs)

    monkeypatch.setattr(OutboundResources, "build", noted)
    monkeypatch.setattr(ServiceTranslator, "resources", noted_service)
    answer = ask(serving, "http://stock.far/")
    assert [hop.proxy for hop in answer.hops] == ["shop-1.default", "stock-1.far"]
    assert answer.hops[1].conclusion == "it goes to inbound|80||"
    assert whole == []
    assert made == ["stock.far.svc.cluster.local"]


def test_what_a_sidecar_has_of_its_own_is_what_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(MESH + ELSEWHERE, encoding="utf-8")
    mesh = mizzen.load(tmp_path)
    for sidecar in DeclaredCallers(mesh).all():
        translation = Translation(mesh)
        alone = translation.own(sidecar)
        assert alone.listeners
        sent = translation.snapshot(sidecar)
        for each in (*alone.listeners, *alone.clusters):
            assert sent.collection(each.type_url).resources[each.name].value == each.value
        again = translation.own(sidecar)
        assert [each.value for each in again.listeners] == [each.value for each in alone.listeners]


UNCAPTURED = """\
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: shop}
spec:
  egress:
  - {port: {number: 80, name: http, protocol: HTTP}, bind: BIND, captureMode: NONE, hosts: ["./*"]}
"""


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.0.0.9", "10.2.0.1"])
def test_without_capture_the_client_calls_where_its_proxy_listens(bind: str, tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(MESH + UNCAPTURED.replace("BIND", bind), encoding="utf-8")
    mesh = mizzen.load(tmp_path)
    node = "sidecar~10.2.0.1~shop-1.default~default.svc.cluster.local"
    metadata = {"INTERCEPTION_MODE": "NONE", "NAMESPACE": "default"}
    caller = Proxy.from_node({"id": node, "metadata": metadata})
    answer = why(Question.of_request("GET", "http://shop/"), caller, ServedMesh(mesh))
    assert steps(answer)["route"] == "rest"
    assert f"the client is assumed to call the proxy's listener at {bind}" in answer.notes[-1]


OWN_LISTENER = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: far}
spec:
  hosts: [shop.far.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: shop}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1, namespace: far, annotations: {sidecar.istio.io/interceptionMode: NONE}}
spec: {address: 127.0.0.1, labels: {app: shop}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: shop, namespace: far}
spec:
  ingress:
  - {port: {number: 80, name: http, protocol: HTTP}, defaultEndpoint: "127.0.0.1:8080"}
  egress:
  - {port: {number: 80, name: http, protocol: HTTP}, bind: 127.0.0.9, captureMode: NONE, hosts: ["./*"]}
"""


@pytest.mark.parametrize("caller", ["shop-1", "shop", "shop.far.svc", "shop.far.svc.cluster.local"])
def test_a_workload_calls_its_own_service_where_its_proxy_listens_for_calls(
    tmp_path: Path, caller: str
) -> None:
    (tmp_path / "mesh.yaml").write_text(OWN_LISTENER, encoding="utf-8")
    answer = ask(ServedMesh(mizzen.load(tmp_path)), "http://shop/", caller=caller)
    assert steps(answer)["listener"] == "127.0.0.9_80"
    assert [hop.proxy for hop in answer.hops] == ["shop-1.far", "shop-1.far"]
    at_address = ask(ServedMesh(mizzen.load(tmp_path)), "http://127.0.0.1/", caller=caller)
    assert steps(at_address)["listener"] == "127.0.0.1_80"


NO_CHAIN = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [shop.example, bank.example]
    tls: {mode: SIMPLE, serverCertificate: /c.pem, privateKey: /k.pem}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
---
"""


@pytest.mark.parametrize(
    ("url", "caller", "lost"),
    [
        ("https://other.example/", "", "server name wants bank.example, shop.example, found other.example"),
        (
            "http://shop.example:443/",
            "",
            "server name wants bank.example, shop.example, found none known, as the connection is plain text",
        ),
        ("http://shop/", "shop-1", "transport protocol wants tls, found raw_buffer (plain text)"),
    ],
)
def test_where_no_filter_chain_takes_a_connection_the_nearest_is_named(
    tmp_path: Path, url: str, caller: str, lost: str
) -> None:
    mesh = MESH.replace("  subsets:", "  trafficPolicy: {tls: {mode: DISABLE}}\n  subsets:")
    (tmp_path / "m.yaml").write_text(NO_CHAIN + mesh)
    serving = ServedMesh(mizzen.load(tmp_path))
    asked = serving.callers.sidecar(caller) if caller else serving.callers.gateway("edge")
    answer = why(Question.of_request("GET", url), asked, serving)
    last = answer.hops[-1]
    assert "no filter chain of the listener matches" in last.conclusion
    step = last.steps[-1]
    assert (step.kind, step.name) == ("filter chain", "none")
    assert lost in answer_text(answer)
    assert step.lost is not None
    assert step.lost.origins


def test_a_gateway_is_where_the_service_before_it_is(tmp_path: Path) -> None:
    service = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: ingress, namespace: edge}\n"
        "spec: {selector: {istio: ingressgateway, app: x}, ports: [{name: https, port: 443}]}\n---\n"
    )
    (tmp_path / "m.yaml").write_text(service + NO_CHAIN)
    assert DeclaredCallers(mizzen.load(tmp_path)).gateway("edge").id == "edge.edge"


def test_unnamed_routes_are_counted_from_one() -> None:
    serving = ServedMesh(mizzen.load("examples/first-service"))
    gateway = serving.callers.gateway("public")
    answer = why(Question.of_request("GET", "http://127.0.0.1:8081/", []), gateway, serving)
    [route] = [step for step in answer.hops[0].steps if step.kind == "route"]
    assert (route.name, route.lost.name if route.lost else "") == ("number 2", "number 1")
