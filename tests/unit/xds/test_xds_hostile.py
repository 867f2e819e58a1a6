"""Clients that mean harm, or might as well: what they cost is bounded, and they are told so."""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from mizzen import xds
from mizzen.xds import Rejected, Snapshot, wire
from mizzen.xds.group import Group
from mizzen.xds.refusal_log import RefusalLog
from mizzen.xds.rejection import culprits
from mizzen.xds.type_urls import CLUSTER, ENDPOINT
from mizzen.xds.wire import BadRequest
from tests.unit.xds.test_xds_server import DELTA, SOTW, answer, request, running, status_of, until
from tests.unit.xds.xds_driver import Driver, cluster, endpoint

LARGE = "x" * 3_000_000


class TestWhatAStreamMayHold:
    def test_types_that_nobody_serves_leave_nothing_behind(self) -> None:
        group = Group("all", Snapshot.of([cluster("a")]))
        for number in range(10):
            driver = Driver(group=group, delta=True)
            for said in driver.say(f"type.googleapis.com/type-{number}"):
                driver.ack(said)
        assert group.snapshot is not None
        assert list(group.snapshot._collections) == [CLUSTER]
        assert list(group._accepted) == []

    def test_a_type_url_without_end(self) -> None:
        with pytest.raises(BadRequest, match="a type_url of 1001 characters; the limit is 1000"):
            Driver().say("x" * 1001)

    def test_more_types_than_there_are(self) -> None:
        driver = Driver()
        with pytest.raises(BadRequest, match="more than 64 types"):
            for number in range(65):
                driver.say(f"type-{number}")

    def test_names_that_are_given_up_under_the_wildcard_count_until_they_are_answered(self) -> None:
        driver = Driver(delta=True, max_names=100)
        driver.say(ENDPOINT, "*")  # and never an ACK
        with pytest.raises(BadRequest, match="the limit is 100"):
            for lap in range(3):
                names = tuple(f"{lap}-{number}" for number in range(60))
                driver.say(ENDPOINT, *names)
                driver.say(ENDPOINT, unsubscribe=names)

    def test_names_that_come_and_go_without_the_wildcard_are_not_kept(self) -> None:
        driver = Driver(delta=True, max_names=100)
        for lap in range(10):
            names = tuple(f"{lap}-{number}" for number in range(60))
            driver.say(ENDPOINT, *names)
            driver.say(ENDPOINT, unsubscribe=names)
        subscription = driver.stream.channels[ENDPOINT].subscription
        assert (subscription.names, subscription.owed) == (frozenset(), set())

    def test_claims_to_hold_things(self) -> None:
        claims = {str(number): "1" for number in range(101)}
        with pytest.raises(BadRequest, match="101 initial_resource_versions; the limit is 100"):
            Driver(delta=True, max_names=100, group=Group("no snapshot")).say(
                ENDPOINT, initial_versions=claims
            )

    def test_an_error_without_end(self) -> None:
        message = discovery_pb2.DiscoveryRequest()
        message.error_detail.message = "a: it is bad, " + "x" * 1_000_000
        error = wire.parse_sotw(message.SerializeToString()).error
        assert error is not None
        assert len(error.message) < 33_000
        assert error.message.startswith("a: it is bad, ")
        assert error.message.endswith("... (1000014 characters)")


class TestRejections:
    def test_many_names_in_one_rejection(self) -> None:
        names = [f"c{number}" for number in range(500)]
        driver = Driver(cluster("good"), *(cluster(name) for name in names), delta=True)
        [said] = driver.say(CLUSTER)
        error = "Error adding/updating cluster(s) " + ", ".join(f"{name}: it is bad" for name in names)
        [again] = driver.say(CLUSTER, nonce=said.nonce, error=error)
        assert again.values == ["good 1"]
        assert len(driver.group.rejected) == 500
        [event] = [event for event in driver.events if isinstance(event, Rejected)]
        assert len(event.culprits) == 500

    @pytest.mark.parametrize(
        ("message", "blamed"),
        [
            ("Error adding/updating cluster(s) a: x, b: y", {"a", "b"}),
            ("Error adding/updating listener(s) a: x\nb: y\n", {"a", "b"}),
            ("Error adding/updating cluster(s) outbound|80||a.b: c: d", {"outbound|80||a.b"}),
            ("Error adding/updating cluster(s) with: colon: x", {"with: colon"}),
            ("Error adding/updating cluster(s) aa: x, not b", set()),
            (
                "xDS response validation errors: [resource index 0: a: x; resource index 1: b: y]",
                {"a", "b"},
            ),
            ('Proto constraint validation failed: [name: "a" x: 1]', {"a"}),
            ('Proto constraint validation failed: [name: "a" service_name: "b"]', {"a"}),
            ('Proto constraint validation failed: [cluster_name: "a" hostname: "b"]', {"a"}),
            ("it isn't right: 'b' is bad", {"b"}),
            ("'b' and `a` are bad", {"a", "b"}),
            ("a' is not quoted", set()),
            ("nor is 'a", set()),
            ("a is bad", set()),
            ("", set()),
        ],
    )
    def test_who_is_meant(self, message: str, blamed: set[str]) -> None:
        assert culprits(message, ["a", "b", "outbound|80||a.b", "with: colon"]) == blamed

    def test_the_longest_name_of_all_may_hold_what_ends_a_name(self) -> None:
        message = "Error adding/updating cluster(s) b: x, with: more: colons: it is bad"
        assert culprits(message, ["b", "with: more: colons"]) == {"b", "with: more: colons"}


