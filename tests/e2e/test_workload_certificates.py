"""Workload certificates of Mizzen's own authority: two sidecars speak mutual TLS, whatever is renewed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.live_mesh import SERVICE_PORT, Caller, LiveMesh
from tests.e2e.workloads import Workload

pytestmark = pytest.mark.envoy

STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: mutual, namespace: istio-system}
spec: {host: "*.svc.cluster.local", trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}
"""

URL = "http://reviews/"
RATE = 300
"""Requests a second."""


@dataclass
class Pair:
    """A client's sidecar, and one in front of a workload, which demands mutual TLS."""

    mesh: LiveMesh
    client: Caller
    server: Caller
    workload: Workload

    async def certificates(self) -> list[str]:
        """Return the serial numbers of the certificates that the two Envoys use."""
        return [await serial(self.client), await serial(self.server)]

    async def authority(self) -> dict[str, Any]:
        status = await self.mesh.status()
        found: dict[str, Any] = status["certificates"]["authority"]
        return found


async def serial(caller: Caller) -> str:
    held = (await caller.admin("/certs")).json()["certificates"]
    numbers = {chain["serial_number"] for each in held for chain in each["cert_chain"]}
    assert len(numbers) <= 1, numbers
    return next(iter(numbers), "")


async def pair(mesh: LiveMesh) -> Pair:
    workload = await mesh.server("reviews-app", path=str(mesh.directory / "app.sock"))
    address = mesh.next_address()
    mesh.write(
        "reviews.yaml",
        f"""
        apiVersion: v1
        kind: Service
        metadata: {{name: reviews, namespace: default}}
        spec: {{selector: {{app: reviews}}, ports: [{{name: http, port: {SERVICE_PORT}}}]}}
        ---
        apiVersion: networking.istio.io/v1
        kind: WorkloadEntry
        metadata: {{name: reviews, namespace: default}}
        spec: {{address: {address}, labels: {{app: reviews}}, serviceAccount: reviews}}
        ---
        apiVersion: networking.istio.io/v1
        kind: Sidecar
        metadata: {{name: reviews, namespace: default}}
        spec:
          workloadSelector: {{labels: {{app: reviews}}}}
          ingress:
            - port: {{number: {SERVICE_PORT}, protocol: HTTP, name: http}}
              bind: {address}
              captureMode: NONE
              defaultEndpoint: unix://{workload.path}
        """,
    )
    mesh.write("strict.yaml", STRICT)
    account = {"SERVICE_ACCOUNT": "reviews"}
    server = await mesh.sidecar("reviews", address, {"app": "reviews"}, metadata=account)
    client = await mesh.client(metadata={"SERVICE_ACCOUNT": "shopper"})
    assert not (await mesh.status())["configuration"]["refused"]
    await client.eventually(URL, lambda answer: answer.status_code == 200)
    return Pair(mesh, client, server, workload)


async def test_x(tmp_path: Path) -> None:
    async with LiveMesh(tmp_path, arguments=["--state", str(tmp_path / "state")]) as mesh:
        p = await pair(mesh)
        print(await p.certificates())
        print(json.dumps((await mesh.status())["certificates"], indent=1))
        print((await p.server.admin("/certs")).text)
        print(await mesh.http.get(f"http://{p.server.address}:{SERVICE_PORT}/"))
