"""What somebody is told who uses the library in a way that it is not made for."""

import asyncio
import copy
import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from mizzen import xds
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, VIRTUAL_HOST

MESSAGE = cluster_pb2.Cluster(name="a")
A = xds.Resource.of(MESSAGE)
WRAPPED = any_pb2.Any()
WRAPPED.Pack(MESSAGE)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: xds.Resource(CLUSTER, "a", MESSAGE), TypeError, "Resource.of(message) serialises"),
        (
            lambda: xds.Resource(CLUSTER, "a", "text"),
            TypeError,
            "value is the serialised message, bytes, not str",
        ),
        (lambda: xds.Resource(CLUSTER, "a", bytearray()), TypeError, "not bytearray"),
        (lambda: xds.Resource(CLUSTER, None, b""), TypeError, "a name is a str, not None"),
        (lambda: xds.Resource(CLUSTER, b"a", b""), TypeError, "a name is a str, not bytes"),
        (lambda: xds.Resource(CLUSTER, "\udcff", b""), ValueError, "cannot be written as UTF-8"),
        (lambda: xds.Resource("CDS", "a", b""), ValueError, "'CDS' is not a type URL; one looks like"),
        (lambda: xds.Resource(cluster_pb2.Cluster, "a", b""), TypeError, "type_url is a str"),
        (lambda: xds.Resource(CLUSTER, "a", b"", 7), TypeError, "version is a str, not int"),
        (lambda: xds.Resource(CLUSTER, "a", b"", origins="f:1"), TypeError, "origins is a tuple, not str"),
        (lambda: xds.Resource(CLUSTER, "a", b"", aliases="abc"), TypeError, "aliases is a tuple, not str"),
        (lambda: xds.Resource(CLUSTER, "a", b"", aliases=(b"b",)), TypeError, "a name is a str, not bytes"),
        (lambda: xds.Resource(CLUSTER, "a", b"", ttl=5), TypeError, "ttl is a timedelta, not int"),
        (lambda: xds.Resource(CLUSTER, "a", b"", ttl=timedelta(0)), ValueError, "a TTL must be positive"),
        (lambda: xds.Resource.of({"name": "a"}), TypeError, "takes a protobuf message, not dict"),
        (lambda: xds.Resource.of(None), TypeError, "takes a protobuf message, not None"),
        (lambda: xds.Resource.of(cluster_pb2.Cluster), TypeError, "not the class Cluster"),
        (lambda: xds.Resource.of(WRAPPED), TypeError, "not the Any around it"),
        (lambda: xds.Resource.of(address_pb2.SocketAddress()), TypeError, "Resource.of(message, name=...)"),
        (lambda: xds.Resource.of(cluster_pb2.Cluster()), ValueError, "a Cluster with an empty name"),
        (lambda: xds.Snapshot.of([MESSAGE]), TypeError, "not of Cluster: give Resource.of(message)"),
        (lambda: xds.Snapshot.of("ab"), TypeError, "a snapshot is made of Resources, not of str"),
        (lambda: xds.Snapshot().updated([MESSAGE]), TypeError, "not of Cluster: give Resource.of(message)"),
        (
            lambda: xds.Snapshot().updated(removed=[A]),
            TypeError,
            "(type URL, name), not as <Resource Cluster 'a'",
        ),
        (lambda: xds.Snapshot().updated(removed=(CLUSTER, "a")), TypeError, "not as 'type.googleapis.com/"),
        (lambda: xds.Snapshot().updated(removed=[("CDS", "a")]), ValueError, "'CDS' is not a type URL"),
        (lambda: xds.Limits(keepalive=5), TypeError, "keepalive is a timedelta, not 5"),
        (lambda: xds.Limits(max_streams=1.5), TypeError, "max_streams is a number, not 1.5"),
        (lambda: xds.Limits(max_streams=0), ValueError, "max_streams must be positive, not 0"),
        (lambda: xds.Limits(keepalive=timedelta(0)), ValueError, "keepalive must be positive, not 0:00:00"),
    ],
)
def test_a_wrong_argument_is_named(make: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error) as raised:
        make()
    assert says in str(raised.value)


