"""In which order gateways and those who call them are given a change."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Iterator, Sequence
from types import SimpleNamespace

import pytest
from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_pb2

from mizzen import xds
from mizzen.config import Diagnostic, ParsedFile, parse_documents
from mizzen.config.group_kinds import SERVICE
from mizzen.mesh.changes.delta import MeshDelta
from mizzen.mesh.fault_search import Withheld
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.server import delivery
from mizzen.server.configuration import Configuration
from mizzen.server.control_plane import ControlPlane
from mizzen.server.metrics import Metrics

Step = tuple[str, list[str]]


class Services:
    """Gives gateways a listener for each Service, and sidecars a cluster."""

    profiles = 1
    withheld: tuple[Withheld, ...] = ()

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.known: dict[Proxy, None] = {}

    def update(self, mesh: Mesh, delta: MeshDelta) -> None:
        self.mesh = mesh

    def knows(self, proxy: Proxy) -> bool:
        self.known[proxy] = None
        return True

    def concerned(self) -> Iterator[Proxy]:
        yield from tuple(self.known)

    def overcome(self) -> tuple[str, ...]:
        return ()

    def translate(self, proxy: Proxy) -> tuple[xds.Snapshot, tuple[Diagnostic, ...]]:
        names = [config.name for config in self.mesh.configs(SERVICE)]
        if proxy.type == "router":
            return xds.Snapshot.of(xds.Resource.of(_listener(name)) for name in names), ()
        return xds.Snapshot.of(xds.Resource(xds.type_urls.CLUSTER, name, b"") for name in names), ()


def _listener(name: str) -> listener_pb2.Listener:
    made = listener_pb2.Listener(name=name)
    made.address.pipe.path = name
    return made


class Told:
    """Both ends of the control plane: what it hands over, and for whose answer it waits."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def set_snapshot(self, group: Hashable, snapshot: xds.Snapshot) -> None:
        self.steps.append((_name(group), sorted(resource.name for resource in snapshot)))

    def handed(self, group: Hashable, changes: Iterable[tuple[str, Iterable[str]]]) -> None:
        pass

    async def answered(self, groups: Iterable[Hashable], seconds: float) -> None:
        self.steps.append(("answered", sorted(map(_name, groups))))

    def done(self) -> None:
        self.steps.append(("done", []))


def _name(group: Hashable) -> str:
    assert isinstance(group, tuple)
    return str(group[0]).split("~")[2].partition(".")[0]


_SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {}}}
spec: {{ports: [{{name: http, port: 80}}]}}
"""


def services(names: Sequence[str]) -> ParsedFile:
    text = "---".join(map(_SERVICE.format, names))
    return parse_documents(text.encode(), "services.yaml")


async def steps(*proxies: str, before: str, after: str) -> list[Step]:
    """Return what happens when these Services become those."""
    told = Told()
    plane = ControlPlane(Configuration(), Services, Metrics("test"), lambda *_: told)
    plane.serve_through(told)
    try:
        await plane.begin({"services.yaml": services(before.split())})
        for each in proxies:
            kind, _, name = each.partition(" ")
            node = base_pb2.Node(id=f"{kind}~10.0.0.7~{name}.default~default.svc.cluster.local")
            await plane.first_snapshot(plane.group_of(node, xds.Peer()), node)
        await plane.take({"services.yaml": services(after.split())})
    finally:
        plane.close()
    assert told.steps.pop() == ("done", [])
    return told.steps


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "TAKE_UP_SECONDS", 0)


async def test_gateways_have_new_listeners_first_and_lose_old_ones_last() -> None:
    assert await steps("sidecar a", "router edge", before="old same", after="new same") == [
        ("edge", ["new", "old", "same"]),
        ("answered", ["edge"]),
        ("a", ["new", "same"]),
        ("answered", ["a"]),
        ("edge", ["new", "same"]),
    ]


async def test_a_gateway_that_loses_nothing_is_given_a_change_once() -> None:
    assert await steps("sidecar a", "router edge", before="same", after="new same") == [
        ("edge", ["new", "same"]),
        ("answered", ["edge"]),
        ("a", ["new", "same"]),
    ]


async def test_without_sidecars_nobody_waits() -> None:
    assert await steps("router edge", before="old", after="new") == [("edge", ["new"])]


async def test_without_gateways_nobody_waits() -> None:
    assert await steps("sidecar a", before="old", after="new") == [("a", ["new"])]


class Slow(Told):
    """Takes `seconds` of a clock of its own for each snapshot; notes how many others had a turn before it."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.now = 0.0
        self.turns: list[int] = []
        self._seconds = seconds
        self._served = 0

    def set_snapshot(self, group: Hashable, snapshot: xds.Snapshot) -> None:
        self.now += self._seconds
        self.turns.append(self._served)
        asyncio.get_running_loop().call_soon(self._serve)

    def _serve(self) -> None:
        self._served += 1


@pytest.mark.parametrize(
    ("milliseconds", "turns"),
    [(0, [0] * 6), (2, [0, 0, 0, 3, 3, 3]), (100, [0, 1, 2, 3, 4, 5])],
    ids=["small responses", "larger ones", "a long one each"],
)
async def test_others_are_served_after_some_milliseconds_of_responses(
    milliseconds: int, turns: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Slow(milliseconds / 1000)
    plane = ControlPlane(Configuration(), Services, Metrics("test"), lambda *_: told)
    plane.serve_through(told)
    try:
        await plane.begin({"services.yaml": services(["old"])})
        for number in range(6):
            node = base_pb2.Node(id=f"sidecar~10.0.0.{number}~a.default~default.svc.cluster.local")
            await plane.first_snapshot(plane.group_of(node, xds.Peer()), node)
        monkeypatch.setattr(delivery, "time", SimpleNamespace(perf_counter=lambda: told.now))
        await plane.take({"services.yaml": services(["new"])})
    finally:
        plane.close()
    assert told.turns == turns
