"""A client's sidecar and one in front of a workload, which speak mutual TLS."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from mizzen.testing.caller import Caller, trust
from mizzen.testing.live_mesh import SERVICE_PORT, LiveMesh
from mizzen.testing.workloads import Workload
from tests.forked_mizzen import launch

UNNAMED_PORT = SERVICE_PORT + 1
"""A port whose protocol nobody says."""
TCP_PORT = SERVICE_PORT + 2
"""A port of TCP; the program speaks HTTP there too, which no proxy knows."""
CLIENT = "URI=spiffe://cluster.local/ns/default/sa/shopper"


@dataclass
class Pair:
    """A client's sidecar, and one in front of a workload, which is served on three ports."""

    mesh: LiveMesh
    client: Caller
    server: Caller
    workload: Workload

    async def policy(self, mtls: str, ports: str = "") -> None:
        """Set the mode of the workload and of its ports."""
        levels = f", portLevelMtls: {ports}" if ports else ""
        await self.mesh.apply(
            "policy.yaml",
            f"""
            apiVersion: security.istio.io/v1
            kind: PeerAuthentication
            metadata: {{name: reviews, namespace: default}}
            spec: {{selector: {{matchLabels: {{app: reviews}}}}, mtls: {{mode: {mtls}}}{levels}}}
            """,
        )

    async def seen(self, port: int = SERVICE_PORT) -> str:
        """Call the workload through both sidecars; return what it is told of the caller's certificate."""
        answer = await self.client.at(port).get(f"http://reviews:{port}/")
        assert answer.status_code == 200, answer.text
        headers: dict[str, str] = self.workload.requests[-1]["headers"]
        return headers.get("x-forwarded-client-cert", "")

    async def plain(self, port: int = SERVICE_PORT, path: str = "/") -> int:
        """Call the workload's sidecar in plain text; return the status, 0 if it does not answer."""
        return await self._status(self.server.address, port, path)

    async def known(self, port: int = SERVICE_PORT, path: str = "/") -> int:
        """Call the workload through both sidecars; return the status, 0 if the connection is closed."""
        return await self._status(self.client.address, port, path)

    async def _status(self, address: str, port: int, path: str) -> int:
        # A connection of its own: one that stands is left alone when a policy changes.
        async with httpx.AsyncClient(trust_env=False, verify=trust(), timeout=60) as client:
            try:
                url = f"http://{address}:{port}{path}"
                return (await client.get(url, headers={"host": f"reviews:{port}"})).status_code
            except httpx.TransportError:
                return 0


def workload(address: str, path: str, account: str) -> str:
    ports = "".join(
        f"""
    - port: {{number: {number}, protocol: {protocol}, name: {name}}}
      bind: {address}
      captureMode: NONE
      defaultEndpoint: unix://{path}"""
        for number, protocol, name in (
            (SERVICE_PORT, "HTTP", "http"),
            (UNNAMED_PORT, '""', "unnamed"),
            (TCP_PORT, "TCP", "tcp"),
        )
    )
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: reviews, namespace: default}}
spec:
  selector: {{app: reviews}}
  ports:
  - {{name: http, port: {SERVICE_PORT}}}
  - {{name: unnamed, port: {UNNAMED_PORT}}}
  - {{name: tcp, port: {TCP_PORT}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: reviews, namespace: default}}
spec: {{address: {address}, labels: {{app: reviews}}, serviceAccount: {account}}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: reviews, namespace: default}}
spec:
  workloadSelector: {{labels: {{app: reviews}}}}
  ingress:{ports}
"""


NEW_CONNECTIONS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec: {host: reviews, trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}}
"""
"""Connections that stand are left alone when a policy changes, so each call gets one of its own."""


@contextlib.asynccontextmanager
async def two_sidecars(directory: Path) -> AsyncIterator[Pair]:
    """Start both, with a control plane that issues certificates."""
    async with LiveMesh(directory, arguments=["--state", str(directory / "state")], launch=launch) as mesh:
        program = await mesh.server("reviews-app", path=str(directory / "app.sock"))
        address = mesh.next_address()
        mesh.write("reviews.yaml", workload(address, program.path, "reviews"))
        mesh.write("connections.yaml", NEW_CONNECTIONS)
        account = {"SERVICE_ACCOUNT": "reviews"}
        server = await mesh.sidecar("reviews", address, {"app": "reviews"}, metadata=account)
        client = await mesh.client(
            metadata={"SERVICE_ACCOUNT": "shopper"}, more_ports={UNNAMED_PORT: "HTTP", TCP_PORT: "TCP"}
        )
        await client.eventually("http://reviews/", lambda answer: answer.status_code == 200)
        yield Pair(mesh, client, server, program)
