"""One thought of the user in two files, written one after the other: no request falls into the gap."""

from __future__ import annotations

import asyncio
import contextlib
import textwrap
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import GATEWAY_PORT, SERVICE_PORT, LiveMesh
from mizzen.testing.waiting import eventually
from tests.forked_mizzen import launch

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

CONNECTIONS = 6
INTERVAL = CONNECTIONS / 300
"""Seconds between two requests of a connection: all of them make 300 a second."""

MOST_REQUESTS = 6000
PAUSES = (0.0, 0.03, 0.008, 0.001, 0.045)
"""Seconds between the two files; one pause more or less decides nothing, so several are tried."""

CHANGES = 10


class Load:
    """A bounded stream of requests on several connections; every fifth is the last one of its connection."""

    def __init__(self, caller: Caller, host: str) -> None:
        self.answers: Counter[str] = Counter()
        self._caller, self._host = caller, host
        self._stopping = False

    @contextlib.asynccontextmanager
    async def on(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._connection(number)) for number in range(CONNECTIONS)]
        try:
            yield
        finally:
            self._stopping = True
            await asyncio.gather(*tasks)

    @property
    def total(self) -> int:
        return sum(self.answers.values())

    async def _connection(self, number: int) -> None:
        clock = asyncio.get_running_loop().time
        due = clock() + INTERVAL * number / CONNECTIONS
        while not self._stopping:
            try:
                async with asyncio.timeout(60):
                    reader, writer = await asyncio.open_connection(self._caller.address, self._caller.port)
                    for turn in range(5):
                        await asyncio.sleep(max(0.0, due - clock()))
                        due = max(due + INTERVAL, clock())
                        self._count(await self._answer(reader, writer, last=turn == 4))
                    writer.close()
            except (OSError, EOFError, TimeoutError) as error:
                self._count(repr(error))

    def _count(self, answer: str) -> None:
        self.answers[answer] += 1
        self._stopping = self._stopping or self.total >= MOST_REQUESTS

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, last: bool) -> str:
        closing = "connection: close\r\n" if last else ""
        writer.write(f"GET / HTTP/1.1\r\nhost: {self._host}\r\n{closing}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        _, _, length = head.partition("content-length: ")
        body = await reader.readexactly(int(length.split("\r\n")[0]))
        status = head.split(" ")[1]
        return body.decode() if status == "200" else f"{status} {body.decode()}"


async def answer_with_name(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(EOFError):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode())


def service_entry(name: str, host: str, *endpoints: str) -> str:
    listed = "".join(f"\n            - {endpoint}" for endpoint in endpoints)
    return f"""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: {name}}}
        spec:
          hosts: [{host}]
          ports: [{{number: {SERVICE_PORT}, name: http, protocol: HTTP}}]
          resolution: STATIC
          location: MESH_INTERNAL
          endpoints: {listed}
    """


def virtual_service(
    name: str, host: str, destination: str, *, gateways: str = "[mesh]", more: str = ""
) -> str:
    return f"""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: {name}}}
        spec:
          hosts: [{host}]
          gateways: {gateways}
          http: [{{route: [{{destination: {{{destination}}}}}]{more}}}]
    """


def destination_rule(name: str, host: str, *subsets: str) -> str:
    listed = ", ".join(f"{{name: {subset}, labels: {{version: {subset}}}}}" for subset in subsets)
    return f"""
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {{name: {name}}}
        spec: {{host: {host}, subsets: [{listed}]}}
    """


class World:
    """A mesh with a server for each colour, a client, and a gateway."""

    def __init__(self, mesh: LiveMesh) -> None:
        self.mesh = mesh
        self.addresses: dict[str, str] = {}
        self.endpoints: dict[str, str] = {}

    async def start(self) -> None:
        for colour in ("blue", "green"):
            server = await self.mesh.tcp_server(colour, SERVICE_PORT)
            server.serve = lambda reader, writer, colour=colour: answer_with_name(colour, reader, writer)
            self.addresses[colour] = server.address
            self.endpoints[colour] = f"{{address: {server.address}, labels: {{version: {colour}}}}}"
        self.mesh.write("gateway.yaml", gateway("ingress-blue", self.mesh.gateway_address))
        self.client = await self.mesh.client()
        self.gateway = await self.mesh.gateway()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[True, False], ids=["delta", "sotw"])
