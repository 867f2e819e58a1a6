"""The adapter does what the harness asks, seen from the xDS side: the harness's own sequences, both
transports.
"""

import asyncio

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.any_pb2 import Any as AnyMessage

from mizzen import xds
from mizzen.xds.type_urls import CLUSTER
from tests.conformance import adapter

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"


@pytest.fixture
async def lab():
    server, control, port, xds_port = await adapter.start("127.0.0.1:0", "127.0.0.1:0", xds.Unordered())
    protos, services = adapter.load_protocol()
    async with (
        asyncio.timeout(60),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as one,
        grpc.aio.insecure_channel(f"127.0.0.1:{xds_port}") as other,
    ):
        yield protos, services.AdapterStub(one), other
    await control.stop(0)
    await server.stop(0)


def state(protos, *names: str):
    request = protos.SetStateRequest(node="test-id", version="1")
    for name in names:
        message = adapter.MESSAGES[CLUSTER](name=name)
        request.resources.append(AnyMessage(type_url=CLUSTER, value=message.SerializeToString()))
    return request


async def test_state_of_the_world(lab) -> None:
    protos, control, channel = lab
    await control.SetState(state(protos, "A", "B"))
    call = channel.stream_stream(ADS + "StreamAggregatedResources")()
    request = discovery_pb2.DiscoveryRequest(type_url=CLUSTER)
    request.node.id = "test-id"

    async def expect(version: str, *names: str) -> None:
        response = discovery_pb2.DiscoveryResponse.FromString(await call.read())
        found = [adapter.MESSAGES[CLUSTER].FromString(each.value).name for each in response.resources]
        assert (response.version_info, sorted(found)) == (version, list(names))
        request.version_info, request.response_nonce = response.version_info, response.nonce
        await call.write(request.SerializeToString())

    await call.write(request.SerializeToString())
    await expect("1", "A", "B")
    change = protos.ResourceRequest(node="test-id", typeUrl=CLUSTER, resourceName="A", version="2")
    assert (await control.UpdateResource(change)).success
    await expect("2", "A", "B")
    change.resourceName, change.version = "C", "3"
    assert (await control.AddResource(change)).success
    await expect("3", "A", "B", "C")
    change.version = "4"
    assert (await control.RemoveResource(change)).success
    await expect("4", "A", "B")
    await control.ClearState(protos.clearStateRequest(node="test-id"))
    response = discovery_pb2.DiscoveryResponse.FromString(await call.read())
    assert len(response.resources) == 0


async def test_incremental(lab) -> None:
    protos, control, channel = lab
    await control.SetState(state(protos, "A"))
    call = channel.stream_stream(ADS + "DeltaAggregatedResources")()
    request = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, resource_names_subscribe=["A", "B"])
    request.node.id = "test-id"
    await call.write(request.SerializeToString())

    async def expect(resources: list[tuple[str, str]], removed: list[str]) -> None:
        response = discovery_pb2.DeltaDiscoveryResponse.FromString(await call.read())
        assert [(each.name, each.version) for each in response.resources] == resources
        assert list(response.removed_resources) == removed
        ack = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce=response.nonce)
        await call.write(ack.SerializeToString())

    await expect([("A", "1")], ["B"])
    change = protos.ResourceRequest(node="test-id", typeUrl=CLUSTER, resourceName="A", version="2")
    await control.UpdateResource(change)
    await expect([("A", "2")], [])
    change.resourceName = "B"
    await control.AddResource(change)
    await expect([("B", "2")], [])
    await control.RemoveResource(change)
    await expect([], ["B"])