def test_unusual_arguments_that_are_right() -> None:
    class Name(str):
        __slots__ = ()

    assert xds.Resource(CLUSTER, Name("ä"), b"", aliases=("ö",)).delta_field()
    assert (
        xds.Resource(CLUSTER, "", b"").name == ""
    )  # some types of some clients have one resource without a name
    assert xds.Resource.of(address_pb2.SocketAddress(), name="x").type_url.endswith("SocketAddress")
    assert xds.Resource.of(endpoint_pb2.ClusterLoadAssignment(cluster_name="a")).name == "a"
    assert xds.Limits(max_connection_age=None).max_connection_age is None


def test_a_resource_does_not_follow_its_message() -> None:
    message = cluster_pb2.Cluster(name="a")
    resource = xds.Resource.of(message)
    message.name = "b"
    assert cluster_pb2.Cluster.FromString(resource.value).name == resource.name == "a"


@pytest.mark.parametrize("again", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_a_resource_of_another_process(again: Callable[[xds.Resource], xds.Resource]) -> None:
    """A pool of processes may build them; what is the same is not sent anew."""
    made = xds.Resource(
        ENDPOINT,
        "a",
        b"1",
        origins=("f:1",),
        ttl=timedelta(seconds=5),
        aliases=("b",),
        children=((CLUSTER, "c"),),
    )
    for resource in made, xds.Resource.unresolved(VIRTUAL_HOST, "v"):
        copied = again(resource)
        assert copied.delta_field(ttl=True) == resource.delta_field(ttl=True)
        assert (copied.origins, copied.children, copied.mark) == (
            resource.origins,
            resource.children,
            resource.mark,
        )
        assert not xds.Snapshot.of([resource]).updated([copied])[1]
        with pytest.raises(AttributeError):
            copied.name = "other"


class Web:
    """A server with one cluster, and a client that asks it for all clusters."""

    def __init__(self, **options: Any) -> None:
        self.events: list[xds.Event] = []
        self.server = xds.Server(lambda node, peer: "all", **({"on_event": self.events.append} | options))
        self.server.set_snapshot("all", xds.Snapshot.of([A]))

    @asynccontextmanager
    async def asked(self, address: str = "127.0.0.1:0") -> AsyncIterator["Web"]:
        port = await self.server.start(address)
        target = address if address.startswith("unix:") else f"127.0.0.1:{port}"
        try:
            async with grpc.aio.insecure_channel(target) as channel:
                method = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
                self.call = channel.stream_stream(method)()
                await self.call.write(
                    discovery_pb2.DeltaDiscoveryRequest(
                        node={"id": "n"}, type_url=CLUSTER
                    ).SerializeToString()
                )
                yield self
        finally:
            await self.server.stop(0)

    async def given(self) -> tuple[list[str], list[str]]:
        """What a response brings and what it takes away; it is accepted."""
        async with asyncio.timeout(20):
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(await self.call.read())
        answer = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce=response.nonce)
        await self.call.write(answer.SerializeToString())
        return [each.name for each in response.resources], list(response.removed_resources)


def named(name: str) -> xds.Resource:
    return xds.Resource.of(cluster_pb2.Cluster(name=name))


async def test_a_change_from_another_thread() -> None:
    async with Web().asked() as web:
        assert await web.given() == (["a"], [])
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(loop.call_soon_threadsafe, web.server.update, "all", [named("b")])
        assert await web.given() == (["b"], [])


async def test_an_empty_snapshot_takes_everything_and_drop_does_not() -> None:
    async with Web(policy=xds.Unordered()).asked() as web:
        assert await web.given() == (["a"], [])
        web.server.drop("all")
        assert web.server.snapshot("all") is not None
        web.server.set_snapshot("all", xds.Snapshot())
        assert await web.given() == ([], ["a"])


async def test_a_callback_may_call_the_server() -> None:
    def also_b(event: xds.Event) -> None:
        if isinstance(event, xds.Acked):
            web.server.update("all", [named("b")])

    web = Web(on_event=also_b)
    async with web.asked():
        assert await web.given() == (["a"], [])
        assert await web.given() == (["b"], [])


