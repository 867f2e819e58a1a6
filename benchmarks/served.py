"""(c) From a saved VirtualService, one of a thousand services, to the new route served by a real Envoy.

Beside it, in the same run: a bare server that sends the same route configuration to the same Envoy binary,
from its send to Envoy's ACK. What lies between is named step by step.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from envoy.config.route.v3 import route_pb2

import mizzen
from benchmarks.control_plane import free_port, serving
from benchmarks.documents import documents, replace_file, text, write
from benchmarks.envoy_floor import EnvoyFloor
from mizzen.config import ConfigStore, MeshConfig, parse_documents
from mizzen.demo.envoy_process import EnvoyProcess
from mizzen.demo.loopback import pick_network
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.bootstrap import bootstrap
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls

SERVICES = 1_000
ROUNDS = 30
_WARM_UP = 5
_CHANGED = 7
_PORT = 8000
_HOST = "service-7.namespace-7.svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Served:
    """Medians in milliseconds. `steps` are those of the control plane, each measured by itself."""

    saved_to_served: float
    floor: float
    steps: dict[str, float]
    route_kilobytes: float


def _changed(number: int) -> bytes:
    """The file of the changed service: its VirtualService answers by itself with `number`."""
    found = documents(_CHANGED, per_port=SERVICES)
    found[2]["spec"]["http"] = [{"directResponse": {"status": 200, "body": {"string": str(number)}}}]
    return text(found)


def _sidecar(address: str) -> dict[str, Any]:
    egress = {
        "port": {"number": _PORT, "protocol": "HTTP", "name": "http"},
        "bind": address,
        "captureMode": "NONE",
        "hosts": ["*/*"],
    }
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "client", "namespace": "namespace-7"},
        "spec": {"workloadSelector": {"labels": {"app": "client"}}, "egress": [egress]},
    }


def _node(address: str) -> dict[str, Any]:
    return {
        "id": f"sidecar~{address}~client.namespace-7~namespace-7.svc.cluster.local",
        "cluster": "client",
        "metadata": {"NAMESPACE": "namespace-7", "LABELS": {"app": "client"}, "INTERCEPTION_MODE": "NONE"},
    }


@contextlib.asynccontextmanager
async def _envoy(address: str, xds: str, directory: Path, *, delta: bool) -> AsyncIterator[httpx.AsyncClient]:
    admin = f"127.0.0.1:{free_port()}"
    configuration = bootstrap(node=_node(address), xds_address=xds, admin_address=admin, delta=delta)
    envoy = await EnvoyProcess.start(
        "envoy", json.dumps(configuration), admin=admin, directory=directory, concurrency=1
    )
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
            await envoy.wait_ready(client, 60.0)
            yield client
    finally:
        await envoy.stop()


async def _until_served(client: httpx.AsyncClient, address: str, body: str) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await client.get(f"http://{address}:{_PORT}/", headers={"host": _HOST})
                if answer.text == body:
                    return
            await asyncio.sleep(0.002)  # leave the two cores to those that are measured


async def _mizzen(folder: Path, address: str, directory: Path) -> list[float]:
    found = []
    async with (
        serving(folder) as control_plane,
        _envoy(address, control_plane.grpc, directory, delta=True) as client,
    ):
        for number in range(ROUNDS + _WARM_UP):
            began = time.perf_counter()
            replace_file(folder / f"service-{_CHANGED}.yaml", _changed(number))
            await _until_served(client, address, str(number))
            if number >= _WARM_UP:
                found.append(time.perf_counter() - began)
            await asyncio.sleep(0.2)  # an idle control plane, as between a person's edits
    return found


class _Steps:
    """The steps of the control plane for the same changes, one after the other in this process."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self._store = ConfigStore()
        self._store.apply(
            {path.name: parse_documents(path.read_bytes(), path.name) for path in folder.glob("*.yaml")}
        )
        self.mesh = Mesh.build(self._store.configs(), MeshConfig())
        self.translation = Translation(self.mesh)
        self._proxy = mizzen.Proxy.from_node(_node(address))
        self.resources = self.translation.resources(self._proxy)
        self.seconds: dict[str, list[float]] = {}

    def change(self, number: int) -> route_pb2.RouteConfiguration:
        """Do all steps for one change; return the route configuration that comes of it."""
        name = f"service-{_CHANGED}.yaml"
        times = [time.perf_counter()]
        parsed = parse_documents(_changed(number), name)
        times.append(time.perf_counter())
        change = self._store.apply({name: parsed})
        times.append(time.perf_counter())
        self.mesh, _ = self.mesh.updated(change)
        times.append(time.perf_counter())
        self.translation.update(self.mesh)
        snapshot = self.translation.snapshot(self._proxy)
        times.append(time.perf_counter())
        for step, (before, after) in zip(
            ("read YAML", "validate", "update the mesh", "translate"),
            itertools.pairwise(times),
            strict=True,
        ):
            self.seconds.setdefault(step, []).append(after - before)
        return route_pb2.RouteConfiguration.FromString(
            snapshot.collection(type_urls.ROUTE).resources[str(_PORT)].value
        )


async def measure() -> Served:
    """Run both sides and return their medians."""
    address = pick_network((1,), (_PORT,)).address(1)
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as name:
        folder = Path(name) / "config"
        folder.mkdir()
        write(folder, SERVICES, per_port=SERVICES)
        (folder / "sidecar.yaml").write_text(json.dumps(_sidecar(address)))
        steps = _Steps(folder, address)
        saved = await _mizzen(folder, address, Path(name))
        floor_server = EnvoyFloor(steps.resources)
        await floor_server.start()
        floor = []
        size = 0
        async with _envoy(address, f"127.0.0.1:{floor_server.port}", Path(name), delta=False):
            for number in range(ROUNDS + _WARM_UP):
                route = steps.change(number)
                size = route.ByteSize()
                seconds = await floor_server.seconds_to_ack([route])
                if number >= _WARM_UP:
                    floor.append(seconds)
        await floor_server.stop()
    medians = {step: statistics.median(found) * 1000 for step, found in steps.seconds.items()}
    return Served(statistics.median(saved) * 1000, statistics.median(floor) * 1000, medians, size / 1000)
