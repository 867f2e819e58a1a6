"""Make before break, rejections and the clock, on one stream."""

from datetime import timedelta
from itertools import pairwise

import pytest

from mizzen.xds import Acked, Rejected, Resource, Stuck, Unordered
from mizzen.xds.ordering import TABLE, Arrival, Phase
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from mizzen.xds.warming import InterruptedStreams, Warming
from tests.unit.xds.xds_driver import POLICY, Driver, cluster, endpoint, route


def listener(name: str, text: str = "1") -> Resource:
    return Resource(LISTENER, name, f"{name} {text}".encode())


def kinds(said) -> list[str]:
    return [each.type_url.rpartition(".")[2] for each in said]


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def delta(request) -> bool:
    return request.param


class Settled(Driver):
    """A client that has one cluster with its endpoints, a listener and a route."""

    def __init__(self, delta: bool, policy=POLICY) -> None:
        super().__init__(
            cluster("a"), endpoint("a"), listener("l"), route("r", "a"), delta=delta, policy=policy
        )
        self.names = {CLUSTER: (), ENDPOINT: ("a",), LISTENER: (), ROUTE: ("r",)}
        for type_url, names in self.names.items():
            for said in self.say(type_url, *names):
                self.accept(said)
        self.events.clear()

    def accept(self, said):
        return self.ack(said, *(() if self.delta else self.names[said.type_url]))

    def follow(self, said) -> list[str]:
        """Accept everything at once; return what was sent, in order."""
        order = []
        while said:
            each = said.pop(0)
            order.append(f"{kinds([each])[0]} {each.values} {each.removed}".strip())
            said += self.accept(each)
        return order


def test_routes_wait_for_the_ack_of_clusters(delta) -> None:
    driver = Settled(delta)
    said = driver.change(cluster("b"), endpoint("b"), route("r", "b"))
    assert kinds(said) == ["Cluster"]
    assert kinds(driver.accept(said[0])) == ["RouteConfiguration"]


def test_endpoints_of_a_changed_cluster_follow_at_once_though_unchanged(delta) -> None:
    driver = Settled(delta)
    said = driver.change(cluster("a", "2"))
    assert kinds(said) == ["Cluster", "ClusterLoadAssignment"]
    assert said[1].values == ["a 1"]


def test_endpoints_in_flight_when_their_cluster_changes_are_sent_again(delta) -> None:
    driver = Settled(delta)
    in_flight = driver.change(endpoint("a", "2"))[0]
    assert kinds(driver.change(cluster("a", "2"))) == ["Cluster"]
    said = driver.accept(in_flight)
    assert (kinds(said), said[0].values) == (["ClusterLoadAssignment"], ["a 2"])


