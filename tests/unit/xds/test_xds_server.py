"""The server over real gRPC, with hand-made clients."""

import asyncio
import gc
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.status.v3 import csds_pb2

from mizzen import xds
from mizzen.xds.connection import StreamConnection
from mizzen.xds.services import CLIENT_STATUS_SERVICE, METHODS
from mizzen.xds.stream import Stream
from mizzen.xds.type_urls import CLUSTER, ENDPOINT
from tests.unit.xds.xds_driver import cluster, endpoint

DEADLINE = 60.0
"""For what hangs: nothing that works takes so long, on the busiest machine."""

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
SOTW, DELTA = ADS + "StreamAggregatedResources", ADS + "DeltaAggregatedResources"


@asynccontextmanager
async def running(group_of=lambda node, peer: "all", **options):
    server = xds.Server(group_of, **options)
    port = await server.start("127.0.0.1:0")
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
    try:
        async with asyncio.timeout(DEADLINE):
            yield server, channel
    finally:
        await channel.close()
        await server.stop(0)


def request(type_url: str = CLUSTER, node: str | None = "node-1", **fields) -> bytes:
    message = discovery_pb2.DiscoveryRequest(type_url=type_url, **fields)
    if node is not None:
        message.node.id = node
    return message.SerializeToString()


async def answer(call) -> discovery_pb2.DiscoveryResponse:
    return discovery_pb2.DiscoveryResponse.FromString(await call.read())


async def status_of(call) -> tuple[grpc.StatusCode, str]:
    return await call.code(), await call.details()


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_every_service_serves_its_type(method) -> None:
    type_url = method.type_url or CLUSTER
    async with running(identifier="mizzen-test") as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([xds.Resource(type_url, "one", b"1")]))
        call = channel.stream_stream(method.path)()
        if method.delta:
            first = discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=["one"])
            first.node.id = "node-1"
            await call.write(first.SerializeToString())
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(await call.read())
            assert response.resources[0].resource.value == b"1"
        else:
            await call.write(request(type_url, resource_names=["one"]))
            response = await answer(call)
            assert response.resources[0].value == b"1"
        assert response.control_plane.identifier == "mizzen-test"


async def test_changes_reach_an_open_stream_and_its_status_follows() -> None:
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        call = channel.stream_stream(SOTW)()
        await call.write(request())
        first = await answer(call)
        assert server.clients()[0].types[CLUSTER].pending
        await call.write(request(node=None, version_info=first.version_info, response_nonce=first.nonce))
        await until(lambda: server.clients()[0].synced)
        status = server.clients()[0]
        assert (status.node_id, status.group, status.phase) == ("node-1", "all", "rest")
        assert status.types[CLUSTER].accepted_version == first.version_info
        assert status.types[CLUSTER].wildcard
        assert status.types[CLUSTER].bytes_sent > 0
        change = server.update("all", [cluster("a", "2")])
        assert [resource.value for resource in change.changed] == [b"a 2"]
        assert (await answer(call)).resources[0].value == b"a 2"


async def test_groups_see_their_own() -> None:
    async with running(lambda node, peer: node.id) as (server, channel):
        for name in ("x", "y"):
            server.set_snapshot(name, xds.Snapshot.of([cluster(name)]))
        for name in ("x", "y"):
            call = channel.stream_stream(SOTW)()
            await call.write(request(node=name))
            assert [r.value for r in (await answer(call)).resources] == [f"{name} 1".encode()]


async def test_a_group_is_made_once_for_its_first_clients_and_forgotten_after_the_last() -> None:
    asked: list[object] = []
    emptied = asyncio.Event()

    async def on_group(key, node) -> xds.Snapshot:
        asked.append((key, node.id))
        await asyncio.sleep(0.05)
        return xds.Snapshot.of([cluster("a")])

    options = {
        "on_group": on_group,
        "on_group_empty": lambda key: emptied.set(),
        "linger": timedelta(seconds=0.05),
    }
    async with running(**options) as (server, channel):
        calls = [channel.stream_stream(SOTW)() for _ in range(3)]
        for call in calls:
            await call.write(request())
        for call in calls:
            assert len((await answer(call)).resources) == 1
        assert asked == [("all", "node-1")]
        for call in calls:
            call.cancel()
        await emptied.wait()
        await until(lambda: server.groups == ())


async def test_a_group_survives_a_short_absence() -> None:
    made = []

    def on_group(key, node):
        made.append(key)
        return xds.Snapshot.of([cluster("a")])

    async with running(on_group=on_group, linger=timedelta(seconds=60)) as (server, channel):
        for _ in range(2):
            call = channel.stream_stream(SOTW)()
            await call.write(request())
            await answer(call)
            call.cancel()
            await until(lambda: not server.clients())
        assert made == ["all"]