async def test_groups_that_nobody_serves_are_forgotten_with_their_clients() -> None:
    async with running(lambda node, peer: node.id) as (server, channel):
        server.set_snapshot("known", xds.Snapshot.of([cluster("a")]))
        for name in ("known", "x", "y"):
            call = channel.stream_stream(SOTW)()
            await call.write(request(node=name))
            await until(lambda name=name: name in server.groups)
            call.cancel()
        await until(lambda: not server.clients())
        await until(lambda: server.groups == ("known",))


async def test_a_node_id_without_end() -> None:
    async with running() as (_, channel):
        call = channel.stream_stream(SOTW)()
        await call.write(request(node="x" * 1025))
        assert await status_of(call) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "a node id of 1025 characters; the limit is 1024",
        )


async def test_that_no_more_streams_are_taken_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "mizzen.xds")
    async with running(limits=xds.Limits(max_streams=1)) as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        call = channel.stream_stream(SOTW)()
        await call.write(request())
        await answer(call)
        for _ in range(3):
            code, details = await status_of(channel.stream_stream(SOTW)())
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert details == "1 streams are open, the most that may be"
    assert caplog.text.count("further ones are refused") == 1


async def test_a_connection_that_is_too_old_is_closed_and_the_client_comes_back() -> None:
    events: list[xds.Event] = []
    limits = xds.Limits(
        max_connection_age=timedelta(seconds=0.5), max_connection_age_grace=timedelta(seconds=0.2)
    )
    async with running(limits=limits, on_event=events.append) as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a")]))
        served = 0
        while served < 2:
            call = channel.stream_stream(SOTW)()
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await call.write(request())
                if (data := await call.read()) is not grpc.aio.EOF:
                    assert len(discovery_pb2.DiscoveryResponse.FromString(data).resources) == 1
                    served += 1
            # A machine that stands still may let the connection grow old before it is used.
            assert await call.code() is grpc.StatusCode.UNAVAILABLE
        assert await call.details() == "max connection age"
        await until(lambda: not server.clients())
    assert sum(isinstance(event, xds.Disconnected) for event in events) >= 2


async def test_a_client_that_closes_its_half_has_its_answer() -> None:
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a", LARGE)]))
        call = channel.stream_stream(SOTW)()
        await call.write(request())
        await call.done_writing()
        assert len((await answer(call)).resources) == 1
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_streams_that_are_reset_in_the_middle_of_a_response() -> None:
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([cluster("a", LARGE)]))
        for _ in range(20):
            call = channel.stream_stream(SOTW)()
            await call.write(request())
            await until(lambda: any(client.types for client in server.clients()))
            call.cancel()
        await until(lambda: not server.clients())
        call = channel.stream_stream(SOTW)()
        await call.write(request())
        assert len((await answer(call)).resources) == 1


async def test_a_client_that_only_writes_is_not_read_any_longer() -> None:
    """Its requests stay where HTTP/2's flow control keeps them; a good client is served meanwhile."""
    async with running() as (server, channel):
        server.set_snapshot("all", xds.Snapshot.of([endpoint("a", LARGE), endpoint("b")]))
        bad, good = channel.stream_stream(DELTA)(), channel.stream_stream(SOTW)()
        first = discovery_pb2.DeltaDiscoveryRequest(type_url=ENDPOINT, resource_names_subscribe=["a"])
        first.node.id = "bad"

        async def flood() -> None:
            while True:
                await bad.write(first.SerializeToString())

        flooding = asyncio.create_task(flood())
        await until(lambda: any(each.types[ENDPOINT].responses for each in server.clients() if each.types))
        await good.write(request(ENDPOINT, resource_names=["b"]))
        for number in range(20):
            response = await answer(good)
            server.update("all", [endpoint("b", str(number))])
            ack = request(ENDPOINT, None, resource_names=["b"], response_nonce=response.nonce)
            await good.write(ack)
        [status] = [client for client in server.clients() if client.node_id == "bad"]
        assert status.types[ENDPOINT].responses == 1
        flooding.cancel()
        bad.cancel()
        await until(lambda: len(server.clients()) == 1)


def test_the_log_of_refusals_stays_readable(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "mizzen.xds")
    refusals = RefusalLog()
    for number in range(100):
        refusals.say(1000.0, "peer", "method", f"reason {number}")
    assert len(caplog.records) == 20
    refusals.say(1011.0, "peer", "method", "another")
    assert caplog.messages[-2:] == ["80 further streams were refused", "peer method: refused: another"]
