"""The memory of the control plane with meshes as users have them.

Ten namespaces; each service has a VirtualService and a DestinationRule; each proxy is the sidecar of one
service's workload, so that no two are sent the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from benchmarks.clients import Answers, DeltaClient
from benchmarks.control_plane import serving
from benchmarks.documents import NAMESPACES, NETWORKING, documents, text
from mizzen.xds import type_urls

CASES = ((1_000, 100), (1_000, 1_000), (5_000, 100), (10_000, 100))
PROMISED = {(1_000, 100): 200, (1_000, 1_000): 500, (5_000, 100): 600, (10_000, 100): 900}
"""Megabytes that a case may take."""

_SETTLED = 4


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Megabytes resident: when nobody is connected, and with all proxies served."""

    services: int
    proxies: int
    alone: float
    served: float


async def measure(services: int, proxies: int) -> MemoryUse:
    """Serve a mesh of so many services to so many sidecars of their workloads."""
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as directory:
        folder = Path(directory)
        for number in range(services):
            found = documents(number)
            metadata = found[0]["metadata"]
            rule = {
                "host": metadata["name"],
                "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 100 + number % 7}}},
            }
            found.append(
                {"apiVersion": NETWORKING, "kind": "DestinationRule", "metadata": metadata, "spec": rule}
            )
            (folder / f"service-{number}.yaml").write_bytes(text(found))
        async with serving(folder) as control_plane:
            alone = control_plane.resident_bytes()
            async with _connected(control_plane.grpc, services, proxies):
                served = control_plane.resident_bytes()
            return MemoryUse(services, proxies, alone / 1e6, served / 1e6)


@contextlib.asynccontextmanager
async def _connected(address: str, services: int, proxies: int) -> AsyncIterator[None]:
    """Let the proxies be connected, and have everything."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    answers = Answers()
    async with contextlib.AsyncExitStack() as channels:
        opened = [
            await channels.enter_async_context(grpc.aio.insecure_channel(address, options=options))
            for _ in range(10)
        ]
        tasks = [
            asyncio.create_task(
                DeltaClient(opened[number % 10], sidecar(number % services), answers.add).run()
            )
            for number in range(proxies)
        ]
        try:
            await answers.wait_for(type_urls.ROUTE, proxies)
            await answers.quiet()
            await asyncio.sleep(_SETTLED)  # what is kept for a moment is no cost
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def sidecar(number: int) -> dict[str, object]:
    """The node of the sidecar beside the workload of service `number` (documents.py)."""
    address = f"10.{200 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"
    namespace = f"namespace-{number % NAMESPACES}"
    return {
        "id": f"sidecar~{address}~service-{number}.{namespace}~{namespace}.svc.cluster.local",
        "metadata": {"NAMESPACE": namespace, "LABELS": {"app": f"service-{number}"}},
    }
