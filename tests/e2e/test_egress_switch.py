"""An egress gateway that is switched from HTTP to TLS passthrough, and back, under traffic."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import GATEWAY_PORT, SERVICE_PORT, LiveMesh
from mizzen.testing.waiting import eventually
from mizzen.testing.workloads import TcpWorkload, greeting
from tests.authority import Authority
from tests.e2e import patient_mizzen

pytestmark = pytest.mark.envoy

HOST = "outside.example"
SECURE_PORT = 8443
ANOTHER_PORT = 9443


def outside(address: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: outside}}
spec:
  hosts: [{HOST}]
  resolution: STATIC
  location: MESH_EXTERNAL
  ports:
  - {{number: {SERVICE_PORT}, name: http, protocol: HTTP}}
  - {{number: {SECURE_PORT}, name: tls, protocol: TLS}}
  endpoints: [{{address: {address}}}]
"""


def egress(protocol: str, port: int, address: str, rules: str) -> str:
    """Return the gateway with one port, and what leads to it and on from it."""
    tls = "\n    tls: {mode: PASSTHROUGH}" if protocol == "TLS" else ""
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: egress}}
spec:
  hosts: [egress.example]
  addresses: [240.0.0.9]
  resolution: STATIC
  ports:
  - {{number: {port}, name: egress, protocol: {protocol}}}
  endpoints: [{{address: {address}}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: egress}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: {port}, name: egress, protocol: {protocol}}}
    bind: {address}
    hosts: [{HOST}]{tls}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: outside}}
spec:
  hosts: [{HOST}]
  gateways: [mesh, egress]
{rules}
"""


def http(address: str) -> str:
    rules = f"""
  http:
  - match: [{{gateways: [mesh], port: {SERVICE_PORT}}}]
    route: [{{destination: {{host: egress.example, port: {{number: {GATEWAY_PORT}}}}}}}]
  - match: [{{gateways: [egress], port: {GATEWAY_PORT}}}]
    route: [{{destination: {{host: {HOST}, port: {{number: {SERVICE_PORT}}}}}}}]
"""
    return egress("HTTP", GATEWAY_PORT, address, rules)


def passthrough(address: str, port: int) -> str:
    rules = f"""
  tls:
  - match: [{{gateways: [mesh], port: {SECURE_PORT}, sniHosts: [{HOST}]}}]
    route: [{{destination: {{host: egress.example, port: {{number: {port}}}}}}}]
  - match: [{{gateways: [egress], port: {port}, sniHosts: [{HOST}]}}]
    route: [{{destination: {{host: {HOST}, port: {{number: {SECURE_PORT}}}}}}}]
"""
    return egress("TLS", port, address, rules)


@dataclass
class Load:
    """Calls to the outside host, each on a connection of its own."""

    client: Caller
    context: ssl.SSLContext
    answers: Counter[str] = field(default_factory=Counter)
    stopping: bool = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._repeat(call)) for call in (self._plain, self._secure)]
        try:
            yield
        finally:
            self.stopping = True
            await asyncio.gather(*tasks)

    async def _repeat(self, call: Callable[[], Awaitable[str]]) -> None:
        while not self.stopping:
            try:
                self.answers[await call()] += 1
            except (OSError, ssl.SSLError, httpx.TransportError) as error:
                self.answers[f"{call.__name__}: {error!r}"] += 1
            await asyncio.sleep(0.005)

    async def _plain(self) -> str:
        answer = await self.client.get(f"http://{HOST}/", headers={"connection": "close"})
        return f"http {answer.status_code}"

    async def _secure(self) -> str:
        name = await greeting(self.client.address, SECURE_PORT, context=self.context, server_name=HOST)
        return f"tls {name or 'cut'}"

    async def more(self, times: int, *answers: str) -> None:
        """Wait until these answers have come so many times more."""
        enough = {answer: self.answers[answer] + times for answer in answers}

        async def answered() -> bool:
            return all(self.answers[answer] >= count for answer, count in enough.items())

        await eventually(answered, f"{answers}, {times} times more")


BOTH = ("http 200", "tls outside")


@pytest.mark.parametrize(
    ("port", "delta"),
    [(ANOTHER_PORT, True), (GATEWAY_PORT, False)],
    ids=["another port, delta", "the same port, state of the world"],
)
async def test_no_call_fails_while_an_egress_gateway_is_switched(
    tmp_path: Path, *, port: int, delta: bool
) -> None:
    authority = Authority()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(HOST).write(tmp_path, "server"))
    async with LiveMesh(tmp_path, delta=delta, launch=patient_mizzen.launch) as mesh:
        server = await mesh.server("outside")
        secure = TcpWorkload("outside", server.address, SECURE_PORT, context)
        await secure.start()
        mesh.workloads.append(secure)
        plainly, through = http(mesh.gateway_address), passthrough(mesh.gateway_address, port)
        mesh.write("outside.yaml", outside(server.address))
        mesh.write("egress.yaml", plainly)
        gateway = await mesh.gateway()
        ports = {SECURE_PORT: "TLS", GATEWAY_PORT: "HTTP", port: "HTTP" if port == GATEWAY_PORT else "TLS"}
        client = await mesh.client(more_ports=ports)
        load = Load(client, authority.client_context())
        async with load.running():
            for rules in (through, plainly):
                await load.more(10, *BOTH)
                await mesh.apply("egress.yaml", rules)
            await load.more(10, *BOTH)
            # While the gateway is slow the sidecars go on as before; while a sidecar is, the gateway does.
            await _with_a_slow(mesh, gateway, through, load)
            await load.more(10, *BOTH)
            await _with_a_slow(mesh, client, plainly, load)
            await load.more(10, *BOTH)

        assert set(load.answers) == set(BOTH), load.answers
        assert await gateway.stat(rf"^tcp\.outbound\|{SECURE_PORT}\|\|{HOST}\.downstream_cx_total$")


async def _with_a_slow(mesh: LiveMesh, proxy: Caller, rules: str, load: Load) -> None:
    """Apply these rules while an Envoy does not answer, and let it go on when it is the one waited for."""
    os.kill(proxy.envoy.child.pid, signal.SIGSTOP)
    try:
        mesh.write("egress.yaml", rules)

        async def is_waited_for() -> bool:
            waiting = {each["node_id"] for each in (await mesh.status())["proxies"] if not each["synced"]}
            return waiting == {proxy.node_id}

        await eventually(is_waited_for, "only the slow one owes an answer")
        if proxy is not load.client:
            await load.more(5, "tls outside")
    finally:
        os.kill(proxy.envoy.child.pid, signal.SIGCONT)
    await mesh.settled()
