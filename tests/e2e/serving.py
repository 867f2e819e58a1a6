"""A server without a mesh around it, and a client that asks it for clusters."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import grpc
import httpx
from envoy.service.discovery.v3 import discovery_pb2

from mizzen.demo.child_process import ChildProcess
from mizzen.testing.live_mesh import Launch
from mizzen.testing.ports import free_port
from mizzen.testing.waiting import DEADLINE, eventually
from tests.forked_mizzen import launch

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
NODE = "sidecar~10.0.0.7~reviews-v1.default~default.svc.cluster.local"
CDS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"


async def first_answer(
    address: str, node_id: str, credentials: Any = None
) -> discovery_pb2.DeltaDiscoveryResponse:
    """Ask for all clusters as an Envoy would; return the first response."""
    channel = (
        grpc.aio.secure_channel(address, credentials) if credentials else grpc.aio.insecure_channel(address)
    )
    async with channel:
        stream = channel.stream_stream(
            ADS,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )()
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=CDS)
        request.node.id = node_id
        await stream.write(request)
        return await asyncio.wait_for(stream.read(), DEADLINE)


async def started(
    directory: Path, *arguments: str, launch: Launch = launch
) -> tuple[ChildProcess, str, list[str], Path]:
    """Start a server and wait until it is ready; return it, its admin and gRPC addresses, and its log."""
    log = directory / "serve.log"
    for _ in range(3):  # the port that is free now may be taken a moment later
        admin = f"127.0.0.1:{free_port()}"
        server = await launch(
            "serve",
            [
                *("serve", "--start-anyway", *arguments),
                *("--grpc-address", "127.0.0.1:0", "--admin-address", admin),
            ],
            log,
        )
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:

            async def settled(
                server: ChildProcess = server, admin: str = admin, client: Any = client
            ) -> bool:
                with contextlib.suppress(httpx.TransportError):
                    return bool((await client.get(f"http://{admin}/ready")).is_success)
                return server.returncode is not None

            await eventually(settled, "the server is ready")
            if server.returncode is None:
                about = (await client.get(f"http://{admin}/version")).json()
                return server, admin, about["grpc_addresses"], log
    raise AssertionError(log.read_text(encoding="utf-8"))
