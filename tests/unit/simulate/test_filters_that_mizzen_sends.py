"""No filter that Mizzen sends leaves a call unjudged; filters that resolve names say what is called."""

from __future__ import annotations

import pytest

import mizzen
from mizzen.simulate import Call, Capture, ClientTls, Outcome, Protocol, Simulator

_MESH = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild}
spec:
  hosts: ["*.wild.example"]
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]
  resolution: DYNAMIC_DNS
  location: MESH_EXTERNAL
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: mongo}
spec:
  hosts: [mongo.example]
  addresses: [240.0.0.7]
  ports: [{number: 27017, name: mongo, protocol: MONGO}]
  resolution: STATIC
  endpoints: [{address: 10.0.1.4}]
"""


@pytest.fixture(scope="module", name="simulator")
def _simulator(tmp_path_factory: pytest.TempPathFactory) -> Simulator:
    file = tmp_path_factory.mktemp("mesh") / "mesh.yaml"
    file.write_text(_MESH, encoding="utf-8")
    proxy = mizzen.Proxy.from_node({"id": "sidecar~10.0.0.7~a.default~default.svc.cluster.local"})
    return Simulator(mizzen.translate(mizzen.load(file), proxy))


def _outside(port: int, name: str, tls: ClientTls | None = None) -> Call:
    return Call(port, "198.51.100.1", Capture.OUTBOUND, tls=tls, authority=name)


@pytest.mark.parametrize(
    ("call", "address", "port"),
    [
        (_outside(80, "a.wild.example"), "a.wild.example", 80),
        (_outside(80, "a.wild.example:80"), "a.wild.example", 80),
        (_outside(443, "", ClientTls("b.wild.example")), "b.wild.example", 443),
        (Call(27017, "240.0.0.7", Capture.OUTBOUND, Protocol.TCP), "10.0.1.4", 27017),
    ],
)
def test_the_endpoint_is_found(simulator: Simulator, call: Call, address: str, port: int) -> None:
    verdict = simulator.verdict(call)
    assert (verdict.outcome, verdict.unjudged) == (Outcome.FORWARDED, ())
    [destination] = verdict.destinations
    [endpoint] = destination.cluster.endpoints
    assert (endpoint.address, endpoint.port) == (address, port)
