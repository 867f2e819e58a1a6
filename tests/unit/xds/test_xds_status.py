"""What is known of a stream, for people, and what is told of it as it happens."""

from dataclasses import replace

import pytest

from mizzen.xds import Acked, Event, Recovered, Rejected, Snapshot, Subscribed
from mizzen.xds.group import Group
from mizzen.xds.status import ClientStatus, TypeStatus, describe
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.unit.xds.test_xds_server import SOTW, answer, request, running, until
from tests.unit.xds.xds_driver import POLICY, Driver, cluster, endpoint, route

EPOCH = 1_000_000.0


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def delta(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def one(said):
    assert len(said) == 1, said
    return said[0]


def status(driver: Driver) -> ClientStatus:
    return describe(driver.stream, 7.0, EPOCH)


class TestOfAType:
    def test_from_the_first_request_to_the_answer(self, delta: bool) -> None:
        driver = Driver(delta=delta, group=Group("all"))
        driver.now = 100.0
        driver.say(ENDPOINT, "a", "b")
        asked = TypeStatus(
            type_url=ENDPOINT,
            wildcard=False,
            names=frozenset("ab"),
            sent_version="",
            sent_nonce="",
            sent_at=0.0,
            accepted_version="",
            accepted_at=0.0,
            pending=False,
            stuck=(),
            error=None,
            error_names=(),
            synced=False,
            bytes_sent=0,
            responses=0,
        )
        assert status(driver).types == {ENDPOINT: asked}
        driver.group.set(Snapshot.of([endpoint("a"), endpoint("b")]))
        said = one(driver.listen())
        sent = replace(
            asked,
            sent_version=said.version,
            sent_nonce=said.nonce,
            sent_at=EPOCH + 100,
            pending=True,
            bytes_sent=said.message.ByteSize(),
            responses=1,
        )
        assert status(driver).types == {ENDPOINT: sent}
        driver.now = 103.0
        driver.ack(said, *() if delta else ("a", "b"))
        accepted = replace(
            sent, pending=False, synced=True, accepted_version=said.version, accepted_at=EPOCH + 103
        )
        assert status(driver).types == {ENDPOINT: accepted}
        driver.now = 105.0
        again = one(driver.change(endpoint("a", "2")))
        assert status(driver).types[ENDPOINT] == replace(
            accepted,
            sent_version=again.version,
            sent_nonce=again.nonce,
            sent_at=EPOCH + 105,
            pending=True,
            synced=False,
            bytes_sent=said.message.ByteSize() + again.message.ByteSize(),
            responses=2,
        )

    def test_the_wildcard(self, delta: bool) -> None:
        driver = Driver(cluster("a"), delta=delta)
        driver.say(CLUSTER)
        assert status(driver).types[CLUSTER].wildcard is True

    def test_a_type_that_nobody_asked_for_is_not_listed(self) -> None:
        """Endpoints are expected behind their clusters before the client speaks of them."""
        driver = Driver(cluster("a"), endpoint("a"), delta=True)
        driver.say(CLUSTER)
        assert list(status(driver).types) == [CLUSTER]

    def test_who_keeps_an_answer_back(self, delta: bool) -> None:
        driver = Driver(cluster("a"), delta=delta)
        driver.say(CLUSTER)
        assert status(driver).types[CLUSTER].stuck == ()
        driver.wait(10)
        assert status(driver).types[CLUSTER].stuck == ("a",)

    def test_a_rejection_until_something_is_accepted(self, delta: bool) -> None:
        driver = Driver(endpoint("a"), delta=delta)
        said = one(driver.say(ENDPOINT, "a"))
        names = () if delta else ("a",)
        gone = driver.say(ENDPOINT, *names, nonce=said.nonce, error="it is bad")
        found = status(driver).types[ENDPOINT]
        assert (found.error, found.error_names, found.accepted_at) == ("it is bad", ("a",), 0.0)
        driver.group.update([endpoint("a", "2")])
        recovered = driver.ack(gone[0]) if delta else driver.listen()
        driver.ack(one(recovered), *names)
        found = status(driver).types[ENDPOINT]
        assert (found.error, found.error_names, found.synced) == (None, (), True)

    def test_whom_a_nameless_rejection_may_mean(self, delta: bool) -> None:
        driver = Driver(cluster("b"), cluster("a"), delta=delta)
        said = one(driver.say(CLUSTER))
        driver.say(CLUSTER, nonce=said.nonce, error="it is bad")
        assert status(driver).types[CLUSTER].error_names == ("a", "b")

    def test_what_does_not_concern_a_client_does_not_put_it_behind(self, delta: bool) -> None:
        driver = Driver(endpoint("a"), endpoint("b"), delta=delta)
        driver.ack(one(driver.say(ENDPOINT, "a")), *() if delta else ("a",))
        assert driver.change(endpoint("b", "2")) == []
        assert status(driver).synced

    def test_a_change_puts_it_behind_before_it_is_sent(self, delta: bool) -> None:
        driver = Driver(cluster("a"), delta=delta)
        driver.ack(one(driver.say(CLUSTER)))
        driver.group.update([cluster("a", "2")])
        assert status(driver).types[CLUSTER].pending is False
        assert not status(driver).synced

    def test_what_is_sent_again_must_be_accepted_again(self) -> None:
        driver = Driver(cluster("a"), delta=True)
        driver.ack(one(driver.say(CLUSTER)))
        said = one(driver.say(CLUSTER, "*"))
        assert not status(driver).synced
        driver.ack(said)
        assert status(driver).synced


class TestOfAStream:
    def test_who_it_is(self) -> None:
        driver = Driver(delta=True)
        assert status(driver) == ClientStatus(1, "node", "all", "", "", 7.0, "rest")

    def test_where_it_stands(self, delta: bool) -> None:
        driver = Driver(cluster("a"), endpoint("a"), route("r"), delta=delta, policy=POLICY)
        assert status(driver).phase == "rest"
        clusters = one(driver.say(CLUSTER))
        assert status(driver).phase == "warming"
        driver.ack(clusters)
        assert (status(driver).phase, status(driver).synced) == ("rest", True)
        routes = one(driver.say(ROUTE, "r"))
        assert (status(driver).phase, status(driver).synced) == ("rest", False)
        driver.ack(routes, *() if delta else ("r",))
        [clusters] = driver.change(cluster("b"), route("r", "2"))
        [routes] = driver.ack(clusters)
        assert status(driver).phase == "switching"
        driver.ack(routes, *() if delta else ("r",))
        assert status(driver).synced

    def test_what_its_group_is_not_sent(self, delta: bool) -> None:
        driver = Driver(cluster("a"), delta=delta)
        said = one(driver.say(CLUSTER))
        driver.say(CLUSTER, nonce=said.nonce, error="it is bad")
        [entry] = status(driver).rejected
        assert (entry.resource.name, entry.replacement, entry.message) == ("a", None, "it is bad")


class TestEvents:
    def test_what_a_client_asks_for_when_it_changes(self) -> None:
        driver = Driver(endpoint("a"), delta=True)
        driver.say(ENDPOINT, "a")
        driver.say(ENDPOINT, "a")
        driver.say(ENDPOINT, "*")
        driver.say(ENDPOINT, unsubscribe=("a",))
        driver.say(ENDPOINT, unsubscribe=("*",))
        told = [event for event in driver.events if isinstance(event, Subscribed)]
        assert [(event.type_url, event.wildcard, set(event.names)) for event in told] == [
            (ENDPOINT, False, {"a"}),
            (ENDPOINT, True, {"a"}),
            (ENDPOINT, True, set()),
            (ENDPOINT, False, set()),
        ]

    def refused(self, delta: bool) -> Driver:
        """A client that refused a changed cluster and keeps what it had."""
        driver = Driver(cluster("a"), cluster("b"), endpoint("a"), delta=delta)
        driver.ack(one(driver.say(CLUSTER)))
        said = one(driver.change(cluster("a", "bad")))
        for again in driver.say(CLUSTER, nonce=said.nonce, error="it is bad"):
            driver.ack(again)
        return driver

    def test_what_was_refused_and_is_wanted_no_longer_recovers(self, delta: bool) -> None:
        """Nothing is sent, so nothing is accepted that could say so."""
        driver = self.refused(delta)
        assert not any(isinstance(event, Recovered) for event in driver.events)
        driver.group.set(Snapshot.of([cluster("a"), cluster("b"), endpoint("a")]))
        assert driver.listen() == []
        [event] = [event for event in driver.events if isinstance(event, Recovered)]
        assert event.type_url == CLUSTER
        assert status(driver).types[CLUSTER].error is None
        driver.group.set(Snapshot.of([cluster("a"), cluster("b")]))
        driver.listen()
        assert sum(isinstance(event, Recovered) for event in driver.events) == 1

    def test_it_is_so_when_the_owner_takes_it_back(self, delta: bool) -> None:
        """The clients have what is wanted, so nothing changes for them."""
        driver = self.refused(delta)
        assert driver.change(cluster("a")) == []
        assert sum(isinstance(event, Recovered) for event in driver.events) == 1
        assert status(driver).types[CLUSTER].error is None

    async def test_the_server_tells_it_though_nothing_is_sent(self) -> None:
        events: list[Event] = []
        async with running(on_event=events.append) as (server, channel):
            server.set_snapshot("all", Snapshot.of([cluster("a")]))
            call = channel.stream_stream(SOTW)()
            await call.write(request())
            response = await answer(call)
            await call.write(request(response_nonce=response.nonce))
            await until(lambda: any(isinstance(event, Acked) for event in events))
            server.update("all", [cluster("b")])
            response = await answer(call)
            error = {"code": 13, "message": "it is bad"}
            await call.write(request(response_nonce=response.nonce, error_detail=error))
            await until(lambda: any(isinstance(event, Rejected) for event in events))
            assert not server.update("all", removed=[(CLUSTER, "b")])
            await until(lambda: any(isinstance(event, Recovered) for event in events))

    def test_nothing_recovers_as_long_as_it_is_wanted(self, delta: bool) -> None:
        driver = self.refused(delta)
        assert driver.change(endpoint("a", "2")) == []
        driver.group.set(Snapshot.of([cluster("a", "bad"), cluster("b"), route("r")]))
        assert driver.listen() == []
        assert not any(isinstance(event, Recovered) for event in driver.events)
        assert status(driver).types[CLUSTER].error == "it is bad"

    def test_each_type_recovers_for_itself(self, delta: bool) -> None:
        driver = self.refused(delta)
        said = one(driver.say(ENDPOINT, "a"))
        for again in driver.say(ENDPOINT, *() if delta else ("a",), nonce=said.nonce, error="so is this"):
            driver.ack(again, *() if delta else ("a",))
        driver.group.set(Snapshot.of([cluster("a"), cluster("b"), endpoint("a")]))
        driver.listen()
        recovered = [event.type_url for event in driver.events if isinstance(event, Recovered)]
        assert recovered == [CLUSTER]

    def test_a_rejection_of_what_was_only_taken_away(self) -> None:
        """There is nobody to blame, and nothing to try in its place."""
        driver = Driver(cluster("a"), cluster("b"))
        driver.ack(one(driver.say(CLUSTER)))
        said = one(driver.change(removed=((CLUSTER, "a"),)))
        assert driver.say(CLUSTER, nonce=said.nonce, error="it is bad") == []
        [event] = [event for event in driver.events if isinstance(event, Rejected)]
        assert (event.culprits, event.suspects) == ((), ())
        assert driver.group.rejected == ()

    def test_events_are_told_once(self) -> None:
        driver = Driver(cluster("a"))
        driver.say(CLUSTER)
        assert driver.events
        assert driver.stream.events() == []


def test_a_listener_that_is_not_there_does_not_keep_a_client_behind() -> None:
    driver = Driver(delta=True)
    driver.ack(one(driver.say(LISTENER, "nobody")))
    assert status(driver).types[LISTENER].synced
