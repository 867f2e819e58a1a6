"""Two networks: what a client of one sends to the other goes by the gateways that lead there, in mutual TLS.

A call goes: client's Envoy on the network east, an Envoy of west that passes on by SNI, workload of west,
which demands the client's certificate.
"""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.waiting import eventually
from mizzen.testing.workloads import TcpWorkload, greeting
from tests.authority import Authority
from tests.forked_mizzen import launch

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

PORT = 7070
PASSED_ON = 15443
HOST = "cart.internal"
CLUSTER = f"outbound|{PORT}||{HOST}"
SNI_CLUSTER = f"outbound_.{PORT}_._.{HOST}"


def service(**endpoints: TcpWorkload) -> dict[str, Any]:
    """A service with workloads by the names of their networks; they speak the mesh's mutual TLS."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "cart"},
        "spec": {
            "hosts": [HOST],
            "ports": [{"number": PORT, "name": "tcp", "protocol": "TCP"}],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "endpoints": [
                {
                    "address": workload.address,
                    "network": network.partition("_")[0],
                    "labels": {"security.istio.io/tlsMode": "istio"},
                }
                for network, workload in endpoints.items()
            ],
        },
    }


MUTUAL = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": "cart"},
    "spec": {
        "host": HOST,
        "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL", "subjectAltNames": [HOST]}},
    },
}


def passes_on(name: str, address: str) -> dict[str, Any]:
    """The Gateway of one east-west gateway."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name},
        "spec": {
            "selector": {"app": name},
            "servers": [
                {
                    "port": {"number": PASSED_ON, "name": "tls", "protocol": "TLS"},
                    "hosts": ["*.internal"],
                    "tls": {"mode": "AUTO_PASSTHROUGH"},
                    "bind": address,
                }
            ],
        },
    }


def contexts(authority: Authority, directory: Path) -> tuple[ssl.SSLContext, Mapping[str, str]]:
    """The TLS of a workload that demands certificates, and the metadata of a proxy that has one."""
    roots = directory / "roots.pem"
    roots.write_bytes(authority.certificate)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(roots))
    server.load_cert_chain(*authority.issue(HOST).write(directory, "cart"))
    server.verify_mode = ssl.CERT_REQUIRED
    certificate, key = authority.issue("client").write(directory, "client")
    return server, {
        "TLS_CLIENT_CERT_CHAIN": str(certificate),
        "TLS_CLIENT_KEY": str(key),
        "TLS_CLIENT_ROOT_CERT": str(roots),
    }


@dataclass
class World:
    """A client in the east; workloads in both networks; two gateways that lead into the west."""

    mesh: LiveMesh
    settings: Path
    client: Caller
    east: TcpWorkload
    west: TcpWorkload
    gateways: tuple[Caller, Caller]
    context: ssl.SSLContext

    def set_gateways(self, *gateways: Caller) -> None:
        """Write MeshNetworks anew: by which of the gateways the west is reached."""
        addresses = [{"address": gateway.address, "port": PASSED_ON} for gateway in gateways]
        _write_settings(self.settings, addresses)

    async def endpoints(self) -> Counter[str]:
        """Return the weights of the addresses that the client's Envoy calls."""
        answer = await self.client.admin("/clusters?format=json")
        weights: Counter[str] = Counter()
        for cluster in answer.json()["cluster_statuses"]:
            if cluster["name"] == CLUSTER:
                for host in cluster.get("host_statuses", ()):
                    weights[host["address"]["socket_address"]["address"]] += host["weight"]
        return weights

    async def calls(self, expected: Mapping[str, int]) -> None:
        """Wait until the client's Envoy calls these addresses, with these weights."""

        async def so() -> bool:
            return await self.endpoints() == expected

        await eventually(so, f"the client calls {expected}")

    async def answers(self, times: int = 40) -> Counter[str]:
        """Connect many times; return who answered."""
        return Counter([await greeting(self.client.address, PORT) for _ in range(times)])


