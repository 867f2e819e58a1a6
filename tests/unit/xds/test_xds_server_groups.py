"""Whom a change reaches, and what the server keeps of groups and their clients."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from mizzen import xds
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, ROUTE
from tests.unit.xds.test_xds_server import DELTA, SOTW, answer, request, running, until
from tests.unit.xds.xds_driver import cluster, endpoint, route

TTL_FEATURES = ["xds.config.supports-resource-ttl", "xds.config.supports-resource-in-sotw"]


def by_cluster(node: Any, peer: xds.Peer) -> str:
    return str(node.cluster)


async def client(
    channel: Any, group: str = "", node: str = "node", type_url: str = CLUSTER, **fields: Any
) -> Any:
    """A stream whose first request was sent."""
    call = channel.stream_stream(SOTW)()
    message = discovery_pb2.DiscoveryRequest(type_url=type_url, **fields)
    message.node.id, message.node.cluster = node, group
    await call.write(message.SerializeToString())
    return call


async def accepted(call: Any, **fields: Any) -> list[bytes]:
    """What comes next, which is accepted."""
    response = await answer(call)
    await call.write(request(response.type_url, None, response_nonce=response.nonce, **fields))
    return [resource.value for resource in response.resources]


async def synced(server: xds.Server) -> None:
    await until(lambda: all(each.synced for each in server.clients()))


async def test_a_new_snapshot_reaches_all_clients_of_its_group_and_no_others() -> None:
    async with running(by_cluster) as (server, channel):
        for group in ("one", "two"):
            server.set_snapshot(group, xds.Snapshot.of([cluster("a", group)]))
        calls = [await client(channel, group) for group in ("one", "two", "one", "one")]
        for call, group in zip(calls, (b"one", b"two", b"one", b"one"), strict=True):
            assert await accepted(call) == [b"a " + group]
        await synced(server)
        server.set_snapshot("one", xds.Snapshot.of([cluster("a", "new")]))
        for call in (calls[0], calls[2], calls[3]):
            assert await accepted(call) == [b"a new"]
        server.set_snapshot("two", xds.Snapshot.of([cluster("a", "newer")]))
        assert await accepted(calls[1]) == [b"a newer"]


async def test_an_update_reaches_all_clients_that_ask_for_the_type() -> None:
    async with running(policy=xds.Unordered()) as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a"), endpoint("a"), route("r")]))
        clusters = [await client(channel) for _ in range(3)]
        routes = await client(channel, type_url=ROUTE, resource_names=["r"])
        for call in clusters:
            assert await accepted(call) == [b"a 1"]
        assert await accepted(routes, resource_names=["r"]) == [b"r 1"]
        await synced(server)
        change = server.update("all", [route("r", "2"), cluster("b")], [(CLUSTER, "a")])
        assert change.type_urls == {CLUSTER, ROUTE}
        for call in clusters:
            assert await accepted(call) == [b"b 1"]
        assert await accepted(routes, resource_names=["r"]) == [b"r 2"]


async def test_without_a_policy_what_is_wanted_no_longer_stays_for_a_while() -> None:
    """Make before break is what everybody gets who does not say otherwise."""
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a"), cluster("b")]))
        call = await client(channel)
        await accepted(call)
        await synced(server)
        server.update("all", [cluster("c")], [(CLUSTER, "a")])
        assert sorted(await accepted(call)) == [b"a 1", b"b 1", b"c 1"]
        assert sorted(await accepted(call)) == [b"b 1", b"c 1"]


async def test_what_one_client_refuses_is_taken_back_from_the_others() -> None:
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        calls = [await client(channel) for _ in range(3)]
        for call in calls:
            await accepted(call)
        await synced(server)
        server.update("all", [cluster("a", "bad")])
        refused = await answer(calls[1])
        for call in (calls[0], calls[2]):
            assert await accepted(call) == [b"a bad"]
        await until(lambda: sum(each.synced for each in server.clients()) == 2)
        error = {"code": 3, "message": "it is bad"}
        await calls[1].write(request(node=None, response_nonce=refused.nonce, error_detail=error))
        for call in (calls[0], calls[2]):
            assert await accepted(call) == [b"a 1"]


@pytest.mark.parametrize("features", [[], TTL_FEATURES[:1], TTL_FEATURES])
@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_a_ttl_is_for_clients_that_know_it(features: list[str], delta: bool) -> None:
    async with running() as (server, channel):
        resource = xds.Resource(ROUTE, "r", b"r 1", ttl=timedelta(minutes=1))
        server.set_snapshot("all", xds.Snapshot.of([resource]))
        kind = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest
        names = {"resource_names_subscribe" if delta else "resource_names": ["r"]}
        message = kind(type_url=ROUTE, **names)
        message.node.id = "node"
        message.node.client_features.extend(features)
        call = channel.stream_stream(DELTA if delta else SOTW)()
        await call.write(message.SerializeToString())
        if delta:
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(await call.read())
            assert response.resources[0].HasField("ttl") is bool(features)
        else:
            wrapped = (await answer(call)).resources[0].type_url != ROUTE
            assert wrapped is (len(features) == 2)


async def test_names_are_held_once_for_all_groups() -> None:
    async with running(by_cluster) as (server, channel):
        names = [f"name-{number}" for number in range(20)]
        for group in ("one", "two"):
            server.set_snapshot(group, xds.Snapshot.of([endpoint(names[0])]))
            await accepted(
                await client(channel, group, type_url=ENDPOINT, resource_names=names), resource_names=names
            )
        first, second = (each.types[ENDPOINT].names for each in server.clients())
        assert first is second


async def test_the_status_of_clients_oldest_first_and_in_the_time_of_day() -> None:
    async with running(by_cluster) as (server, channel):
        begin = time.time()
        for group in ("two", "one"):
            server.set_snapshot(group, xds.Snapshot.of([cluster("a")]))
        for node, group in (("1", "one"), ("2", "two"), ("3", "one")):
            await accepted(await client(channel, group, node))
        await synced(server)
        clients = server.clients()
        assert [each.node_id for each in clients] == ["1", "2", "3"]
        assert [each.number for each in clients] == sorted({each.number for each in clients})
        for each in clients:
            moments = (each.connected_at, each.types[CLUSTER].sent_at, each.types[CLUSTER].accepted_at)
            assert all(begin - 1 <= moment <= time.time() + 1 for moment in moments)


async def test_snapshots_of_groups_with_and_without_clients() -> None:
    async with running(by_cluster) as (server, channel):
        snapshot = xds.Snapshot.of([cluster("a")])
        assert server.snapshot("one") is None
        server.drop("one")
        for group in ("one", "two"):
            server.set_snapshot(group, snapshot)
        assert server.snapshot("one") is snapshot
        call = await client(channel, "one")
        await accepted(call)
        server.drop("one")  # it has a client
        server.drop("two")
        assert server.groups == ("one",)
        assert server.snapshot("two") is None
        call.cancel()
        await until(lambda: not server.clients())
        server.drop("one")
        assert server.groups == ()


async def test_a_group_is_not_dropped_while_its_first_client_is_let_in() -> None:
    opened, wanted = asyncio.Event(), asyncio.Event()

    async def on_group(key: object, node: object) -> xds.Snapshot:
        wanted.set()
        await opened.wait()
        return xds.Snapshot.of([cluster("a")])

    async with running(by_cluster, on_group=on_group) as (server, channel):
        call = await client(channel, "one")
        await wanted.wait()
        server.drop("one")
        opened.set()
        assert await accepted(call) == [b"a 1"]
        server.update("one", [cluster("a", "2")])
        assert await accepted(call) == [b"a 2"]
