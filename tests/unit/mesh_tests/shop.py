"""A mesh with one shop, calls of it, and tests of these calls."""

from __future__ import annotations

import textwrap

from mizzen.mesh_tests import (
    MeshUnderTest,
    Result,
    read_mesh_tests,
)

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


def run(mesh: MeshUnderTest, call: str, expect: str) -> Result:
    text = f"tests:\n- name: it\n{textwrap.indent(call, '  ')}\n  expect: {expect}\n"
    found = read_mesh_tests(text.encode(), "shop.mesh-test.yaml")
    assert not found.diagnostics, found.diagnostics[0]
    return mesh.run(found.tests[0])


SHOP = "from: shop-1\nrequest: GET http://shop"
BETA = f"{SHOP}/old\nheaders: {{beta: 'yes', x-secret: s}}"
V1, V2 = "destination: {host: shop, subset: v1}", "destination: {host: shop, subset: v2}"
