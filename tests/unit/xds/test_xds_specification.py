"""Sentences of the specification that no other test proves; the docstrings name the sections."""

from datetime import timedelta

import pytest

from mizzen import xds
from mizzen.xds import Rejected, Resource
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, RUNTIME, SCOPED_ROUTE
from tests.unit.xds.test_xds_server import SOTW, answer, request, running, until
from tests.unit.xds.xds_driver import Driver, cluster, endpoint

UNKNOWN = "type.googleapis.com/example.Unknown"


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def delta(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def one(said):
    assert len(said) == 1, said
    return said[0]


class TestNonces:
    def test_a_nonce_of_another_type_is_stale(self) -> None:
        """ACK/NACK: each type is a stream of its own in the aggregated one."""
        driver = Driver(cluster("a"), endpoint("a"), endpoint("b"))
        clusters = one(driver.say(CLUSTER))
        one(driver.say(ENDPOINT, "a"))
        assert driver.say(ENDPOINT, "a", "b", nonce=clusters.nonce) == []
        assert driver.stream.channels[ENDPOINT].subscription.names == {"a"}
        assert driver.stream.channels[CLUSTER].subscription.outstanding is not None

    def test_without_a_nonce_before_the_first_response_was_read(self) -> None:
        """Resource updates: the two crossed. The client repeats its names with the nonce it gets."""
        driver = Driver(endpoint("a"), endpoint("b"))
        first = one(driver.say(ENDPOINT, "a"))
        assert driver.say(ENDPOINT, "a", "b") == []
        assert one(driver.ack(first, "a", "b")).values == ["b 1"]

    def test_without_a_nonce_before_there_was_a_response(self) -> None:
        driver = Driver()
        assert driver.say(ENDPOINT, "a") == []
        assert driver.say(ENDPOINT, "a", "b") == []
        assert one(driver.change(endpoint("b"))).values == ["b 1"]

    def test_an_error_with_an_unknown_nonce_refuses_nothing(self, delta) -> None:
        driver = Driver(endpoint("a"), endpoint("b"), delta=delta)
        said = one(driver.say(ENDPOINT, "a"))
        assert driver.say(ENDPOINT, "b", nonce="77", error="it is bad") == []
        assert not any(isinstance(event, Rejected) for event in driver.events)
        names = driver.stream.channels[ENDPOINT].subscription.names
        assert names == ({"a", "b"} if delta else {"a"})  # "the server must honor changes" in delta only
        assert [each.values for each in driver.ack(said, *() if delta else ("a",))] == (
            [["b 1"]] if delta else []
        )

    def test_an_error_without_a_nonce_refuses_nothing(self) -> None:
        driver = Driver(endpoint("a"), delta=True)
        one(driver.say(ENDPOINT, "a"))
        driver.say(ENDPOINT, error="it is bad")
        assert not any(isinstance(event, Rejected) for event in driver.events)

    def test_the_same_rejection_twice_counts_once(self, delta) -> None:
        driver = Driver(endpoint("a"), delta=delta)
        said = one(driver.say(ENDPOINT, "a"))
        for _ in range(2):
            driver.say(ENDPOINT, *() if delta else ("a",), nonce=said.nonce, error="it is bad")
        assert sum(isinstance(event, Rejected) for event in driver.events) == 1


class TestVersions:
    def test_a_version_changes_with_each_change_and_is_each_types_own(self, delta) -> None:
        """ACK/NACK and resource type instance version."""
        driver = Driver(cluster("a"), endpoint("a", "other"), delta=delta)
        versions = [one(driver.say(CLUSTER)), one(driver.say(ENDPOINT, "a"))]
        driver.ack(versions[0])
        versions += driver.change(cluster("a", "2"))
        assert len({each.version for each in versions}) == 3
        back = Driver(cluster("a"), delta=delta)
        assert one(back.say(CLUSTER)).version == versions[0].version

    def test_star_by_name_proves_nothing_with_its_version(self) -> None:
        version = one(Driver(cluster("a")).say(CLUSTER)).version
        assert one(Driver(cluster("a")).say(CLUSTER, "*", version=version)).values == ["a 1"]

    def test_star_by_name_with_what_the_client_holds(self) -> None:
        """Incremental xDS: the reconnecting client must name all that it is interested in."""
        driver = Driver(cluster("a"), cluster("b"), delta=True)
        said = one(driver.say(CLUSTER, "*", initial_versions={"a": cluster("a").version, "c": "1"}))
        assert (said.values, said.removed) == (["b 1"], ["c"])


class TestTheWildcardOfOtherTypes:
    def test_names_and_the_wildcard_come_and_go_in_state_of_the_world(self) -> None:
        """How the client specifies what resources to return, for a type whose responses are partial."""
        driver = Driver(endpoint("a"), endpoint("b"))
        said = one(driver.say(ENDPOINT, "a"))
        said = one(driver.ack(said, "*", "a"))
        assert said.values == ["a 1", "b 1"]
        assert driver.ack(said, "a") == []
        assert driver.change(endpoint("b", "2")) == []
        said = one(driver.change(endpoint("a", "2")))
        assert driver.ack(said) == []  # no names after some names is nothing
        assert driver.change(endpoint("a", "3")) == []
        again = one(driver.say(ENDPOINT, "*", nonce=said.nonce))
        assert again.values == ["a 3", "b 2"]

    def test_a_type_without_resources(self, delta) -> None:
        """Deleting Resources: an empty response says nothing in state of the world, so there is none; an
        incremental client learns that there is nothing to wait for."""
        driver = Driver(cluster("a"), delta=delta)
        said = driver.say(UNKNOWN)
        assert [(each.values, each.removed) for each in said] == ([([], [])] if delta else [])
        for each in said:
            assert driver.ack(each) == []
        assert one(driver.change(Resource(UNKNOWN, "new", b"new"))).values == ["new"]

    def test_a_name_of_a_type_without_resources(self, delta) -> None:
        said = Driver(cluster("a"), delta=delta).say(UNKNOWN, "x")
        assert [each.removed for each in said] == ([["x"]] if delta else [])

    def test_listeners_that_do_not_exist_are_answered_at_once(self) -> None:
        """Deleting Resources: for these types an empty response means that there are none, also to gRPC."""
        assert one(Driver().say(LISTENER, "nobody")).values == []

    def test_scoped_routes_are_sent_complete_and_runtimes_are_not(self) -> None:
        """Grouping Resources into Responses; Envoy reads scoped routes as it reads clusters."""
        for type_url, expected in ((SCOPED_ROUTE, ["a 2", "b 1"]), (RUNTIME, ["a 2"])):
            driver = Driver(Resource(type_url, "a", b"a 1"), Resource(type_url, "b", b"b 1"))
            driver.ack(one(driver.say(type_url, "a", "b")), "a", "b")
            assert one(driver.change(Resource(type_url, "a", b"a 2"))).values == expected


class TestTimeToLive:
    TTL = timedelta(seconds=9)

    def test_a_ttl_is_taken_away(self) -> None:
        """TTL: "To remove the TTL, the management server resends the resource with the TTL field unset"."""
        driver = Driver(Resource(ENDPOINT, "a", b"a 1", ttl=self.TTL), delta=True, ttl=True)
        driver.ack(one(driver.say(ENDPOINT, "a")))
        said = one(driver.change(Resource(ENDPOINT, "a", b"a 1")))
        assert not said.message.resources[0].HasField("ttl")
        driver.ack(said)
        assert driver.wait(60) == []

    def test_a_heartbeat_has_the_version_that_was_sent_last(self) -> None:
        """TTL: "version matching the most recently sent version"."""
        driver = Driver(Resource(ENDPOINT, "a", b"a 1", ttl=self.TTL), delta=True, ttl=True)
        first = one(driver.say(ENDPOINT, "a"))
        driver.ack(first)
        beat = one(driver.wait(3.1))
        assert beat.message.resources[0].version == first.message.resources[0].version
        assert not beat.message.resources[0].HasField("resource")


def test_what_a_client_was_never_sent_is_not_what_it_goes_back_to() -> None:
    """A client accepts what it asked for, though it is on its way with a pointer to all there is."""
    good, bad = (Resource(ENDPOINT, "a", text, aliases=("x",)) for text in (b"good", b"bad"))
    driver = Driver(good, endpoint("b"), delta=True)
    driver.ack(one(driver.say(ENDPOINT, "b")))
    driver.group.update([bad])
    said = one(driver.say(ENDPOINT, "x"))
    driver.ack(one(driver.say(ENDPOINT, nonce=said.nonce, error="a: it is bad")))
    driver.group.set(driver.group.snapshot)
    assert [entry.replacement for entry in driver.group.rejected] == [None]
    assert driver.listen() == []


async def test_only_the_first_node_of_a_stream_counts() -> None:
    """Basic Protocol Overview: "It is sufficient to only check the first message"."""
    async with running(lambda node, peer: node.cluster) as (server, channel):
        server.set_snapshot("", xds.Snapshot.of([cluster("a"), endpoint("a")]))
        call = channel.stream_stream(SOTW)()
        await call.write(request(node="node-1"))
        assert len((await answer(call)).resources) == 1
        await call.write(request(ENDPOINT, node="node-2", resource_names=["a"]))
        assert len((await answer(call)).resources) == 1
        await until(lambda: ENDPOINT in server.clients()[0].types)
        assert [client.node_id for client in server.clients()] == ["node-1"]
