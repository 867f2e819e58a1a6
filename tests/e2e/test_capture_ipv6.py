"""Dual stack where traffic is captured: two machines that have IPv4 and IPv6.

Beside the rules of tests/e2e/captured_mesh.py stand the same for ip6tables, and the loopback interface has
the address ::6, as Istio's `istio-iptables` sees to it: from there the server's Envoy calls its own workload.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mizzen.testing.waiting import eventually
from tests.e2e.captured_mesh import CLIENT, PROXY_USER, SERVER, CapturedMesh, Machine, why_not

_REASON = why_not()
if not _REASON and not (shutil.which("ip6tables") and Path("/proc/net/if_inet6").exists()):
    _REASON = "needs IPv6 and the program ip6tables"
pytestmark = [
    pytest.mark.envoy,
    pytest.mark.root,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(_REASON), reason=_REASON),
]

CLIENT6 = "fd00:77::1"
SERVER6 = "fd00:77::2"
WEB = ("10.96.0.10", "fd00:96::10")
MESH = f"""
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: default}}
spec:
  selector: {{app: server}}
  clusterIPs: ["{WEB[0]}", "{WEB[1]}"]
  ports: [{{name: http, port: 80, targetPort: 9080}}, {{name: tcp, port: 3306, targetPort: 3306}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: server, namespace: default, labels: {{app: server}}}}
status:
  podIP: {SERVER}
  podIPs: [{{ip: {SERVER}}}, {{ip: "{SERVER6}"}}]
  conditions: [{{type: Ready, status: "True"}}]
"""
IPV6_ALONE = MESH.replace(f"podIP: {SERVER}", f'podIP: "{SERVER6}"').replace(f"{{ip: {SERVER}}}, ", "")


class DualMesh(CapturedMesh):
    """The captured mesh with addresses of both families."""

    async def _make_network(self) -> None:
        await super()._make_network()
        for machine, own, other in (
            (self.client, CLIENT6, SERVER6),
            (self.server, SERVER6, CLIENT6),
        ):
            # Without the check for duplicates, which takes a second, the address can be used at once.
            await machine.run("ip", "address", "add", f"{own}/64", "dev", "eth0", "nodad")
            await machine.run("ip", "address", "add", "::6/128", "dev", "lo")
            await machine.run("ip", "-6", "route", "add", "default", "via", other, "dev", "eth0")

    async def _capture(self) -> None:
        await super()._capture()
        for rule in (
            f"-A OUTPUT -p tcp -m owner --uid-owner {PROXY_USER} -j RETURN",
            "-A OUTPUT -p tcp -d ::1/128 -j RETURN",
            f"-A OUTPUT -p tcp -d {CLIENT6}/128 -j RETURN",
            "-A OUTPUT -p tcp -j REDIRECT --to-ports 15001",
        ):
            await self.client.run("ip6tables", "-w", "-t", "nat", *rule.split())
        rule = "-A PREROUTING -p tcp -j REDIRECT --to-ports 15006"
        await self.server.run("ip6tables", "-w", "-t", "nat", *rule.split())

    async def _start(self) -> None:
        await super()._start()
        program = Path(__file__).with_name("capture_server.py")
        await self._child("server-ipv6", self.server, sys.executable, program, SERVER6)

        async def serving() -> bool:
            return "listening" in self._children[-1].last_words()

        await eventually(serving, "the server's programs listen on IPv6")

    def metadata(self, machine: Machine) -> dict[str, Any]:
        ipv6 = {CLIENT: CLIENT6, SERVER: SERVER6}[machine.address]
        return {
            "INSTANCE_IPS": f"{machine.address},{ipv6}",
            "PROXY_CONFIG": {"proxyMetadata": {"ISTIO_DUAL_STACK": "true"}},
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh() -> AsyncIterator[DualMesh]:
    async with DualMesh() as running:
        await running.apply("mesh.yaml", MESH)
        yield running


@pytest.mark.parametrize("address", WEB)
async def test_a_service_is_called_at_its_address_of_either_family(mesh: DualMesh, address: str) -> None:
    await mesh.apply("mesh.yaml", MESH)
    outbound = await mesh.client.stat("outbound.80..web.*upstream_rq_total$")
    inbound = await mesh.server.stat("inbound.9080.*upstream_rq_total$")
    answer = await mesh.client.get(address, 80, name="web")
    assert answer["status"] == 200
    assert await mesh.client.stat("outbound.80..web.*upstream_rq_total$") == outbound + 1
    assert await mesh.server.stat("inbound.9080.*upstream_rq_total$") == inbound + 1
    assert await mesh.client.say(address, 3306) == "3306 hello"


async def test_a_workload_with_ipv6_alone(mesh: DualMesh) -> None:
    """The whole way is IPv6: the proxies of both ends, and from its own proxy to the workload."""
    await mesh.apply("mesh.yaml", IPV6_ALONE)
    for address in WEB:
        answer = await mesh.client.get(address, 80, name="web")
        assert json.loads(answer["body"])["from"] == "::6"
        assert await mesh.client.say(address, 3306) == "3306 hello"


async def test_what_nobody_knows_passes_through(mesh: DualMesh) -> None:
    outbound = await mesh.client.stat("^cluster.PassthroughCluster;.upstream_cx_total$")
    inbound = await mesh.server.stat("^cluster.InboundPassthroughCluster;.upstream_cx_total$")
    for address in (SERVER, SERVER6):
        assert await mesh.client.say(address, 7777) == "7777 hello"
    assert await mesh.client.stat("^cluster.PassthroughCluster;.upstream_cx_total$") == outbound + 2
    assert await mesh.server.stat("^cluster.InboundPassthroughCluster;.upstream_cx_total$") == inbound + 2