class TestTheStreamBreaksWhileAClusterWarms:
    """The client then claims to hold the new cluster and its endpoints, but these came before the cluster."""

    def again(self, before: Driver) -> Driver:
        before.stream.end()
        return Driver(group=before.group, delta=True, policy=POLICY)

    def return_with(self, driver: Driver, *held: Resource) -> list:
        """The client comes back with these clusters, endpoints, a listener and a route."""
        said = []
        for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE):
            versions = {each.name: each.version for each in held if each.type_url == type_url}
            names = tuple(versions) if type_url in (ENDPOINT, ROUTE) else ()
            said += driver.say(type_url, *names, initial_versions=versions)
        return said

    HELD = (cluster("a", "2"), endpoint("a"), listener("l"), route("r", "a"))

    def test_its_endpoints_are_sent_again(self) -> None:
        driver = Settled(delta=True)
        driver.change(cluster("a", "2"))  # and the endpoints behind it, which are lost
        again = self.again(driver)
        said = self.return_with(again, *self.HELD)
        assert (kinds(said), said[0].values) == (["ClusterLoadAssignment"], ["a 1"])
        again.ack(said[0])
        assert self.return_with(self.again(again), *self.HELD) == []

    def test_they_are_sent_until_one_arrives(self) -> None:
        driver = Settled(delta=True)
        driver.change(cluster("a", "2"))
        again = self.again(driver)
        assert len(self.return_with(again, *self.HELD)) == 1
        again = self.again(again)
        assert kinds(self.return_with(again, *self.HELD)) == ["ClusterLoadAssignment"]

    def test_endpoints_that_were_in_flight_before_the_cluster_do_not_count(self) -> None:
        driver = Settled(delta=True)
        in_flight = driver.change(endpoint("a", "2"))[0]
        driver.change(cluster("a", "2"))
        driver.accept(in_flight)
        held = (cluster("a", "2"), endpoint("a", "2"), *self.HELD[2:])
        assert kinds(self.return_with(self.again(driver), *held)) == ["ClusterLoadAssignment"]

    def test_what_the_client_accepted_is_not_sent(self) -> None:
        driver = Settled(delta=True)
        _, assignment = driver.change(cluster("a", "2"))
        driver.accept(assignment)
        assert self.return_with(self.again(driver), *self.HELD) == []

    def test_what_it_did_not_answer_is_though_it_accepted_the_cluster(self) -> None:
        """It may have refused it, and then the cluster has none."""
        driver = Settled(delta=True)
        changed, _ = driver.change(cluster("a", "2"))
        driver.accept(changed)
        assert kinds(self.return_with(self.again(driver), *self.HELD)) == ["ClusterLoadAssignment"]

    def test_it_is_nobody_elses_concern(self) -> None:
        driver = Settled(delta=True)
        driver.change(cluster("a", "2"))
        driver.stream.end()
        other = Driver(group=driver.group, delta=True, policy=POLICY, node_id="other")
        assert self.return_with(other, *self.HELD) == []

    def test_a_client_may_be_back_before_the_break_is_seen(self) -> None:
        """A connection that breaks without a word is noticed by its keepalive, much later."""
        driver = Settled(delta=True)
        driver.change(cluster("a", "2"))
        again = Driver(group=driver.group, delta=True, policy=POLICY)
        said = self.return_with(again, *self.HELD)
        assert (kinds(said), said[0].values) == (["ClusterLoadAssignment"], ["a 1"])

    def test_a_break_that_is_seen_late_makes_no_difference_to_what_the_client_was_sent(self) -> None:
        driver = Settled(delta=True)
        driver.change(cluster("a", "2"))
        again = Driver(group=driver.group, delta=True, policy=POLICY)
        again.ack(self.return_with(again, *self.HELD)[0])
        driver.stream.end()
        assert again.listen() == []

    def test_so_many_are_remembered(self) -> None:
        interrupted = InterruptedStreams()
        for number in range(101):
            warming = Warming()
            for child in range(1000):
                warming.expect((ENDPOINT, str(child)), 1)
            interrupted.begin(f"node-{number}", warming)
            interrupted.end(f"node-{number}", warming)
        assert len(interrupted) == 100
        assert not interrupted.begin("node-0", Warming()).children
        assert len(interrupted.begin("node-1", Warming()).children) == 1000
        assert len(interrupted) == 99


def test_what_went_while_a_client_was_away_stays_until_its_routes_are_gone() -> None:
    """It comes back with a route to a cluster that the server does not have any more."""
    driver = Driver(cluster("b"), endpoint("b"), listener("l"), route("r", "b"), delta=True, policy=POLICY)
    old = {"a": cluster("a").version, "b": cluster("b").version}
    assert driver.say(CLUSTER, initial_versions=old) == []
    assert driver.say(LISTENER, initial_versions={"l": listener("l").version}) == []
    [moved] = driver.say(ROUTE, "r", initial_versions={"r": route("r", "a").version})
    assert moved.values == ["r b"]
    assert driver.wait(5) == []  # the route is not accepted yet
    assert driver.ack(moved) == []
    assert driver.wait(1.9) == []
    [gone] = driver.wait(0.2)
    assert (gone.type_url, gone.values, gone.removed) == (CLUSTER, [], ["a"])
    driver.ack(gone)
    assert driver.wait(60) == []


def test_what_went_and_is_back_in_time_is_never_removed() -> None:
    driver = Driver(listener("l"), delta=True, policy=POLICY)
    assert driver.say(CLUSTER, initial_versions={"a": cluster("a").version}) == []
    for said in driver.change(cluster("a")):
        assert (said.values, said.removed) == (["a 1"], [])
        driver.ack(said)
    assert driver.wait(60) == []


def test_a_change_of_endpoints_or_routes_goes_at_once(delta) -> None:
    driver = Settled(delta)
    said = driver.change(endpoint("a", "2"))
    assert kinds(said) == ["ClusterLoadAssignment"]
    assert kinds(driver.change(route("r", "2"))) == ["RouteConfiguration"]
    assert driver.stream.phase is Phase.REST, "nothing waits for it"


