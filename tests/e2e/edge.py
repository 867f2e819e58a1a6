"""A gateway with one route, for tests of what stands before the route."""

from __future__ import annotations

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh

HOST = "reviews.example.com"
SELECTOR = {"matchLabels": {"istio": "ingressgateway"}}
"""Picks the gateway's workload."""

_ROUTE = f"""
    apiVersion: networking.istio.io/v1
    kind: Gateway
    metadata: {{name: ingress}}
    spec:
      selector: {{istio: ingressgateway}}
      servers:
        - port: {{number: 8080, name: http, protocol: HTTP}}
          hosts: [{HOST}]
    ---
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {{name: reviews}}
    spec:
      hosts: [{HOST}]
      gateways: [ingress]
      http: [{{route: [{{destination: {{host: reviews}}}}]}}]
"""


async def edge(mesh: LiveMesh) -> Caller:
    """Start a gateway that leads to a workload."""
    await mesh.workload("reviews", version="v1")
    mesh.write("gateway.yaml", _ROUTE)
    return await mesh.gateway()