async def world(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[World]:
    async with LiveMesh(tmp_path_factory.mktemp("mesh"), delta=request.param, launch=launch) as mesh:
        world = World(mesh)
        await world.start()
        yield world


def gateway(name: str, address: str) -> str:
    return f"""
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {{name: {name}}}
        spec:
          selector: {{istio: ingressgateway}}
          servers:
            - bind: {address}
              port: {{number: {GATEWAY_PORT}, name: http, protocol: HTTP}}
              hosts: ["*"]
    """


Files = tuple[str, str]


@dataclass(frozen=True)
class Case:
    """Two files that belong together, as they are for a colour, and what stays as it is beside them."""

    host: str
    files: Callable[[World, str], Files]
    fixed: Callable[[World], str]
    at_gateway: bool = False


def both(name: str) -> Callable[[World], str]:
    """Return what makes a service with an endpoint of each colour."""
    return lambda world: service_entry(name, f"{name}.example", *world.endpoints.values())


def subset_moves(world: World, colour: str) -> Files:
    host = "subset.example"
    return (
        destination_rule("subset", host, colour),
        virtual_service("subset", host, f"host: {host}, subset: {colour}"),
    )


def service_moves(world: World, colour: str) -> Files:
    return (
        service_entry("service", f"{colour}.example", world.endpoints[colour]),
        virtual_service("service", "front.example", f"host: {colour}.example"),
    )


def endpoints_move(world: World, colour: str) -> Files:
    host = "endpoints.example"
    return (
        service_entry("endpoints", host, world.endpoints[colour]),
        virtual_service("endpoints", host, f"host: {host}, subset: {colour}"),
    )


def workloads_move(world: World, colour: str) -> Files:
    host = "workloads.example"
    return (
        f"""
        apiVersion: networking.istio.io/v1
        kind: WorkloadEntry
        metadata: {{name: workload}}
        spec: {{address: {world.addresses[colour]}, labels: {{app: workloads, version: {colour}}}}}
        """,
        virtual_service("workloads", host, f"host: {host}, subset: {colour}"),
    )


def selected(_: World) -> str:
    """Return a service whose endpoints are WorkloadEntries."""
    selector = "workloadSelector: {labels: {app: workloads}}"
    entry = service_entry("workloads", "workloads.example").replace("endpoints: ", selector)
    return entry + "---" + destination_rule("workloads", "workloads.example", "blue", "green")


def shop(world: World) -> str:
    """Return a service with both colours as subsets."""
    return both("shop")(world) + "---" + destination_rule("shop", "shop.example", "blue", "green")


def gateway_renamed(world: World, colour: str) -> Files:
    return (
        gateway(f"ingress-{colour}", world.mesh.gateway_address),
        virtual_service(
            "shop", "shop.example", f"host: shop.example, subset: {colour}", gateways=f"[ingress-{colour}]"
        ),
    )


def rule_renamed(world: World, colour: str) -> Files:
    host = "rule.example"
    return (
        destination_rule(f"rule-{colour}", host, "blue", "green"),
        virtual_service("rule", host, f"host: {host}, subset: {colour}", more=f", timeout: {len(colour)}s"),
    )


CASES = {
    "subset": Case("subset.example", subset_moves, both("subset")),
    "service": Case("front.example", service_moves, both("front")),
    "endpoints": Case(
        "endpoints.example",
        endpoints_move,
        lambda _: destination_rule("endpoints", "endpoints.example", "blue", "green"),
    ),
    "workloads": Case("workloads.example", workloads_move, selected),
    "gateway": Case("shop.example", gateway_renamed, shop, at_gateway=True),
    "rule": Case("rule.example", rule_renamed, both("rule")),
}


@pytest.mark.parametrize("name", CASES)
async def test_no_request_is_lost_between_two_files(world: World, name: str) -> None:
    case, mesh = CASES[name], world.mesh
    names = ("gateway.yaml" if name == "gateway" else f"{name}-a.yaml", f"{name}-b.yaml")

    def put(file: str, text: str, *, unlinked: bool) -> None:
        if unlinked:
            (mesh.config / file).unlink()
            mesh.write_in_place(file, textwrap.dedent(text))
        else:
            mesh.write(file, text)

    mesh.write(f"{name}-beside.yaml", case.fixed(world))
    for file, text in zip(names, case.files(world, "blue"), strict=True):
        mesh.write(file, text)
    await mesh.settled()
    load = Load(world.gateway if case.at_gateway else world.client, case.host)
    async with load.on():
        for change in range(CHANGES):
            colour = ("green", "blue")[change % 2]
            pairs = list(zip(names, case.files(world, colour), strict=True))
            first, second = pairs if change % 4 < 2 else reversed(pairs)
            put(*first, unlinked=change % 3 == 0)
            await asyncio.sleep(PAUSES[change % len(PAUSES)])
            put(*second, unlinked=change % 3 == 0)
            before = load.answers[colour]

            async def answered(colour: str = colour, before: int = before) -> bool:
                return load.answers[colour] >= before + 30

            await eventually(answered, f"{colour} answers; so far: {load.answers}")
    assert set(load.answers) == {"blue", "green"}, load.answers