async def test_a_callback_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    def fails(event: xds.Event) -> None:
        raise KeyError("oops")

    async with Web(on_event=fails).asked() as web:
        assert await web.given() == (["a"], [])
        web.server.update("all", [named("b")])
        assert await web.given() == (["b"], [])
    assert "on_event failed for Connected" in caplog.text


async def test_a_group_that_has_no_snapshot_yet() -> None:
    server = xds.Server(lambda node, peer: "all")
    assert (server.snapshot("all"), server.groups, server.clients()) == (None, (), [])
    assert server.update("all", [A]).changed == (A,)
    assert server.snapshot("all") is not None
    assert server.groups == ("all",)


async def test_a_unix_socket(tmp_path: Path) -> None:
    async with Web().asked(f"unix:{tmp_path / 'xds'}") as web:
        assert await web.given() == (["a"], [])


async def test_stopping_twice_and_before_the_start() -> None:
    server = xds.Server(lambda node, peer: "all")
    await server.stop()
    await server.stop()
    async with Web().asked() as web:
        assert await web.given() == (["a"], [])
        await web.server.stop()
        assert await web.call.code() is grpc.StatusCode.OK


async def test_an_address_that_is_taken_and_then_another() -> None:
    first, second = xds.Server(lambda node, peer: "all"), xds.Server(lambda node, peer: "all")
    try:
        port = await first.start("127.0.0.1:0")
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            await second.start(f"127.0.0.1:{port}")
        assert await second.start("127.0.0.1:0") != port
    finally:
        await first.stop(0)
        await second.stop(0)


async def test_what_is_held_back_does_not_count_for_synced() -> None:
    async with Web(policy=xds.Unordered()).asked() as web:
        assert await web.given() == (["a"], [])
        web.server.update("all", [named("b")])
        async with asyncio.timeout(20):
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(await web.call.read())
            refusal = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce=response.nonce)
            refusal.error_detail.message = "no"
            await web.call.write(refusal.SerializeToString())
            while not (web.server.clients()[0].rejected and web.server.clients()[0].synced):
                await asyncio.sleep(0.01)
    (held,) = [event for event in web.events if isinstance(event, xds.Rejected)]
    assert [each.name for each in held.culprits] == ["b"]


async def test_a_client_is_not_synced_from_the_moment_of_a_change_until_its_ack() -> None:
    async with Web(policy=xds.Unordered()).asked() as web:
        assert await web.given() == (["a"], [])
        await synced(web)
        web.server.update("all", [named("b")])
        assert not web.server.clients()[0].synced
        assert await web.given() == (["b"], [])
        await synced(web)
        accepted = [event for event in web.events if isinstance(event, xds.Acked)]
        whole = web.server.snapshot("all").collection(CLUSTER).version  # type: ignore[union-attr]
        assert accepted[-1].version == web.server.clients()[0].types[CLUSTER].accepted_version == whole
        assert len({event.client for event in web.events}) == 1


async def synced(web: Web) -> None:
    async with asyncio.timeout(20):
        while not web.server.clients()[0].synced:
            await asyncio.sleep(0.01)


async def test_a_server_is_started_once() -> None:
    server = xds.Server(lambda node, peer: "all")
    try:
        await server.start("127.0.0.1:0")
        with pytest.raises(RuntimeError, match="listens already"):
            await server.start("127.0.0.1:0")
    finally:
        await server.stop(0)
    with pytest.raises(RuntimeError, match="not started again"):
        await server.start("127.0.0.1:0")


@pytest.mark.parametrize("wrong", [None, [A], {CLUSTER: [A]}])
def test_a_snapshot_of_another_type_changes_nothing(wrong: Any) -> None:
    web = Web()
    before = web.server.snapshot("all")
    with pytest.raises(TypeError, match="a group is given a Snapshot"):
        web.server.set_snapshot("all", wrong)
    assert web.server.snapshot("all") is before