async def test_an_asynchronous_group_of_may_refuse_a_node() -> None:
    async def group_of(node, peer):
        raise xds.NodeRefused(f"{node.id}: the id of a node must be like sidecar~IP~NAME~DOMAIN")

    async with running(group_of) as (_, channel):
        call = channel.stream_stream(SOTW)()
        await call.write(request(node="what"))
        code, details = await status_of(call)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert details.startswith("what: the id")


@pytest.mark.parametrize(
    ("path", "data", "words"),
    [
        (SOTW, b"\xff\xff\xff", "cannot decode a DiscoveryRequest"),
        (DELTA, b"\xff\xff\xff", "cannot decode a DeltaDiscoveryRequest"),
        (SOTW, request(node=None), "must have a node"),
        (SOTW, request(""), "must name its type_url"),
        (SOTW, request(node="x" * 3000), "the limit is 2000"),
        ("/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters", request(ENDPOINT), "serves CDS"),
        (SOTW, request(ENDPOINT, resource_names=[str(n) for n in range(11)]), "the limit is 10"),
    ],
)
async def test_nonsense_ends_the_stream_with_a_reason(path, data, words) -> None:
    async with running(limits=xds.Limits(max_node_bytes=2000, max_names=10)) as (server, channel):
        server.set_snapshot("all", xds.Snapshot())
        call = channel.stream_stream(path)()
        await call.write(data)
        code, details = await status_of(call)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert words in details
        assert server.clients() == []


async def test_nonsense_later_on_ends_the_stream_too() -> None:
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        call = channel.stream_stream(SOTW)()
        await call.write(request())
        await answer(call)
        await call.write(b"\xff\xff\xff")
        assert (await status_of(call))[0] is grpc.StatusCode.INVALID_ARGUMENT
        await until(lambda: server.clients() == [])


async def test_a_silent_stream_is_ended() -> None:
    async with running(limits=xds.Limits(start_timeout=timedelta(seconds=0.05))) as (_, channel):
        call = channel.stream_stream(SOTW)()
        code, details = await status_of(call)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "no request" in details


async def test_too_many_streams_are_refused() -> None:
    async with running(limits=xds.Limits(max_streams=1)) as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        call = channel.stream_stream(SOTW)()
        await call.write(request())
        await answer(call)
        second = channel.stream_stream(SOTW)()
        assert (await status_of(second))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_large_request_is_refused() -> None:
    async with running(limits=xds.Limits(max_request_bytes=1000)) as (_, channel):
        call = channel.stream_stream(SOTW)()
        await call.write(request(ENDPOINT, resource_names=["x" * 2000]))
        assert (await status_of(call))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_many_clients_that_come_together_are_admitted_in_turns() -> None:
    at_once = most = 0
    three = asyncio.Event()

    async def on_group(key, node):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if at_once == 3:
            three.set()
        await three.wait()
        await asyncio.sleep(0.01)  # a fourth would come now
        at_once -= 1
        return xds.Snapshot.of([cluster("a")])

    limits = xds.Limits(concurrent_starts=3)
    async with running(lambda node, peer: node.id, on_group=on_group, limits=limits) as (_, channel):
        calls = [channel.stream_stream(SOTW)() for _ in range(20)]
        for number, call in enumerate(calls):
            await call.write(request(node=str(number)))
        for call in calls:
            assert len((await answer(call)).resources) == 1
        assert most == 3


async def test_a_client_that_does_not_read_costs_one_state_and_hurts_nobody() -> None:
    """Its transport takes what it takes; the rest waits as one pending state, not as a queue."""
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([endpoint("a")]))
        slow, quick = channel.stream_stream(SOTW)(), channel.stream_stream(SOTW)()
        await slow.write(request(ENDPOINT, resource_names=["a"]))
        await quick.write(request(ENDPOINT, resource_names=["a"]))
        response = await answer(quick)
        await until(lambda: [each.types[ENDPOINT].responses for each in server.clients()] == [1, 1])
        for number in range(50):
            await quick.write(
                request(ENDPOINT, None, resource_names=["a"], version_info="x", response_nonce=response.nonce)
            )
            server.update("all", [endpoint("a", f"{number} " + "x" * 100_000)])
            response = await answer(quick)
        assert response.resources[0].value.startswith(b"a 49 ")
        sent = sorted(client.types[ENDPOINT].responses for client in server.clients())
        assert sent == [1, 51]
        first = await answer(slow)
        await slow.write(
            request(ENDPOINT, None, resource_names=["a"], version_info="x", response_nonce=first.nonce)
        )
        assert (await answer(slow)).resources[0].value.startswith(b"a 49 ")


