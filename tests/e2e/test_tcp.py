"""TCP services: through an egress listener of a sidecar, divided by weight, and through a gateway."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.waiting import eventually
from mizzen.testing.workloads import TcpWorkload, greeting
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

PORT = 3306


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    return await mesh.client(port=PORT, protocol="TCP", policy="REGISTRY_ONLY")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def databases(mesh: LiveMesh) -> list[TcpWorkload]:
    return [await mesh.tcp_server(name, PORT) for name in ("one", "two")]


def service(databases: list[TcpWorkload]) -> str:
    one, two = databases
    return f"""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: database}}
        spec:
          hosts: [database.test]
          ports: [{{number: {PORT}, name: tcp, protocol: TCP}}]
          location: MESH_INTERNAL
          resolution: STATIC
          endpoints:
            - {{address: {one.address}, labels: {{version: one}}}}
            - {{address: {two.address}, labels: {{version: two}}}}
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {{name: database}}
        spec:
          host: database.test
          subsets:
            - {{name: one, labels: {{version: one}}}}
            - {{name: two, labels: {{version: two}}}}
    """


def routes(tcp: str, more: str = "") -> str:
    return f"""
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: database}}
        spec:
          hosts: [database.test]
          {more}
          tcp: {tcp}
    """


async def names(client: Caller, times: int) -> Counter[str]:
    return Counter([await greeting(client.address, client.port) for _ in range(times)])


async def test_connections_reach_the_endpoints(
    client: Caller, rules: Rules, databases: list[TcpWorkload]
) -> None:
    await rules(service(databases))
    assert set(await names(client, 30)) == {"one", "two"}


async def test_connections_are_divided_by_weight(
    client: Caller, rules: Rules, databases: list[TcpWorkload]
) -> None:
    to = """[{route: [
        {destination: {host: database.test, subset: one}, weight: 75},
        {destination: {host: database.test, subset: two}, weight: 25}]}]"""
    await rules(service(databases) + routes(to))
    counts = await names(client, 200)
    # 50 are expected with a standard deviation of 6: six of them are allowed.
    assert 14 <= counts["two"] <= 86
    assert counts["one"] + counts["two"] == 200


async def test_a_rule_for_some_clients_only(
    client: Caller, rules: Rules, databases: list[TcpWorkload]
) -> None:
    for label, expected in (("client", "two"), ("other", "one")):
        to = f"""[
            {{match: [{{sourceLabels: {{app: {label}}}}}],
              route: [{{destination: {{host: database.test, subset: two}}}}]}},
            {{route: [{{destination: {{host: database.test, subset: one}}}}]}}]"""
        await rules(service(databases) + routes(to))
        assert set(await names(client, 10)) == {expected}


async def test_a_limit_of_connections(client: Caller, rules: Rules, databases: list[TcpWorkload]) -> None:
    await rules(
        service(databases).replace(
            "host: database.test",
            "host: database.test\n          trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}",
        )
    )
    reader, writer = await asyncio.open_connection(client.address, client.port)
    assert (await reader.readline()).strip() in (b"one", b"two")
    assert await greeting(client.address, client.port) == ""
    writer.close()
    await writer.wait_closed()

    async def free() -> bool:
        return await greeting(client.address, client.port) != ""

    await eventually(free, "the connection that was closed makes room")


async def test_tcp_through_a_gateway(mesh: LiveMesh, rules: Rules, databases: list[TcpWorkload]) -> None:
    gateway = await mesh.gateway()
    await rules(
        service(databases)
        + routes(
            "[{match: [{port: 3307}], route: [{destination: {host: database.test, subset: two}}]}]",
            "gateways: [tcp]",
        )
        + """
        ---
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {name: tcp}
        spec:
          selector: {istio: ingressgateway}
          servers:
            - {port: {number: 3307, name: tcp, protocol: TCP}, hosts: ["*"]}
            - {port: {number: 3308, name: tcp-unused, protocol: TCP}, hosts: ["*"]}
    """
    )
    assert [await greeting(gateway.address, 3307) for _ in range(5)] == ["two"] * 5
    assert await greeting(gateway.address, 3308) == "", "no rule is for this port"
