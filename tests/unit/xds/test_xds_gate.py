"""How long what is no longer wanted stays, and what never waits."""

from math import inf

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from mizzen.xds import Resource, Snapshot
from mizzen.xds.ordering import Arrival, Gate
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.unit.xds.test_xds_ordering import Settled, kinds, listener
from tests.unit.xds.xds_driver import POLICY, Driver, Said, cluster, endpoint, route


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def delta(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def without(said: list[Said], name: str, *, delta: bool) -> bool:
    """Whether one of these takes the cluster from the client."""
    responses = [each for each in said if each.type_url == CLUSTER]
    if delta:
        return any(name in each.removed for each in responses)
    return any(not any(value.startswith(f"{name} ") for value in each.values) for each in responses)


class TestWhatStays:
    def test_clusters_and_endpoints_of_the_same_name_each_stay_what_they_are(self) -> None:
        driver = Settled(False)
        driver.follow(driver.change(cluster("a", "cluster"), endpoint("a", "endpoints")))
        [said] = driver.change(cluster("b"), removed=((CLUSTER, "a"), (ENDPOINT, "a")))
        assert said.values == ["a cluster", "b 1"]
        driver.accept(said)
        nonce = driver.stream.channels[ENDPOINT].subscription.nonce
        driver.names[ENDPOINT] = ("b",)
        assert driver.say(ENDPOINT, "b", nonce=nonce) == []
        [again] = driver.say(ENDPOINT, "a", "b", nonce=nonce)
        assert again.values == ["a endpoints"]

    def test_what_leaves_together_goes_together(self, delta: bool) -> None:
        driver = Settled(delta)
        driver.follow(driver.change(cluster("b"), cluster("c")))
        assert driver.change(removed=((CLUSTER, "a"), (CLUSTER, "b"), (ENDPOINT, "a"))) == []
        gone = driver.wait(2.1)
        assert gone[0].type_url == CLUSTER
        assert (gone[0].values, gone[0].removed) == (([], ["a", "b"]) if delta else (["c 1"], []))
        driver.follow(gone)
        assert driver.wait(60) == []

    def test_what_leaves_one_after_the_other_has_the_whole_time_each(self, delta: bool) -> None:
        driver = Settled(delta)
        driver.follow(driver.change(cluster("b")))
        driver.now = 100.0
        assert driver.change(removed=((CLUSTER, "a"),)) == []
        driver.wait(1.5)
        assert driver.change(removed=((CLUSTER, "b"),)) == []
        assert driver.stream.deadline == 102.0
        gone = driver.wait(0.6)
        assert without(gone, "a", delta=delta)
        assert not without(gone, "b", delta=delta)
        driver.follow(gone)
        assert driver.stream.deadline == 103.5
        assert driver.wait(1.3) == []
        assert without(driver.wait(0.2), "b", delta=delta)

    def test_further_changes_do_not_prolong_it(self, delta: bool) -> None:
        driver = Settled(delta)
        driver.follow(driver.change(cluster("b"), route("r", "b"), removed=((CLUSTER, "a"),)))
        for number in range(3):
            driver.follow(driver.wait(0.6))
            driver.follow(driver.change(route("r", f"b {number}")))
        assert without(driver.wait(0.3), "a", delta=delta)

    def test_routes_of_an_older_state_that_has_the_cluster_do_not_let_it_go(self, delta: bool) -> None:
        """They are accepted while the next clusters warm, and may lead to it."""
        driver = Settled(delta)
        [first] = driver.change(cluster("b"), route("r", "a and b"))
        [moved] = driver.accept(first)
        [second] = driver.change(cluster("c"), route("r", "c"), removed=((CLUSTER, "a"),))
        assert kinds([moved, second]) == ["RouteConfiguration", "Cluster"]
        assert driver.accept(moved) == []
        assert driver.wait(5) == []
        [last] = driver.accept(second)
        assert last.values == ["r c"]
        assert driver.accept(last) == []
        assert driver.wait(1.9) == []
        assert without(driver.wait(0.2), "a", delta=delta)

    def test_endpoints_that_leave_twice_are_kept_for_the_whole_time_again(self, delta: bool) -> None:
        driver = Settled(delta)
        keys = ((CLUSTER, "a"), (ENDPOINT, "a"))
        driver.follow(driver.change(cluster("b"), route("r", "b"), removed=keys))
        driver.wait(1.5)
        driver.follow(driver.change(cluster("a"), endpoint("a"), route("r", "a")))
        driver.follow(driver.change(route("r", "b"), removed=keys))
        assert driver.wait(1.0) == []
        assert driver.stream.deadline == pytest.approx(3.5)
        assert kinds(driver.wait(1.1))[0] == "Cluster"


class TestWhatNeverWaits:
    def test_endpoints_while_clusters_warm(self, delta: bool) -> None:
        driver = Settled(delta)
        driver.change(cluster("b"))
        [said] = driver.change(endpoint("a", "2"))
        assert said.values == ["a 2"]

    def test_endpoints_while_routes_are_on_their_way(self, delta: bool) -> None:
        driver = Settled(delta)
        [said] = driver.change(cluster("b"), route("r", "b"))
        driver.accept(said)
        [said] = driver.change(endpoint("a", "2"))
        assert said.values == ["a 2"]


class TestEndpointsThatAreAllGone:
    """A subset loses its last endpoint, and the routes turn from it: one change."""

    @staticmethod
    def turned(driver: Settled) -> list[Said]:
        return driver.change(endpoint("a", "", empty=True), cluster("b"), endpoint("b"), route("r", "b"))

    def test_they_stay_until_the_routes_that_turn_from_them_are_accepted(self, delta: bool) -> None:
        driver = Settled(delta)
        driver.names[ENDPOINT] = ("a", "b")
        order = driver.follow(self.turned(driver))
        assert [line.split()[0] for line in order] == ["Cluster", "RouteConfiguration"]
        assert driver.wait(1.9) == []
        [gone] = driver.wait(0.2)
        assert (gone.type_url, gone.values) == (ENDPOINT, ["a "])
        driver.follow([gone])
        assert driver.wait(60) == []

    def test_new_endpoints_in_their_place_go_at_once(self, delta: bool) -> None:
        driver = Settled(delta)
        driver.follow(self.turned(driver))
        [said] = driver.change(endpoint("a", "3"))
        assert said.values == ["a 3"]
        assert driver.wait(60) == []

    def test_they_go_at_once_if_no_route_changes(self, delta: bool) -> None:
        driver = Settled(delta)
        [said] = driver.change(endpoint("a", "", empty=True))
        assert said.values == ["a "]

    def test_what_was_empty_before_is_not_kept(self, delta: bool) -> None:
        driver = Settled(delta)
        driver.follow(driver.change(endpoint("a", "", empty=True)))
        order = driver.follow(driver.change(endpoint("a", "still", empty=True), route("r", "b")))
        assert order == ["ClusterLoadAssignment ['a still'] []", "RouteConfiguration ['r b'] []"]
        assert driver.wait(60) == []

    def test_only_load_assignments_without_any_endpoint_count(self) -> None:
        message = ClusterLoadAssignment(cluster_name="a")
        message.endpoints.add()
        assert Resource.of(message).empty
        message.endpoints[0].lb_endpoints.add()
        assert not Resource.of(message).empty
        assert not Resource.of(Cluster(name="a")).empty


class TestTheFirstClusters:
    def test_routes_wait_for_them_though_other_things_changed_meanwhile(self, delta: bool) -> None:
        """A change of endpoints alone passes at once, but not before there were clusters."""
        driver = Driver(listener("l"), cluster("a"), endpoint("a"), route("r"), delta=delta, policy=POLICY)
        driver.ack(driver.say(LISTENER)[0])
        driver.group.update([endpoint("a", "2")])
        [clusters] = driver.say(CLUSTER)
        assert driver.say(ROUTE, "r") == []
        [routes] = driver.ack(clusters)
        assert routes.values == ["r 1"]

    def test_a_change_of_endpoints_while_they_are_on_their_way(self, delta: bool) -> None:
        driver = Driver(cluster("a"), endpoint("a"), route("r"), delta=delta, policy=POLICY)
        [clusters] = driver.say(CLUSTER)
        assert driver.change(endpoint("a", "2")) == []
        assert driver.say(ROUTE, "r") == []
        [routes] = driver.ack(clusters)
        assert routes.values == ["r 1"]


class TestWhatWentWhileAClientWasAway:
    HELD = {"a": cluster("a").version}  # noqa: RUF012 - never changed

    def test_it_stays_though_listeners_were_asked_for_long_before_clusters(self) -> None:
        driver = Driver(listener("l"), delta=True, policy=POLICY)
        driver.ack(driver.say(LISTENER)[0])
        driver.wait(10)
        assert driver.say(CLUSTER, initial_versions=self.HELD) == []
        assert driver.wait(1.9) == []
        [gone] = driver.wait(0.2)
        assert gone.removed == ["a"]

    def test_it_stays_a_grace_time_after_the_first_listeners_are_accepted(self) -> None:
        driver = Driver(listener("l"), delta=True, policy=POLICY)
        driver.now = 100.0
        [said] = driver.say(LISTENER)
        assert driver.say(CLUSTER, initial_versions=self.HELD) == []
        assert driver.wait(5) == []
        assert driver.ack(said) == []
        assert driver.wait(1.9) == []
        [gone] = driver.wait(0.2)
        assert gone.removed == ["a"]

    def test_it_does_not_stay_for_ever_where_routes_change_all_the_time(self) -> None:
        """Twenty times the grace time at most."""
        driver = Driver(listener("l"), route("r"), delta=True, policy=POLICY)
        driver.now = 100.0
        assert driver.say(CLUSTER, initial_versions=self.HELD) == []
        driver.ack(driver.say(LISTENER)[0])
        driver.ack(driver.say(ROUTE, "r")[0])
        started, gone = driver.now, []
        while not gone:
            driver.ack(driver.change(route("r", str(driver.now)))[0])
            assert driver.now - started <= 40, "it is not told"
            gone = driver.wait(1)
        assert gone[0].removed == ["a"]
        assert driver.now - started == 40


class TestWhereAClientStands:
    """Only where it rests may a question be left unasked."""

    def brought_to(self, *snapshots: Snapshot) -> Gate:
        gate = Gate(POLICY.grace)
        for each in snapshots:
            gate.aim(each, 0.0, lambda resource: resource)
            for arrival in (Arrival.CHANGED, Arrival.CLUSTERS_SETTLED, Arrival.USERS_SETTLED):
                gate.arrive(arrival, 0.0)
        return gate

    ONE, TWO = Snapshot.of([cluster("a"), cluster("b")]), Snapshot.of([cluster("a")])

    def test_it_rests_on_what_it_was_brought_to(self) -> None:
        gate = self.brought_to(self.TWO, self.ONE)
        assert gate.resting_on(self.ONE) is True
        assert gate.resting_on(self.TWO) is False

    def test_not_on_the_way(self) -> None:
        gate = Gate(POLICY.grace)
        gate.aim(self.ONE, 0.0, lambda resource: resource)
        for arrival in (Arrival.CHANGED, Arrival.CLUSTERS_SETTLED):
            gate.arrive(arrival, 0.0)
            assert gate.resting_on(self.ONE) is False
        gate.arrive(Arrival.USERS_SETTLED, 0.0)
        assert gate.resting_on(self.ONE) is True

    def test_not_while_something_is_kept(self) -> None:
        gate = self.brought_to(self.ONE, self.TWO)
        assert gate.resting_on(self.TWO) is False
        gate.aim(self.TWO, 2.0, lambda resource: resource)
        assert gate.resting_on(self.TWO) is True

    def test_it_rests_again_when_what_was_kept_comes_back(self) -> None:
        gate = self.brought_to(self.ONE, self.TWO, self.ONE)
        assert gate.resting_on(self.ONE) is True
        assert gate.deadline == inf