def test_routes_go_before_listeners_and_all_of_it_at_once_where_no_cluster_changes(delta) -> None:
    driver = Settled(delta)
    said = driver.change(listener("l", "2"), route("r", "2"), endpoint("a", "2"))
    assert kinds(said) == ["ClusterLoadAssignment", "RouteConfiguration", "Listener"]
    assert [each for answered in said for each in driver.accept(answered)] == []


def test_a_cluster_that_goes_while_routes_are_on_their_way_stays_until_they_are_accepted(delta) -> None:
    driver = Settled(delta)
    driver.follow(driver.change(cluster("b"), endpoint("b"), route("r", "b")))
    driver.wait(60)
    [in_flight] = driver.change(route("r", "b without a"))
    assert driver.change(removed=((CLUSTER, "a"), (ENDPOINT, "a"))) == []
    assert driver.wait(1.9) == []
    assert driver.accept(in_flight) == []
    assert driver.wait(1.9) == []
    gone = driver.wait(0.2)
    assert kinds(gone)[0] == "Cluster"
    assert (gone[0].values, gone[0].removed) == (([], ["a"]) if delta else (["b 1"], []))


def test_a_removed_cluster_stays_until_its_route_is_gone_and_a_grace_time_after(delta) -> None:
    driver = Settled(delta)
    said = driver.change(
        cluster("b"), endpoint("b"), route("r", "b"), removed=((CLUSTER, "a"), (ENDPOINT, "a"))
    )
    assert said[0].values == (["b 1"] if delta else ["a 1", "b 1"])
    assert said[0].removed == []
    said = driver.accept(said[0])
    assert kinds(said) == ["RouteConfiguration"]
    assert driver.wait(1.9) == []  # the route is not accepted, so the grace time has not begun
    assert driver.accept(said[0]) == []
    assert driver.wait(1.9) == []
    gone = driver.wait(0.2)
    assert kinds(gone)[0] == "Cluster"
    assert (gone[0].values, gone[0].removed) == (([], ["a"]) if delta else (["b 1"], []))


def test_a_cluster_that_comes_back_in_the_grace_time_is_never_removed(delta) -> None:
    driver = Settled(delta)
    driver.follow(driver.change(cluster("b"), route("r", "b"), removed=((CLUSTER, "a"),)))
    driver.follow(driver.change(cluster("a"), route("r", "a")))
    said = driver.wait(60)
    assert all("a" not in each.removed for each in said)
    assert not [each for each in said if each.type_url == CLUSTER]


def test_a_cluster_that_leaves_twice_is_kept_for_the_whole_time_again(delta) -> None:
    driver = Settled(delta)
    driver.follow(driver.change(cluster("b"), route("r", "b"), removed=((CLUSTER, "a"),)))
    driver.wait(1.5)
    driver.follow(driver.change(cluster("a"), route("r", "a")))
    driver.follow(driver.change(route("r", "b"), removed=((CLUSTER, "a"),)))
    assert driver.wait(1.0) == []
    assert kinds(driver.wait(1.1)) == ["Cluster"]


def test_nothing_is_kept_without_an_order(delta) -> None:
    driver = Settled(delta, Unordered())
    said = driver.change(cluster("b"), route("r", "b"), removed=((CLUSTER, "a"),))
    assert kinds(said) == ["Cluster", "RouteConfiguration"]
    assert (said[0].values, said[0].removed) == (["b 1"], ["a"] if delta else [])


def test_an_unanswered_cluster_holds_routes_only_so_long_and_is_named(delta) -> None:
    driver = Settled(delta)
    driver.change(cluster("b"), cluster("c"), endpoint("c"), route("r", "b"))
    driver.names[ENDPOINT] = ("a", "c")
    nonce = driver.stream.channels[ENDPOINT].subscription.nonce
    for said in driver.say(ENDPOINT, *driver.names[ENDPOINT], **({} if delta else {"nonce": nonce})):
        driver.accept(said)
    assert driver.wait(9.9) == []
    assert kinds(driver.wait(0.2)) == ["RouteConfiguration"]
    stuck = next(event for event in driver.events if isinstance(event, Stuck))
    assert [resource.name for resource in stuck.culprits] == ["b"]
    assert stuck.waited == pytest.approx(10.1)


def test_later_changes_do_not_wait_so_long_again(delta) -> None:
    driver = Settled(delta)
    driver.change(cluster("b"))
    driver.wait(10.1)
    assert kinds(driver.change(cluster("c"), route("r", "c"))) == ["Cluster"]
    assert kinds(driver.wait(1.1)) == ["RouteConfiguration"]