async def test_stopping_ends_streams_well_and_takes_no_new_ones() -> None:
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        call = channel.stream_stream(SOTW)()
        await call.write(request())
        await answer(call)
        await server.stop(1)
        assert await call.code() is grpc.StatusCode.OK
        assert server.clients() == []


async def test_events_tell_a_stream_from_begin_to_end() -> None:
    events: list[xds.Event] = []
    async with running(on_event=events.append) as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        call = channel.stream_stream(SOTW)()
        await call.write(request())
        first = await answer(call)
        await call.write(request(node=None, version_info=first.version_info, response_nonce=first.nonce))
        await until(lambda: server.clients()[0].synced)
        call.cancel()
        await until(lambda: isinstance(events[-1], xds.Disconnected))
    assert [type(event) for event in events] == [xds.Connected, xds.Subscribed, xds.Acked, xds.Disconnected]
    assert events[0].client.peer.startswith("ipv4:127.0.0.1:")


async def test_an_observer_that_fails_does_not_hurt_the_stream(caplog) -> None:
    def broken(event) -> None:
        raise ZeroDivisionError

    async with running(on_event=broken) as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        call = channel.stream_stream(SOTW)()
        await call.write(request())
        assert len((await answer(call)).resources) == 1
    assert "on_event failed" in caplog.text


async def test_an_address_in_use_is_an_os_error() -> None:
    first, second = xds.Server(lambda node, peer: 0), xds.Server(lambda node, peer: 0)
    port = await first.start("127.0.0.1:0")
    try:
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            await second.start(f"127.0.0.1:{port}")
    finally:
        await first.stop(0)
        await second.stop(0)


async def test_client_status_service_tells_what_was_accepted() -> None:
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a"), cluster("b")]))
        call = channel.stream_stream(DELTA)()
        first = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER)
        first.node.id = "node-1"
        first.node.extensions.add(name="one of very many")
        await call.write(first.SerializeToString())
        response = discovery_pb2.DeltaDiscoveryResponse.FromString(await call.read())
        nack = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce=response.nonce)
        nack.error_detail.code = 13
        nack.error_detail.message = "Error adding/updating cluster(s) b: it is bad"
        await call.write(nack.SerializeToString())
        response = discovery_pb2.DeltaDiscoveryResponse.FromString(await call.read())
        fetch = channel.unary_unary(f"/{CLIENT_STATUS_SERVICE}/FetchClientStatus")
        answered = csds_pb2.ClientStatusResponse.FromString(await fetch(b""))
        config = answered.config[0]
        assert config.node == base_pb2.Node(id="node-1")
        entry = {each.name: each for each in config.generic_xds_configs}["a"]
        assert entry.xds_config.value == b"a 1"
        ask = csds_pb2.ClientStatusRequest(exclude_resource_contents=True)
        ask.node_matchers.add().node_id.exact = "someone else"
        assert not csds_pb2.ClientStatusResponse.FromString(await fetch(ask.SerializeToString())).config
        ask.node_matchers[0].node_id.exact = "node-1"
        stream = channel.stream_stream(f"/{CLIENT_STATUS_SERVICE}/StreamClientStatus")()
        await stream.write(ask.SerializeToString())
        streamed = csds_pb2.ClientStatusResponse.FromString(await stream.read())
        assert not any(each.HasField("xds_config") for each in streamed.config[0].generic_xds_configs)


async def test_streams_leave_nothing_behind() -> None:
    """Also those that refuse what they get and those that break off."""
    kinds = (Stream, StreamConnection)
    earlier = [each for each in gc.get_objects() if isinstance(each, kinds)]

    def left() -> int:
        gc.collect()
        return sum(isinstance(each, kinds) for each in gc.get_objects()) - len(earlier)

    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a"), cluster("b")]))

        async def come_and_go(number: int) -> None:
            call = channel.stream_stream(SOTW)()
            await call.write(request())
            said = await answer(call)
            reply = discovery_pb2.DiscoveryRequest(type_url=CLUSTER, response_nonce=said.nonce)
            if number % 2:
                reply.error_detail.message = "no"
            await call.write(reply.SerializeToString())
            call.cancel()

        for _ in range(5):
            await asyncio.gather(*(come_and_go(number) for number in range(20)))
        await until(lambda: not server.clients())
        await until(lambda: left() == 0)  # gRPC lets go of the last handlers a moment later


def test_no_value_is_shown_by_a_repr() -> None:
    secret = xds.Resource(xds.type_urls.SECRET, "key", b"-----BEGIN PRIVATE KEY-----")
    assert "PRIVATE" not in f"{secret!r} {xds.Snapshot.of([secret])!r} {xds.Change((secret,))!r}"


def test_two_resources_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two resources"):
        xds.Snapshot.of([cluster("a"), cluster("a", "2")])
