"""The client status service, read by a gRPC client while a real Envoy is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.admin.v3 import config_dump_shared_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc
from google.protobuf.json_format import ParseDict

from benchmarks.xds_envoy import Variant, running_envoy, socket_address
from mizzen import xds
from mizzen.xds.type_urls import CLUSTER, LISTENER

pytestmark = pytest.mark.envoy


def cluster(name: str, port: int = 1, *, connect_timeout: str = "1s") -> xds.Resource:
    hosts = [{"endpoint": {"address": socket_address(port)}}]
    body = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": connect_timeout,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]},
    }
    return xds.Resource.of(ParseDict(body, cluster_pb2.Cluster()))


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
async def scene(request, tmp_path: Path) -> AsyncIterator[tuple[xds.Server, Any]]:
    server = xds.Server(lambda node, peer: "all")
    server.set_snapshot("all", xds.Snapshot.of([cluster("a"), cluster("b")]))
    port = await server.start("127.0.0.1:0")
    try:
        async with (
            running_envoy(Variant(request.param), port, tmp_path, node_id="envoy-7"),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            async with asyncio.timeout(60):
                while not any(client.types.keys() >= {CLUSTER, LISTENER} for client in server.clients()):
                    await asyncio.sleep(0.02)
            yield server, csds_pb2_grpc.ClientStatusDiscoveryServiceStub(channel)
    finally:
        await server.stop(0)


def clusters(response: csds_pb2.ClientStatusResponse) -> dict[str, tuple[str, str, str]]:
    """Of each cluster: status, version, and the error."""
    (config,) = response.config
    name = config_dump_shared_pb2.ClientResourceStatus.Name
    return {
        each.name: (name(each.client_status), each.version_info, each.error_state.details)
        for each in config.generic_xds_configs
        if each.type_url == CLUSTER
    }


async def test_what_envoy_has_accepted(scene) -> None:
    server, status = scene
    expected = {name: ("ACKED", server.snapshot("all").get(CLUSTER, name).version, "") for name in ("a", "b")}
    async with asyncio.timeout(60):
        request = csds_pb2.ClientStatusRequest()
        while clusters(response := await status.FetchClientStatus(request)) != expected:
            await asyncio.sleep(0.02)
    assert response.config[0].node.id == "envoy-7"
    (found,) = (
        cluster_pb2.Cluster.FromString(each.xds_config.value)
        for each in response.config[0].generic_xds_configs
        if each.name == "a"
    )
    assert found.connect_timeout.seconds == 1


async def test_what_envoy_refused_stands_with_its_words(scene) -> None:
    server, status = scene
    server.update("all", [cluster("bad", connect_timeout="-1s")])
    call = status.StreamClientStatus()
    async with asyncio.timeout(60):
        while True:
            await call.write(csds_pb2.ClientStatusRequest(exclude_resource_contents=True))
            response = await call.read()
            if any(error for _, _, error in clusters(response).values()):
                break
            await asyncio.sleep(0.02)
    state, _, error = clusters(response)["bad"]
    assert state == "NACKED"
    assert "positive duration" in error
    assert not any(each.HasField("xds_config") for each in response.config[0].generic_xds_configs)
    call.cancel()


async def test_a_matcher_that_matches_nobody(scene) -> None:
    _, status = scene
    request = csds_pb2.ClientStatusRequest()
    request.node_matchers.add().node_id.exact = "somebody else"
    assert len((await status.FetchClientStatus(request)).config) == 0
    request.node_matchers.add().node_id.prefix = "envoy-"
    assert len((await status.FetchClientStatus(request)).config) == 1