async def _fails(*_: object) -> Any:
    raise KeyError("postgres://mizzen:secret@db")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"group_of": _fails}, "group_of failed"),
        ({"group_of": lambda node, peer: ["all"]}, "group_of failed"),
        ({"group_of": lambda node, peer: node.id, "on_group": _fails}, "on_group failed"),
    ],
)
async def test_a_client_is_not_told_why_a_callback_failed(
    options: dict[str, Any], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = xds.Server(**options)
    port = await server.start("127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.stream_stream(
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
            )()
            await call.write(
                discovery_pb2.DeltaDiscoveryRequest(node={"id": "n"}, type_url=CLUSTER).SerializeToString()
            )
            assert await call.code() is grpc.StatusCode.INTERNAL
            assert await call.details() == says
        assert says.split()[0] in caplog.text
        assert server.groups == () or options["group_of"] is not _fails
    finally:
        await server.stop(0)


@pytest.mark.parametrize("wrong", [KeyError("secret"), "not a resource", xds.Resource(ENDPOINT, "b", b"")])
async def test_a_fallback_that_fails_is_no_answer(wrong: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fallback(type_url: str, name: str) -> Any:
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    async with Web(fallback=fallback).asked() as web:
        await web.call.write(
            discovery_pb2.DeltaDiscoveryRequest(
                type_url=CLUSTER, resource_names_subscribe=["b"]
            ).SerializeToString()
        )
        assert await web.given() == (["a"], [])
        assert await web.given() == ([], ["b"])  # said not to exist
    assert "fallback" in caplog.text


async def test_a_stream_that_fails_says_nothing_of_why(caplog: pytest.LogCaptureFixture) -> None:
    async with Web().asked() as web:
        assert await web.given() == (["a"], [])
        [served] = web.server._served.values()
        [connection] = served.connections.values()

        def fail(now: float) -> Any:
            raise KeyError("postgres://mizzen:secret@db")

        connection.stream.poll = fail  # type: ignore[method-assign]
        web.server.update("all", [xds.Resource(CLUSTER, "b", b"")])
        assert await web.call.code() is grpc.StatusCode.INTERNAL
        assert await web.call.details() == "the stream failed"
    assert "postgres://" in caplog.text


async def test_a_first_answer_that_fails_says_nothing_of_why(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(stream: Any, now: float) -> Any:
        raise KeyError("postgres://mizzen:secret@db")

    monkeypatch.setattr("mizzen.xds.stream.Stream.poll", fail)
    async with Web().asked() as web:
        assert await web.call.code() is grpc.StatusCode.INTERNAL
        assert await web.call.details() == "the stream failed"
    assert "postgres://" in caplog.text


async def test_changes_that_are_made_together_go_together() -> None:
    async with Web().asked() as web:
        assert await web.given() == (["a"], [])
        await web.call.write(
            discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce="1").SerializeToString()
        )
        await synced(web)
        for name in "bcd":
            web.server.update("all", [xds.Resource(CLUSTER, name, b"")])
        names, removed = await web.given()
        assert (sorted(names), removed) == (["b", "c", "d"], [])


async def test_a_change_from_another_thread_is_refused_and_not_made() -> None:
    async with Web().asked() as web:
        assert await web.given() == (["a"], [])
        before = web.server.snapshot("all")
        for change in (
            lambda: web.server.update("all", [xds.Resource(CLUSTER, "b", b"")]),
            lambda: web.server.set_snapshot("all", xds.Snapshot()),
        ):
            with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
                await asyncio.to_thread(change)
        assert web.server.snapshot("all") is before


@pytest.mark.parametrize("policy", [xds.MakeBeforeBreak, xds.Unordered])
def test_the_times_of_a_policy_are_checked(policy: Any) -> None:
    with pytest.raises(TypeError, match="warm_timeout is a timedelta, not 5"):
        policy(warm_timeout=5)
    with pytest.raises(ValueError, match="answer_timeout must not be negative"):
        policy(answer_timeout=timedelta(seconds=-1))
    assert policy(warm_timeout=timedelta()).warm_timeout == timedelta()
