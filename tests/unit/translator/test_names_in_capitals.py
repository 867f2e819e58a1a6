"""Names of hosts in capitals mean what they mean in small letters, in every document that has one."""

from __future__ import annotations

import pytest
import yaml

import mizzen
from mizzen.config import ConfigStore, parse_documents
from mizzen.config.diagnostics import Severity
from mizzen.mesh.snapshot import Mesh

DOCUMENTS = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example.com]
  addresses: [10.2.0.1]
  ports:
    - {number: 80, name: http, protocol: HTTP}
    - {number: 8080, name: http-alt, protocol: HTTP}
    - {number: 443, name: tls, protocol: TLS}
  resolution: STATIC
  endpoints: [{address: 10.1.0.1, labels: {version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: named, namespace: default}
spec:
  hosts: [named.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]
  resolution: DNS
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: default}
spec:
  host: shop.example.com
  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: user}}}
  subsets: [{name: v1, labels: {version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  selector: {istio: edge}
  servers:
    - {port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com, default/www.example.com]}
    - {port: {number: 443, name: tls, protocol: TLS}, hosts: ["*.example.com"], tls: {mode: PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example.com, www.example.com]
  gateways: [mesh, edge]
  http:
    - route: [{destination: {host: shop.example.com, subset: v1, port: {number: 80}}}]
      mirror: {host: named.example.com, port: {number: 80}}
  tls:
    - match: [{port: 443, sniHosts: [shop.example.com]}]
      route: [{destination: {host: named.example.com, port: {number: 443}}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: default}
spec:
  egress: [{hosts: [default/shop.example.com, default/named.example.com]}]
"""

NAMES = ("shop.example.com", "named.example.com", "www.example.com", "*.example.com")
KINDS = ("ServiceEntry", "DestinationRule", "Gateway", "VirtualService", "Sidecar")


def in_capitals(text: str) -> str:
    for name in NAMES:
        text = text.replace(name, name.title())
    return text


def sent(text: str, kind: str) -> list[bytes]:
    store = ConfigStore()
    store.apply({"mesh.yaml": parse_documents(text.encode(), "mesh.yaml")})
    assert [found for found in store.diagnostics() if found.severity is Severity.ERROR] == []
    node = {
        "id": f"{kind}~10.0.0.7~client-1.default~default.svc.cluster.local",
        "metadata": {"NAMESPACE": "default", "LABELS": {"istio": "edge"}},
    }
    made = mizzen.translate(Mesh.build(store.configs()), mizzen.Proxy.from_node(node))
    messages = (*made.clusters, *made.endpoints, *made.listeners, *made.routes)
    return [message.SerializeToString(deterministic=True) for message in messages]


@pytest.mark.parametrize("proxy", ["sidecar", "router"])
@pytest.mark.parametrize("kind", KINDS)
def test_capitals_in_one_kind_of_document(kind: str, proxy: str) -> None:
    documents = DOCUMENTS.split("---")
    mixed = "---".join(in_capitals(one) if yaml.safe_load(one)["kind"] == kind else one for one in documents)
    assert mixed != DOCUMENTS
    assert sent(mixed, proxy) == sent(DOCUMENTS, proxy)


def test_two_rules_of_one_host_are_one_virtual_host_at_a_gateway() -> None:
    later = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: later, namespace: default}
spec:
  hosts: [www.example.com]
  gateways: [edge]
  http:
    - match: [{uri: {prefix: /later}}]
      route: [{destination: {host: named.example.com, port: {number: 80}}}]
"""
    assert sent(DOCUMENTS + in_capitals(later), "router") == sent(DOCUMENTS + later, "router")
