"""Listeners that begin to bind their port, and cease to, at an Envoy that captures its workload's traffic."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mizzen.testing.waiting import eventually
from tests.e2e.captured_mesh import CapturedMesh, why_not

_REASON = why_not()
pytestmark = [
    pytest.mark.envoy,
    pytest.mark.root,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(_REASON), reason=_REASON),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh() -> AsyncIterator[CapturedMesh]:
    async with CapturedMesh() as running:
        yield running


async def test_a_listener_that_begins_to_bind_its_port_harms_no_envoy(mesh: CapturedMesh) -> None:
    """Envoy crashes if a listener keeps its name while bind_to_port becomes true."""
    for mode in ("NONE", "IPTABLES", "NONE", "IPTABLES"):
        await mesh.apply("sidecar.yaml", _SIDECAR.format(mode=mode))

        async def bound(wanted: bool = mode == "NONE") -> bool:
            answer = await mesh.client.get("127.0.0.1", 15000, "/listeners")
            assert answer["status"] == 200, "the client's Envoy has ended"
            return ("0.0.0.0_8085_bound" in answer["body"]) is wanted

        await eventually(bound, f"port 8085 is served as captureMode {mode} says")


_SIDECAR = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: other}}
spec:
  hosts: [other.example]
  addresses: [10.96.0.20]
  ports: [{{number: 8085, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 10.77.0.2}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: client}}
spec:
  workloadSelector: {{labels: {{app: client}}}}
  ingress:
  - port: {{number: 8085, name: http, protocol: HTTP}}
    bind: 0.0.0.0
    defaultEndpoint: 127.0.0.1:9
    captureMode: {mode}
  egress: [{{hosts: ["*/*"]}}]
"""