def test_routes_do_not_starve_under_a_stream_of_new_clusters(delta) -> None:
    driver = Settled(delta)
    said = driver.change(cluster("b"), route("r", "b"))
    for number in range(5):
        driver.change(cluster(f"more-{number}"))
    assert "RouteConfiguration" in kinds(driver.accept(said[0]))


def test_a_client_without_clusters_does_not_wait(delta) -> None:
    """gRPC asks for its listener first."""
    driver = Driver(listener("l"), cluster("a"), delta=delta, policy=POLICY)
    assert driver.say(LISTENER, "l")[0].values == ["l 1"]


def test_every_phase_can_be_left() -> None:
    for phase in Phase:
        assert any(row[0] is phase for row in TABLE), phase
    assert {arrival for _, arrival in TABLE} == set(Arrival)
    assert {phase for _, phase in TABLE.values()} == set(Phase)


class TestRejections:
    def test_the_named_one_is_left_out_and_the_rest_is_sent(self, delta) -> None:
        driver = Settled(delta)
        said = driver.change(cluster("bad"), cluster("good"))
        message = "Error adding/updating cluster(s) bad: it is bad"
        again = driver.say(CLUSTER, nonce=said[0].nonce, error=message)
        assert kinds(again)[0] == "Cluster"
        assert again[0].values == (["good 1"] if delta else ["a 1", "good 1"])
        event = next(event for event in driver.events if isinstance(event, Rejected))
        assert [resource.name for resource in event.culprits] == ["bad"]
        assert event.message == message

    def test_the_last_good_version_stands_in(self, delta) -> None:
        driver = Settled(delta)
        said = driver.change(cluster("a", "bad"), cluster("good"))
        again = driver.say(CLUSTER, nonce=said[0].nonce, error="Error adding/updating cluster(s) a: no")
        assert again[0].values == (["good 1"] if delta else ["a 1", "good 1"])
        assert driver.group.rejected[0].replacement is not None
        assert driver.group.rejected[0].replacement.value == b"a 1"

    def test_the_same_bytes_are_not_sent_to_a_later_client(self, delta) -> None:
        driver = Settled(delta)
        said = driver.change(cluster("bad"))
        driver.say(CLUSTER, nonce=said[0].nonce, error="whatever it says, there was one change")
        later = Driver(delta=delta, group=driver.group)
        assert later.say(CLUSTER)[0].values == ["a 1"]

    def test_another_version_is_tried(self, delta) -> None:
        driver = Settled(delta)
        said = driver.change(cluster("bad"))
        driver.say(CLUSTER, nonce=said[0].nonce, error="no")
        said = driver.change(cluster("bad", "mended"))
        assert "bad mended" in said[0].values
        driver.accept(said[0])
        assert driver.group.rejected == ()

    def test_the_refused_version_is_not_tried_again_when_it_returns(self, delta) -> None:
        driver = Settled(delta)
        said = driver.change(cluster("bad"))
        driver.say(CLUSTER, nonce=said[0].nonce, error="no")
        driver.follow(driver.change(removed=((CLUSTER, "bad"),)))
        assert all("bad 1" not in each.values for each in driver.change(cluster("bad")))

    def test_when_it_returns_the_newest_good_version_stands_in(self, delta) -> None:
        driver = Settled(delta)
        said = driver.change(cluster("a", "bad"))
        driver.say(CLUSTER, nonce=said[0].nonce, error="no")
        driver.follow(driver.change(cluster("a", "3")))
        assert driver.change(cluster("a", "bad")) == []
        assert driver.group.effective is not None
        assert driver.group.effective.collection(CLUSTER)["a"].value == b"a 3"
        driver.group.set(driver.group.snapshot)
        assert driver.group.effective.collection(CLUSTER)["a"].value == b"a 3"

    def test_a_nameless_refusal_is_searched_by_halves(self, delta) -> None:
        driver = Settled(delta)
        names = [f"c{number}" for number in range(16)]
        said = driver.change(*(cluster(name, "bad" if name == "c9" else "1") for name in names))
        rounds = 0
        while said:
            each = said.pop(0)
            if each.type_url != CLUSTER:
                said += driver.accept(each)
                continue
            rounds += 1
            bad = "c9 bad" in each.values
            said += driver.say(
                CLUSTER, nonce=each.nonce, error="Proto constraint validation failed" if bad else ""
            )
        assert rounds <= 2 * 4 + 2
        assert [entry.resource.name for entry in driver.group.rejected] == ["c9"]
        accepted = driver.stream.channels[CLUSTER].subscription.accepted
        assert accepted is not None
        assert set(accepted) == {"a", *names} - {"c9"}

    def test_what_one_client_refuses_is_taken_back_from_the_others(self, delta) -> None:
        driver = Settled(delta)
        other = Driver(delta=delta, group=driver.group)
        other.ack(other.say(CLUSTER)[0])
        said = driver.change(cluster("a", "2"))
        assert other.ack(other.listen()[0]) == []
        driver.say(CLUSTER, nonce=said[0].nonce, error="Error adding/updating cluster(s) a: no")
        assert other.listen()[0].values == ["a 1"]