def _write_settings(file: Path, gateways: list[dict[str, Any]]) -> None:
    networks = {"east": {}, "west": {"gateways": gateways}}
    new = file.with_suffix(".new")
    new.write_text(yaml.safe_dump({"meshNetworks": {"networks": networks}}), encoding="utf-8")
    new.rename(file)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("networks")
    settings = directory / "mesh-config.yaml"
    _write_settings(settings, [])
    context, metadata = contexts(Authority(), directory)
    async with LiveMesh(directory, arguments=("--mesh-config", str(settings)), launch=launch) as mesh:
        east, west = [await mesh.tcp_server(name, PORT, context) for name in ("east", "west")]
        second = mesh.next_address()
        mesh.write("cart.yaml", [service(east=east, west=west), MUTUAL])
        mesh.write("gateways.yaml", [passes_on("west-1", mesh.gateway_address), passes_on("west-2", second)])
        view = {"NETWORK": "west", "REQUESTED_NETWORK_VIEW": "west"}
        gateways = (
            await mesh.gateway("west-1", metadata=view, app="west-1"),
            await mesh.gateway("west-2", metadata=view, app="west-2", address=second),
        )
        client = await mesh.client(port=PORT, protocol="TCP", metadata={"NETWORK": "east", **metadata})
        yield World(mesh, settings, client, east, west, gateways, context)


async def test_the_other_network_is_called_by_its_gateways(world: World) -> None:
    world.set_gateways(*world.gateways)
    first, second = world.gateways
    # Doubled, so that the two gateways can share the one workload behind them.
    await world.calls({world.east.address: 2, first.address: 1, second.address: 1})
    before = [await gateway.stat(f"{SNI_CLUSTER}.*upstream_cx_total$") for gateway in world.gateways]
    answers = await world.answers(160)
    assert set(answers) == {"east", "west"}
    passed = [await gateway.stat(f"{SNI_CLUSTER}.*upstream_cx_total$") for gateway in world.gateways]
    through = [now - then for now, then in zip(passed, before, strict=True)]
    assert sum(through) == answers["west"]
    assert all(through)


async def test_a_gateway_comes_and_goes(world: World) -> None:
    first, second = world.gateways
    world.set_gateways(second)
    await world.calls({world.east.address: 1, second.address: 1})
    assert set(await world.answers()) == {"east", "west"}
    world.set_gateways(first)
    await world.calls({world.east.address: 1, first.address: 1})
    assert set(await world.answers()) == {"east", "west"}


async def test_a_network_without_gateways_is_called_directly(world: World) -> None:
    world.set_gateways()
    await world.calls({world.east.address: 1, world.west.address: 1})
    assert set(await world.answers()) == {"east", "west"}


async def test_several_workloads_behind_one_gateway_weigh_what_they_do_together(world: World) -> None:
    first, _ = world.gateways
    world.set_gateways(first)
    other = await world.mesh.tcp_server("west too", PORT, world.context)
    world.mesh.write("cart.yaml", [service(east=world.east, west=world.west, west_too=other), MUTUAL])
    await world.calls({world.east.address: 1, first.address: 2})
    await world.mesh.settled()  # the gateway must know of it as well
    answers = await world.answers(80)
    assert set(answers) == {"east", "west", "west too"}
    world.mesh.write("cart.yaml", [service(east=world.east, west=world.west), MUTUAL])
    await world.calls({world.east.address: 1, first.address: 1})


async def test_plain_text_does_not_cross(world: World) -> None:
    first, _ = world.gateways
    world.set_gateways(first)
    await world.calls({world.east.address: 1, first.address: 1})
    world.mesh.write("cart.yaml", [service(east=world.east, west=world.west)])
    await world.calls({world.east.address: 1})
    world.mesh.write("cart.yaml", [service(east=world.east, west=world.west), MUTUAL])
    await world.calls({world.east.address: 1, first.address: 1})
