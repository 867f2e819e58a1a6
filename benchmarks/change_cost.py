"""(e), (f) The processor time of the whole control plane for one change, with a hundred proxies connected.

From the saved file to the last ACK: reading, validating, the mesh, translation, the push.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import grpc

from benchmarks.clients import Answers, DeltaClient
from benchmarks.control_plane import Serving, serving
from benchmarks.documents import documents, replace_file, text, write
from benchmarks.translation_cost import node
from mizzen.xds import type_urls

SIZES = (100, 1_000, 10_000)
PROXIES = 100
CHANGES = 20
_CHANGED = 7


@dataclass(frozen=True, slots=True)
class ChangeCost:
    """For one size of the mesh: milliseconds of processor time for a change."""

    services: int
    virtual_service: float
    endpoint: float
    resident_megabytes: float


async def measure(services: int) -> ChangeCost:
    """Run a mesh of so many services with a hundred clients and change it again and again."""
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as directory:
        folder = Path(directory)
        write(folder, services)
        async with serving(folder) as control_plane, _clients(control_plane) as answers:
            await answers.quiet()
            routes = await _changes(control_plane, folder, answers, type_urls.ROUTE)
            endpoints = await _changes(control_plane, folder, answers, type_urls.ENDPOINT)
            return ChangeCost(services, routes, endpoints, control_plane.resident_bytes() / 1e6)


@contextlib.asynccontextmanager
async def _clients(control_plane: Serving):  # type: ignore[no-untyped-def]
    answers = Answers()
    channels = [
        grpc.aio.insecure_channel(
            control_plane.grpc,
            options=[("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)],
        )
        for _ in range(10)
    ]
    clients = [DeltaClient(channels[n % 10], node(n), answers.add) for n in range(PROXIES)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        await answers.wait_for(type_urls.ROUTE, PROXIES)
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in channels:
            await channel.close()


async def _changes(control_plane: Serving, folder: Path, answers: Answers, type_url: str) -> float:
    """Milliseconds of processor time for one change, the mean of many; each must reach every client, and
    nothing else may be sent."""
    answers.reset()
    before = control_plane.processor_seconds()
    for number in range(1, CHANGES + 1):
        changed = documents(_CHANGED)
        if type_url == type_urls.ROUTE:
            changed[2]["spec"]["http"][0]["match"][0]["uri"]["prefix"] = f"/canary-{number}"
        else:
            changed[2]["spec"]["http"][0]["match"][0]["uri"]["prefix"] = f"/canary-{CHANGES}"
            changed[1]["spec"]["weight"] = number + 1
        replace_file(folder / f"service-{_CHANGED}.yaml", text(changed))
        await answers.wait_for(type_url, PROXIES * number)
    spent = control_plane.processor_seconds() - before
    assert answers.total() == {type_url: PROXIES * CHANGES}, f"more was sent than changed: {answers.total()}"
    return spent / CHANGES * 1000
