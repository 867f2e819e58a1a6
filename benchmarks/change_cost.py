"""(e), (f) The processor time of the whole control plane for one change, with a hundred proxies connected.

From the saved file to the last ACK: reading, validating, the mesh, translation, the push.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
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
class Change:
    """Milliseconds of processor time of the control plane, and from the saved file to the last ACK."""

    processor: float
    elapsed: float


@dataclass(frozen=True, slots=True)
class ChangeCost:
    """For one size of the mesh: milliseconds for a change."""

    services: int
    virtual_service: Change
    endpoint: Change
    resident_megabytes: float


async def measure(services: int, proxies: int = PROXIES) -> ChangeCost:
    """Run a mesh of so many services with so many clients and change it again and again."""
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as directory:
        folder = Path(directory)
        write(folder, services)
        async with serving(folder) as control_plane, clients(control_plane, proxies) as answers:
            await answers.quiet()
            routes = await _changes(control_plane, folder, answers, type_urls.ROUTE, proxies)
            endpoints = await _changes(control_plane, folder, answers, type_urls.ENDPOINT, proxies)
            return ChangeCost(services, routes, endpoints, control_plane.resident_bytes() / 1e6)


@contextlib.asynccontextmanager
async def clients(
    control_plane: Serving, proxies: int, answered: Callable[[str], None] = lambda type_url: None
) -> AsyncIterator[Answers]:
    """Let so many clients be connected; `answered` is told the type of each response that one answered."""
    answers = Answers()

    def add(type_url: str) -> None:
        answered(type_url)
        answers.add(type_url)

    channels = [
        grpc.aio.insecure_channel(
            control_plane.grpc,
            options=[("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)],
        )
        for _ in range(10)
    ]
    streams = [DeltaClient(channels[n % 10], node(n), add) for n in range(proxies)]
    tasks = [asyncio.create_task(client.run()) for client in streams]
    try:
        await answers.wait_for(type_urls.ROUTE, proxies)
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in channels:
            await channel.close()


async def _changes(
    control_plane: Serving, folder: Path, answers: Answers, type_url: str, proxies: int
) -> Change:
    """The cost of one change: the mean of many for the processor, the median for the time. Each must reach
    every client, and nothing else may be sent."""
    answers.reset()
    elapsed = []
    before = control_plane.processor_seconds()
    for number in range(1, CHANGES + 1):
        changed = documents(_CHANGED)
        if type_url == type_urls.ROUTE:
            changed[2]["spec"]["http"][0]["match"][0]["uri"]["prefix"] = f"/canary-{number}"
        else:
            changed[2]["spec"]["http"][0]["match"][0]["uri"]["prefix"] = f"/canary-{CHANGES}"
            changed[1]["spec"]["weight"] = number + 1
        began = time.perf_counter()
        replace_file(folder / f"service-{_CHANGED}.yaml", text(changed))
        await answers.wait_for(type_url, proxies * number)
        elapsed.append(time.perf_counter() - began)
    spent = control_plane.processor_seconds() - before
    assert answers.total() == {type_url: proxies * CHANGES}, f"more was sent than changed: {answers.total()}"
    return Change(spent / CHANGES * 1000, statistics.median(elapsed) * 1000)
