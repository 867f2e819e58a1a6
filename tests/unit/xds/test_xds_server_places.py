"""Streams come and go: places are taken and given back, and nothing of them stays."""

import datetime
import logging
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from envoy.service.discovery.v3 import discovery_pb2

from mizzen import xds
from mizzen.xds.type_urls import CLUSTER
from tests.unit.xds.test_xds_server import SOTW, answer, request, running, status_of, until
from tests.unit.xds.xds_driver import cluster


async def served(channel: Any) -> Any:
    """A stream that has its first answer."""
    call = channel.stream_stream(SOTW)()
    await call.write(request())
    assert len((await answer(call)).resources) == 1
    return call


async def test_a_stream_that_ends_gives_its_place_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "mizzen.xds")
    async with running(limits=xds.Limits(max_streams=2)) as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        calls = [await served(channel), await served(channel)]
        for lap in range(1, 4):
            code, details = await status_of(channel.stream_stream(SOTW)())
            assert (code, details) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "2 streams are open, the most that may be",
            )
            await calls[0].done_writing()
            assert await calls[0].code() is grpc.StatusCode.OK
            await until(lambda: len(server.clients()) == 1)
            calls = [calls[1], await served(channel)]
            assert caplog.text.count("further ones are refused") == lap  # each time that it becomes full


async def test_a_stream_that_is_refused_gives_its_place_back() -> None:
    async with running(limits=xds.Limits(max_streams=1)) as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        for _ in range(3):
            call = channel.stream_stream(SOTW)()
            await call.write(request(node=None))
            assert await status_of(call) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                "the first request of a stream must have a node",
            )
        await served(channel)


async def test_nothing_is_kept_of_a_stream_that_has_ended() -> None:
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        for _ in range(3):
            call = await served(channel)
            await call.done_writing()
            assert await call.code() is grpc.StatusCode.OK
        await until(lambda: not server._handlers)
        assert server._streams == 0


async def test_the_numbers_of_streams_are_never_used_again() -> None:
    events: list[xds.Event] = []
    async with running(on_event=events.append) as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        for number in range(1, 4):
            call = await served(channel)
            assert [each.number for each in server.clients()] == [number]
            call.cancel()
            await until(lambda: not server.clients())
    connected = [event.client.number for event in events if isinstance(event, xds.Connected)]
    gone = [event.client.number for event in events if isinstance(event, xds.Disconnected)]
    assert connected == gone == [1, 2, 3]


async def test_an_address_is_free_when_its_server_has_stopped() -> None:
    first = xds.Server(lambda node, peer: "all")
    port = await first.start("127.0.0.1:0")
    await first.stop(0)
    second = xds.Server(lambda node, peer: "all")
    assert await second.start(f"127.0.0.1:{port}") == port
    await second.stop(0)


async def test_with_credentials_it_is_tls() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server = xds.Server(lambda node, peer: "all")
    server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
    port = await server.start("127.0.0.1:0", grpc.ssl_server_credentials([(private, chain)]))
    options = [("grpc.ssl_target_name_override", "localhost")]
    trust = grpc.ssl_channel_credentials(chain)
    try:
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", trust, options) as channel:
            call = channel.stream_stream(SOTW)()
            await call.write(request())
            response = discovery_pb2.DiscoveryResponse.FromString(await call.read())
            assert [each.value for each in response.resources] == [b"a 1"]
    finally:
        await server.stop(0)


async def test_a_stream_that_says_nothing_and_ends_well() -> None:
    async with running() as (server, channel):
        call = channel.stream_stream(SOTW)()
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
        await until(lambda: not server._handlers)


async def test_nodes_as_large_as_they_may_be() -> None:
    async with running(limits=xds.Limits(max_node_bytes=100, max_node_id=60)) as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        # 62 bytes for the id, 38 for the cluster, each with a key and a length.
        for node_id, group, reason in (
            ("x" * 60, "y" * 36, ""),
            ("x" * 60, "y" * 37, "a node of 101 bytes; the limit is 100"),
            ("x" * 61, "", "a node id of 61 characters; the limit is 60"),
        ):
            message = discovery_pb2.DiscoveryRequest(type_url=CLUSTER)
            message.node.id, message.node.cluster = node_id, group
            call = channel.stream_stream(SOTW)()
            await call.write(message.SerializeToString())
            if reason:
                assert await status_of(call) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
            else:
                assert len((await answer(call)).resources) == 1


async def test_who_is_refused_is_logged_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "mizzen.xds")
    async with running() as (_, channel):
        call = channel.stream_stream(SOTW)()
        await call.write(request(node=None))
        await call.code()
    [line] = [each for each in caplog.messages if "refused" in each]
    assert line.startswith("ipv4:127.0.0.1:")
    assert line.endswith(
        " StreamAggregatedResources: refused: the first request of a stream must have a node"
    )


async def test_a_client_that_breaks_the_protocol_at_once_does_not_keep_its_group() -> None:
    forgotten: list[object] = []
    async with running(
        lambda node, peer: node.id,
        on_group=lambda key, node: xds.Snapshot.of([cluster("a")]),
        on_group_empty=forgotten.append,
        linger=datetime.timedelta(milliseconds=1),
    ) as (server, channel):
        call = channel.stream_stream(SOTW)()
        await call.write(request("", node="me"))
        assert (await call.code()) is grpc.StatusCode.INVALID_ARGUMENT
        await until(lambda: forgotten == ["me"])
        assert server.groups == ()
