"""The clock of a stream: how long an answer is worth waiting for, who is named when it does not come, and
heartbeats."""

from datetime import timedelta
from math import inf

import pytest

from mizzen.xds import Acked, MakeBeforeBreak, Resource, Stuck, Unordered
from mizzen.xds.response import supports_ttl
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from tests.unit.xds.test_xds_ordering import Settled, kinds
from tests.unit.xds.xds_driver import Driver, cluster, endpoint, route

TTL = timedelta(seconds=12)


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def delta(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def one(said):
    assert len(said) == 1, said
    return said[0]


def stuck(driver: Driver) -> list[Stuck]:
    return [event for event in driver.events if isinstance(event, Stuck)]


class TestHowLongAnAnswerIsWaitedFor:
    @pytest.fixture(params=[MakeBeforeBreak, Unordered])
    def policy(self, request: pytest.FixtureRequest):
        return request.param(
            warm_timeout=timedelta(seconds=30),
            stuck_timeout=timedelta(seconds=2),
            answer_timeout=timedelta(seconds=5),
        )

    def test_clusters_may_take_as_long_as_they_warm(self, delta: bool, policy) -> None:
        driver = Driver(cluster("a"), endpoint("a"), delta=delta, policy=policy)
        driver.now = 100.0
        one(driver.say(CLUSTER))
        one(driver.say(ENDPOINT, "a"))
        assert driver.stream.deadline == 105.0
        driver.wait(5)
        assert [(event.type_url, event.waited) for event in stuck(driver)] == [(ENDPOINT, 5.0)]
        assert driver.stream.deadline == 130.0
        driver.wait(24.9)
        assert len(stuck(driver)) == 1
        driver.wait(0.1)
        assert [(event.type_url, event.waited) for event in stuck(driver)[1:]] == [(CLUSTER, 30.0)]
        assert driver.stream.deadline == inf
        driver.wait(1000)
        assert len(stuck(driver)) == 2

    def test_those_behind_a_late_one_do_not(self, delta: bool, policy) -> None:
        driver = Driver(cluster("a"), delta=delta, policy=policy)
        one(driver.say(CLUSTER))
        driver.wait(31)
        one(driver.change(cluster("b")))
        assert driver.stream.deadline == 33.0

    def test_once_it_has_answered_all_the_time_is_given_again(self, delta: bool, policy) -> None:
        driver = Driver(cluster("a"), delta=delta, policy=policy)
        first = one(driver.say(CLUSTER))
        driver.wait(31)
        assert driver.ack(first) == []
        one(driver.change(cluster("b")))
        assert driver.stream.deadline == 61.0

    def test_several_that_come_late_at_once(self, delta: bool, policy) -> None:
        driver = Driver(endpoint("a"), route("r"), delta=delta, policy=policy)
        one(driver.say(ENDPOINT, "a"))
        one(driver.say(ROUTE, "r"))
        driver.wait(6)
        assert {event.type_url for event in stuck(driver)} == {ENDPOINT, ROUTE}

    def test_an_answer_in_time_ends_it(self, delta: bool, policy) -> None:
        driver = Driver(cluster("a"), delta=delta, policy=policy)
        driver.now = 100.0
        said = one(driver.say(CLUSTER))
        driver.now += 1.5
        driver.ack(said)
        assert driver.stream.deadline == inf
        [acked] = [event for event in driver.events if isinstance(event, Acked)]
        assert acked.waited == 1.5
        driver.wait(100)
        assert stuck(driver) == []
        assert not driver.stream.channels[CLUSTER].overdue

    def test_a_late_answer_ends_it_too(self, delta: bool, policy) -> None:
        driver = Driver(cluster("a"), delta=delta, policy=policy)
        said = one(driver.say(CLUSTER))
        driver.wait(30)
        channel = driver.stream.channels[CLUSTER]
        assert (channel.overdue, [each.name for each in channel.culprits]) == (True, ["a"])
        driver.ack(said)
        assert (channel.overdue, channel.culprits) == (False, ())

    def test_who_is_named_is_so_until_the_next_response(self, delta: bool, policy) -> None:
        driver = Driver(cluster("a"), delta=delta, policy=policy)
        driver.say(CLUSTER)
        driver.wait(30)
        driver.change(cluster("b"))
        assert driver.stream.channels[CLUSTER].culprits == ()


class TestWhoIsNamed:
    """Resources that still miss a child; if there are none, all that is new."""

    def late(self, driver: Driver) -> list[str]:
        driver.wait(60)
        event = next(event for event in stuck(driver) if event.type_url == CLUSTER)
        return sorted(resource.name for resource in event.culprits)

    def test_clusters_whose_endpoints_nobody_asked_for(self, delta: bool) -> None:
        driver = Driver(cluster("a"), endpoint("a"), cluster("b"), endpoint("b"), delta=delta)
        driver.say(CLUSTER)
        driver.ack(one(driver.say(ENDPOINT, "a")), *() if delta else ("a",))
        assert self.late(driver) == ["b"]

    def test_clusters_whose_endpoints_do_not_exist(self, delta: bool) -> None:
        driver = Driver(cluster("a"), endpoint("a"), cluster("b"), delta=delta)
        driver.say(CLUSTER)
        driver.ack(one(driver.say(ENDPOINT, "a", "b")), *() if delta else ("a", "b"))
        assert self.late(driver) == ["b"]

    def test_clusters_whose_endpoints_were_not_accepted(self, delta: bool) -> None:
        driver = Driver(*(make(name) for make in (cluster, endpoint) for name in "ab"), delta=delta)
        driver.say(CLUSTER)
        driver.ack(one(driver.say(ENDPOINT, "a")), *() if delta else ("a",))
        channel = driver.stream.channels[ENDPOINT].subscription
        driver.say(ENDPOINT, *("b",) if delta else ("a", "b"), nonce="" if delta else channel.nonce)
        assert self.late(driver) == ["b"]

    def test_clusters_whose_endpoints_are_accepted_by_the_wildcard(self, delta: bool) -> None:
        driver = Driver(cluster("a"), endpoint("a"), cluster("b"), endpoint("b"), cluster("c"), delta=delta)
        driver.say(CLUSTER)
        driver.ack(one(driver.say(ENDPOINT)))
        assert self.late(driver) == ["c"]

    def test_a_cluster_that_misses_one_of_several_things(self, delta: bool) -> None:
        children = ((ENDPOINT, "a"), (SECRET, "s"))
        driver = Driver(
            Resource(CLUSTER, "a", b"a 1", children=children),
            endpoint("a"),
            cluster("b"),
            endpoint("b"),
            delta=delta,
        )
        driver.say(CLUSTER)
        driver.ack(one(driver.say(ENDPOINT, "a", "b")), *() if delta else ("a", "b"))
        assert self.late(driver) == ["a"]

    def test_all_that_is_new_if_nothing_is_missing(self, delta: bool) -> None:
        driver = Driver(*(Resource(CLUSTER, name, b"1") for name in "ab"), delta=delta)
        driver.ack(one(driver.say(CLUSTER)))
        driver.change(*(Resource(CLUSTER, name, b"2") for name in "bc"))
        assert self.late(driver) == ["b", "c"]

    def test_not_more_than_ten(self, delta: bool) -> None:
        driver = Driver(*(cluster(str(number)) for number in range(20)), delta=delta)
        driver.say(CLUSTER)
        assert len(self.late(driver)) == 10


class TestTheOrderOfAChange:
    def test_a_change_that_comes_when_the_wait_ends_does_not_delay_the_routes_before_it(self, delta) -> None:
        driver = Settled(delta)
        assert kinds(driver.change(cluster("b"), route("r", "b"))) == ["Cluster"]
        driver.group.update([cluster("c"), route("r", "c")])
        said = driver.wait(10)
        assert [each.values for each in said if each.type_url == ROUTE] == [["r b"]]

    def test_nor_does_one_that_itself_goes_at_once(self, delta) -> None:
        driver = Settled(delta)
        assert kinds(driver.change(cluster("b"), route("r", "b"))) == ["Cluster"]
        driver.group.update([endpoint("a", "2")])
        assert kinds(driver.wait(10)) == ["ClusterLoadAssignment", "RouteConfiguration"]

    def test_nor_is_a_heartbeat_forgotten(self) -> None:
        driver = Driver(Resource(ROUTE, "r", b"r 1", ttl=TTL), endpoint("a"), delta=True, ttl=True)
        driver.ack(one(driver.say(ROUTE, "r")))
        driver.ack(one(driver.say(ENDPOINT, "a")))
        driver.group.update([endpoint("a", "2")])
        assert kinds(driver.wait(4)) == ["ClusterLoadAssignment", "RouteConfiguration"]

    def test_what_takes_the_place_of_refused_clusters_goes_before_the_routes(self, delta) -> None:
        driver = Settled(delta)
        [said] = driver.change(cluster("bad"), cluster("good"), route("r", "good"))
        error = "Error adding/updating cluster(s) bad: it is bad"
        [again] = driver.say(CLUSTER, nonce=said.nonce, error=error)
        assert again.type_url == CLUSTER
        assert kinds(driver.accept(again)) == ["RouteConfiguration"]


class TestHeartbeats:
    """ "TTL"."""

    @staticmethod
    def fault(
        name: str = "r", text: str = "1", ttl: timedelta | None = TTL, type_url: str = ROUTE
    ) -> Resource:
        return Resource(type_url, name, f"{name} {text}".encode(), ttl=ttl)

    def names(self, said) -> list[str]:
        """Whose TTL is renewed; a heartbeat has no bodies."""
        assert not any(each.HasField("resource") for each in said.message.resources)
        return sorted(each.name for each in said.message.resources)

    def driver(self, *resources: Resource, names: tuple[str, ...] = ("r",)) -> Driver:
        driver = Driver(*resources, delta=True, ttl=True)
        driver.now = 100.0
        driver.ack(one(driver.say(ROUTE, *names)))
        return driver

    def test_they_come_three_times_in_a_ttl_for_as_long_as_it_lasts(self) -> None:
        driver = self.driver(self.fault())
        for _ in range(4):
            assert driver.stream.deadline == driver.now + 4
            assert driver.wait(3.9) == []
            beat = one(driver.wait(0.1))
            assert self.names(beat) == ["r"]
            driver.ack(beat)

    def test_the_shortest_ttl_counts(self) -> None:
        driver = self.driver(self.fault(), self.fault("s", ttl=TTL / 2), names=("r", "s"))
        assert self.names(one(driver.wait(2))) == ["r", "s"]

    def test_a_shorter_ttl_counts_at_once(self) -> None:
        driver = self.driver(self.fault(ttl=10 * TTL))
        driver.wait(5)
        driver.ack(one(driver.change(self.fault())))
        assert driver.stream.deadline == 109.0
        assert self.names(one(driver.wait(4))) == ["r"]

    def test_other_changes_do_not_delay_them(self) -> None:
        driver = self.driver(self.fault(), route("q"), names=("r", "q"))
        for number in range(3):
            driver.wait(1)
            driver.ack(one(driver.change(route("q", str(number)))))
        assert self.names(one(driver.wait(1))) == ["r"]

    def test_a_change_goes_before_a_heartbeat(self) -> None:
        driver = self.driver(self.fault())
        driver.group.update([self.fault(text="2")])
        assert one(driver.wait(4)).values == ["r 2"]

    def test_only_what_the_client_asks_for_is_renewed(self) -> None:
        driver = self.driver(self.fault(), self.fault("s", ttl=TTL / 4))
        assert driver.wait(3.9) == []
        assert self.names(one(driver.wait(0.1))) == ["r"]

    def test_what_it_gives_up_is_not(self) -> None:
        driver = self.driver(self.fault())
        driver.now += 5
        assert driver.say(ROUTE, unsubscribe=("r",)) == []
        assert driver.stream.deadline == inf

    def test_without_a_ttl_there_are_none(self) -> None:
        driver = self.driver(self.fault())
        driver.ack(one(driver.change(self.fault(ttl=None))))
        assert driver.stream.deadline == inf

    def test_they_wait_for_the_answer_to_a_response(self) -> None:
        driver = self.driver(self.fault())
        driver.wait(1)
        said = one(driver.change(self.fault(text="2")))
        assert driver.wait(6) == []
        assert driver.stream.deadline == 111.0  # the answer is not worth waiting for any more
        assert self.names(one(driver.ack(said))) == ["r"]

    def test_a_client_that_does_not_know_ttls_gets_none(self, delta: bool) -> None:
        driver = Driver(self.fault(), delta=delta)
        driver.ack(one(driver.say(ROUTE, "r")), *() if delta else ("r",))
        assert driver.stream.deadline == inf

    def test_types_of_which_everything_is_listed_are_sent_complete(self) -> None:
        """SotW TTL: "For Listeners and Clusters", a resource that is not in a response is deleted."""
        driver = Driver(
            self.fault("l", type_url=LISTENER), Resource(LISTENER, "m", b"m 1"), ttl=True, policy=Unordered()
        )
        first = one(driver.say(LISTENER))
        driver.ack(first)
        beat = one(driver.wait(4))
        assert list(beat.message.resources) == list(first.message.resources)
        driver.ack(beat)
        assert one(driver.wait(4)).version == first.version

    @pytest.mark.parametrize(
        ("features", "in_sotw", "in_delta"),
        [
            (("xds.config.supports-resource-ttl", "xds.config.supports-resource-in-sotw"), True, True),
            (("xds.config.supports-resource-ttl", "other"), False, True),
            (("xds.config.supports-resource-in-sotw",), False, False),
            ((), False, False),
        ],
    )
    def test_who_knows_ttls_says_so(self, features: tuple[str, ...], in_sotw: bool, in_delta: bool) -> None:
        assert supports_ttl(features, delta=False) is in_sotw
        assert supports_ttl(features, delta=True) is in_delta
