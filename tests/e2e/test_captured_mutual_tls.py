"""What travels between two captured workloads, looked at on the wire between their machines."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.captured_mesh import SERVER, CapturedMesh, Machine, why_not

_REASON = why_not()
pytestmark = [
    pytest.mark.envoy,
    pytest.mark.root,
    pytest.mark.asyncio,
    pytest.mark.skipif(bool(_REASON), reason=_REASON),
]

WEB = "10.96.0.10"
PORT = 9080
SECRET = "said-in-confidence"
TLS_HANDSHAKE = b"\x16\x03"
MESH = f"""
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: default}}
spec:
  selector: {{app: server}}
  clusterIP: {WEB}
  ports: [{{name: http, port: 80, targetPort: {PORT}}}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: server}}
spec: {{address: {SERVER}, labels: {{app: server}}, serviceAccount: default}}
"""
DISABLED = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: default}
spec: {mtls: {mode: DISABLE}}
"""
_PROGRAM = Path(__file__).with_name("wire.py")


@asynccontextmanager
async def wire(machine: Machine) -> AsyncIterator[bytearray]:
    """Yield what TCP carries from and to PORT on the machine's network, all of it after the end."""
    process = await asyncio.create_subprocess_exec(
        *machine.command(sys.executable, _PROGRAM, "eth0", str(PORT)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"looking\n"
    cached = bytearray()
    try:
        yield cached
    finally:
        process.stdin.close()
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        cached += bytes.fromhex(json.loads(out))


async def test_what_travels_between_two_sidecars_is_tls(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"), "--secrets-to-anyone")
    async with CapturedMesh(*state) as mesh:
        await mesh.apply("mesh.yaml", MESH)
        async with wire(mesh.server) as cached:
            answer = await mesh.client.get(WEB, 80, f"/{SECRET}", name="web")
        assert answer["status"] == 200
        seen = json.loads(answer["body"])
        assert seen["path"] == f"/{SECRET}"
        told = seen["headers"]["x-forwarded-client-cert"]
        assert "URI=spiffe://cluster.local/ns/default/sa/default" in told
        assert cached.startswith(TLS_HANDSHAKE)
        assert SECRET.encode() not in cached

        await mesh.apply("policy.yaml", DISABLED)
        async with wire(mesh.server) as cached:
            await mesh.client.get(WEB, 80, f"/{SECRET}", name="web")
        assert SECRET.encode() in cached, "in plain text the same look finds it"