class TestTimeToLive:
    TTL = timedelta(seconds=9)

    def fault(self, text: str = "1") -> Resource:
        return Resource(ROUTE, "r", f"r {text}".encode(), ttl=self.TTL)

    def test_it_is_sent_to_clients_that_know_it(self, delta) -> None:
        message = Driver(self.fault(), delta=delta, ttl=True).say(ROUTE, "r")[0].message
        if delta:
            assert message.resources[0].ttl.seconds == 9
        else:
            from envoy.service.discovery.v3 import discovery_pb2

            wrapped = discovery_pb2.Resource.FromString(message.resources[0].value)
            assert message.resources[0].type_url.endswith("discovery.v3.Resource")
            assert (wrapped.name, wrapped.ttl.seconds, wrapped.resource.value) == ("r", 9, b"r 1")

    def test_others_get_the_plain_resource(self, delta) -> None:
        said = Driver(self.fault(), delta=delta).say(ROUTE, "r")[0]
        assert said.values == ["r 1"]
        if delta:
            assert not said.message.resources[0].HasField("ttl")

    def test_heartbeats_renew_it_without_a_body(self, delta) -> None:
        driver = Driver(self.fault(), delta=delta, ttl=True)
        driver.ack(driver.say(ROUTE, "r")[0], *(() if delta else ("r",)))
        assert driver.wait(2.9) == []
        assert driver.stream.deadline == pytest.approx(3.0)
        beats = [driver.wait(0.2)]
        driver.ack(beats[0][0], *(() if delta else ("r",)))
        beats.append(driver.wait(3.0))
        for said in beats:
            assert len(said) == 1
            if delta:
                resource = said[0].message.resources[0]
                assert (resource.name, resource.version) == ("r", self.fault().version)
                assert resource.ttl.seconds == 9
                assert not resource.HasField("resource")

    def test_a_changed_ttl_is_sent(self, delta) -> None:
        driver = Driver(self.fault(), delta=delta, ttl=True)
        driver.ack(driver.say(ROUTE, "r")[0], *(() if delta else ("r",)))
        assert len(driver.change(Resource(ROUTE, "r", b"r 1", ttl=timedelta(seconds=5)))) == 1


def test_an_ack_tells_how_long_it_took() -> None:
    driver = Driver(cluster("a"))
    said = driver.say(CLUSTER)[0]
    driver.now += 0.25
    driver.ack(said)
    acked = next(event for event in driver.events if isinstance(event, Acked))
    assert (acked.waited, acked.version, acked.nonce) == (0.25, said.version, said.nonce)


def test_versions_follow_content_only() -> None:
    """A second server, or the same one after a restart, gives the same versions."""
    resources = [cluster("a"), cluster("b")]
    versions = [Driver(*some).say(CLUSTER)[0].version for some in (resources, reversed(resources))]
    assert all(one == other for one, other in pairwise(versions))
    grown = Driver(cluster("a"))
    grown.group.update([cluster("c")])
    grown.group.update([cluster("b", "another")], [(CLUSTER, "c")])
    grown.group.update([cluster("b")])
    assert grown.say(CLUSTER)[0].version == versions[0]


def test_routes_that_the_client_has_go_before_a_listener_that_names_them(delta) -> None:
    """An old listener that drains keeps its routes alive; a new one must not start with what they were."""
    driver = Settled(delta)
    driver.follow(driver.change(listener("l", "uses another"), removed=((ROUTE, "r"),)))
    said = driver.change(listener("l", "uses r again"), route("r", "newer"))
    assert kinds(said) == ["RouteConfiguration", "Listener"]
