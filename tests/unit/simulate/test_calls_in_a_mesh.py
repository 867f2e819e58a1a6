"""This call goes there: the simulator over what Mizzen makes of Istio's rules."""

from __future__ import annotations

from pathlib import Path

import pytest

import mizzen
from mizzen.simulate import Call, Capture, ClientTls, Failure, Protocol, Simulator

_MESH = """
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, clusterIP: 10.1.0.1, ports: [{name: http, port: 80, targetPort: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, clusterIP: 10.1.0.2, ports: [{name: tcp, port: 5432}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-v1, namespace: shop}
spec: {address: 10.0.0.7, labels: {app: reviews, version: v1}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-v2, namespace: shop}
spec: {address: 10.0.0.8, labels: {app: reviews, version: v2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
    - match: [{headers: {end-user: {exact: jason}}}]
      route: [{destination: {host: reviews, subset: v2}}]
    - route: [{destination: {host: reviews, subset: v1}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec:
  hosts: [api.outside.example]
  resolution: DNS
  ports: [{number: 443, name: tls, protocol: TLS}]
"""


@pytest.fixture(name="simulator")
def _simulator(tmp_path: Path) -> Simulator:
    (tmp_path / "mesh.yaml").write_text(_MESH, encoding="utf-8")
    proxy = mizzen.Proxy.from_node({"id": "sidecar~10.0.0.7~reviews-v1.shop~shop.svc.cluster.local"})
    return Simulator(mizzen.translate(mizzen.load(tmp_path), proxy))


@pytest.mark.parametrize(
    ("call", "cluster", "endpoints"),
    [
        (
            Call(80, "10.1.0.1", Capture.OUTBOUND, authority="reviews"),
            "outbound|80|v1|reviews.shop.svc.cluster.local",
            ["10.0.0.7"],
        ),
        (
            Call(80, "10.1.0.1", Capture.OUTBOUND, authority="reviews", headers=(("end-user", "jason"),)),
            "outbound|80|v2|reviews.shop.svc.cluster.local",
            ["10.0.0.8"],
        ),
        (
            Call(5432, "10.1.0.2", Capture.OUTBOUND, Protocol.TCP),
            "outbound|5432||orders.shop.svc.cluster.local",
            [],
        ),
        (
            Call(443, "192.0.2.1", Capture.OUTBOUND, tls=ClientTls("api.outside.example")),
            "outbound|443||api.outside.example",
            ["api.outside.example"],
        ),
        (
            Call(443, "192.0.2.1", Capture.OUTBOUND, tls=ClientTls("other.example")),
            "PassthroughCluster",
            ["192.0.2.1"],
        ),
        (Call(9080, "10.0.0.7", Capture.INBOUND, authority="reviews"), "inbound|9080||", None),
    ],
)
def test_a_call_goes_where_the_rules_say(
    simulator: Simulator, call: Call, cluster: str, endpoints: list[str] | None
) -> None:
    verdict = simulator.verdict(call)
    assert verdict.cluster == cluster
    if endpoints is not None:
        [destination] = verdict.destinations
        assert [each.address for each in destination.cluster.endpoints] == endpoints


def test_a_verdict_says_what_nearly_took_the_call(simulator: Simulator) -> None:
    call = Call(80, "10.1.0.1", Capture.OUTBOUND, authority="reviews", headers=(("end-user", "anna"),))
    verdict = simulator.verdict(call, runners_up=True)
    assert verdict.runners_up is not None
    lost = verdict.runners_up.route
    assert lost is not None
    assert (lost.condition, lost.wanted, lost.found) == ("header end-user", "jason", "anna")
    assert verdict.route is not None
    assert verdict.route.config == "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews"


def test_the_same_simulator_answers_alike_again(simulator: Simulator) -> None:
    call = Call(80, "10.1.0.1", Capture.OUTBOUND, authority="reviews")
    assert simulator.verdict(call) == simulator.verdict(call)


_GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: edge}
  servers:
    - port: {number: 443, name: https, protocol: HTTPS}
      hosts: [a.example]
      tls: {mode: SIMPLE, credentialName: a}
    - port: {number: 443, name: mutual, protocol: HTTPS}
      hosts: [b.example]
      tls: {mode: MUTUAL, credentialName: b}
"""


@pytest.fixture(name="gateway", scope="module")
def _gateway(tmp_path_factory: pytest.TempPathFactory) -> Simulator:
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "mesh.yaml").write_text(_GATEWAY, encoding="utf-8")
    node = {
        "id": "router~10.0.0.9~edge.shop~shop.svc.cluster.local",
        "metadata": {"LABELS": {"istio": "edge"}},
    }
    return Simulator(mizzen.translate(mizzen.load(folder), mizzen.Proxy.from_node(node)))


@pytest.mark.parametrize(
    ("protocol", "tls", "failure"),
    [
        (Protocol.HTTP1, None, Failure.NO_FILTER_CHAIN),
        (Protocol.HTTP1, ClientTls("c.example"), Failure.NO_FILTER_CHAIN),
        (Protocol.HTTP1, ClientTls("b.example"), Failure.CLIENT_CERTIFICATE_REQUIRED),
        (Protocol.HTTP1, ClientTls("b.example", certificate=True), Failure.NO_ROUTE),
        (Protocol.HTTP1, ClientTls("a.example", ("http/1.1",)), Failure.NO_ROUTE),
        (Protocol.HTTP2, ClientTls("a.example", ("http/1.1",)), Failure.NOT_HTTP),
        (Protocol.HTTP1, ClientTls("a.example", ("http/1.1", "h2")), Failure.NOT_HTTP),
    ],
)
def test_a_gateway_tells_why_tls_fails(
    gateway: Simulator, protocol: Protocol, tls: ClientTls | None, failure: Failure
) -> None:
    verdict = gateway.verdict(Call(443, protocol=protocol, tls=tls, authority="nobody.example"))
    assert verdict.failure is failure
