"""One stream: what belongs to each other on it, and what it may hold."""

import gc
import weakref
from datetime import timedelta
from typing import ClassVar

import pytest

from mizzen.xds import Resource, wire
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, short_name
from mizzen.xds.warming import Warming
from mizzen.xds.wire import BadRequest, DeltaRequest, ErrorDetail
from tests.unit.xds.test_xds_ordering import Settled, kinds, listener
from tests.unit.xds.xds_driver import POLICY, Driver, cluster, endpoint, route


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def delta(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def one(said):
    assert len(said) == 1, said
    return said[0]


class TestClustersAndWhatTheyWaitFor:
    """Resource warming."""

    def test_all_that_a_changed_cluster_waits_for_follows_it(self, delta: bool) -> None:
        children = ((ENDPOINT, "a"), (SECRET, "s"))
        clusters = [Resource(CLUSTER, "a", text, children=children) for text in (b"a 1", b"a 2")]
        driver = Driver(clusters[0], endpoint("a"), Resource(SECRET, "s", b"s 1"), delta=delta)
        for type_url, *names in ((CLUSTER,), (ENDPOINT, "a"), (SECRET, "s")):
            driver.ack(one(driver.say(type_url, *names)), *() if delta else names)
        assert [each.values for each in driver.change(clusters[1])] == [["a 2"], ["a 1"], ["s 1"]]

    def test_what_a_client_has_before_it_asks_for_clusters_follows_them(self, delta: bool) -> None:
        driver = Driver(cluster("a"), endpoint("a"), delta=delta)
        driver.ack(one(driver.say(ENDPOINT, "a")), *() if delta else ("a",))
        assert [each.values for each in driver.say(CLUSTER)] == [["a 1"], ["a 1"]]

    def test_what_it_does_not_have_is_sent_when_it_asks(self) -> None:
        driver = Driver(cluster("a"), endpoint("a"))
        driver.say(CLUSTER)
        assert ENDPOINT not in driver.stream.channels
        said = one(driver.say(ENDPOINT, "a"))
        assert driver.ack(said, "a") == []

    def test_what_it_claims_to_have_is_sent_if_its_clusters_are_new_to_it(self) -> None:
        driver = Driver(cluster("a"), endpoint("a"), delta=True)
        driver.say(CLUSTER)
        said = one(driver.say(ENDPOINT, "a", initial_versions={"a": endpoint("a").version}))
        assert said.values == ["a 1"]

    def test_clusters_that_others_ask_for_bring_nothing(self, delta: bool) -> None:
        driver = Driver(*(make(name) for make in (cluster, endpoint) for name in "ab"), delta=delta)
        driver.ack(one(driver.say(CLUSTER, "a")), *() if delta else ("a",))
        driver.ack(one(driver.say(ENDPOINT, "a", "b")), *() if delta else ("a", "b"))
        said = driver.change(cluster("a", "2"), cluster("b", "2"))
        assert [each.values for each in said] == [["a 2"], ["a 1"]]

    def test_clusters_that_are_all_asked_for_again(self) -> None:
        driver = Driver(*(make(name) for make in (cluster, endpoint) for name in "ab"), delta=True)
        driver.ack(one(driver.say(CLUSTER)))
        driver.ack(one(driver.say(ENDPOINT, "a", "b")))
        assert [each.values for each in driver.say(CLUSTER, "*")] == [["a 1", "b 1"], ["a 1", "b 1"]]

    def test_a_stream_for_clusters_alone_waits_for_nothing(self, delta: bool) -> None:
        driver = Driver(cluster("a"), delta=delta, only_type=CLUSTER, policy=POLICY)
        driver.ack(one(driver.say(CLUSTER)))
        driver.ack(one(driver.change(cluster("a", "2"))))
        assert list(driver.stream.channels) == [CLUSTER]
        said = one(driver.change(removed=((CLUSTER, "a"),)))  # nor for routes that are on another stream
        assert (said.values, said.removed) == ([], ["a"] if delta else [])


class TestPartsOfWhatWasRefused:
    """State of the world: Envoy applies the good listeners of a response that it refuses, and goes on naming
    the version before."""

    def broken(self, *, answered: bool) -> Driver:
        driver = Driver(cluster("a"))
        driver.ack(one(driver.say(CLUSTER)))
        said = one(driver.change(cluster("a", "applied"), cluster("bad")))
        if answered:
            driver.say(CLUSTER, nonce=said.nonce, error="Error adding/updating cluster(s) bad: it is bad")
        driver.stream.end()
        driver.group.update([cluster("a")], [(CLUSTER, "bad")])
        return driver

    @pytest.mark.parametrize("answered", [False, True])
    def test_they_are_taken_back_on_the_next_stream(self, answered: bool) -> None:
        driver = self.broken(answered=answered)
        version = driver.group.effective.collection(CLUSTER).version
        successor = Driver(group=driver.group)
        said = one(successor.say(CLUSTER, version=version))
        assert said.values == ["a 1"]
        successor.ack(said)
        successor.stream.end()
        assert Driver(group=driver.group).say(CLUSTER, version=version) == []

    def test_also_if_it_is_back_before_the_break_is_seen(self) -> None:
        driver = Driver(cluster("a"))
        driver.ack(one(driver.say(CLUSTER)))
        driver.change(cluster("a", "applied"), cluster("bad"))
        driver.group.update([cluster("a")], [(CLUSTER, "bad")])
        version = driver.group.effective.collection(CLUSTER).version
        assert one(Driver(group=driver.group).say(CLUSTER, version=version)).values == ["a 1"]

    def test_another_client_is_believed(self) -> None:
        driver = self.broken(answered=True)
        version = driver.group.effective.collection(CLUSTER).version
        assert Driver(group=driver.group, node_id="other").say(CLUSTER, version=version) == []


class TestPartsOfWhatAnIncrementalClientRefused:
    """Envoy applies the good resources of a response that it refuses, and claims the versions of before."""

    HELD: ClassVar = {name: cluster(name).version for name in "ab"}

    def broken(self, *, answered: bool = True, ends: bool = True) -> Driver:
        """A client of two clusters: a changes and c comes, with one that is bad. The stream breaks, and the
        change is taken back."""
        driver = Driver(cluster("a"), cluster("b"), delta=True, policy=POLICY)
        driver.ack(one(driver.say(CLUSTER)))
        said = one(driver.change(cluster("a", "applied"), cluster("c"), cluster("bad")))
        if answered:
            error = ErrorDetail(13, "Error adding/updating cluster(s) bad: it is bad")
            driver.stream.receive(DeltaRequest(CLUSTER, nonce=said.nonce, error=error), driver.now)
        if ends:
            driver.stream.end()
        driver.group.update([cluster("a")], [(CLUSTER, "bad"), (CLUSTER, "c")])
        return driver

    def back(self, driver: Driver, node_id: str = "node") -> Driver:
        return Driver(group=driver.group, delta=True, policy=POLICY, node_id=node_id)

    @pytest.mark.parametrize("answered", [False, True])
    def test_they_are_taken_back_on_the_next_stream(self, answered: bool) -> None:
        driver = self.broken(answered=answered)
        self.back(driver).stream.end()  # it asked for nothing
        for _ in range(2):  # the answer to the first is lost
            successor = self.back(driver)
            said = one(successor.say(CLUSTER, initial_versions=self.HELD))
            assert said.values == ["a 1"]
            successor.stream.end()
        successor = self.back(driver)
        said = one(successor.say(CLUSTER, initial_versions=self.HELD))
        assert said.values == ["a 1"]
        successor.ack(said)
        removed = one(successor.wait(2))
        assert set(removed.removed) - {"bad"} == {"c"}, "it was not refused, so the client has it"
        successor.ack(removed)
        successor.stream.end()
        assert self.back(driver).say(CLUSTER, initial_versions=self.HELD) == []

    def test_also_if_it_is_back_before_the_break_is_seen(self) -> None:
        said = self.back(self.broken(ends=False)).say(CLUSTER, initial_versions=self.HELD)
        assert one(said).values == ["a 1"]

    def test_what_it_claims_in_the_version_that_was_sent_last_it_has(self) -> None:
        """It accepted the response, and the answer was lost."""
        driver = self.broken(answered=False)
        driver.group.update([cluster("a", "applied"), cluster("c"), cluster("bad")])
        held = {each.name: each.version for each in (cluster("a", "applied"), cluster("c"), cluster("bad"))}
        assert self.back(driver).say(CLUSTER, initial_versions={**self.HELD, **held}) == []

    def test_what_may_be_gone_is_sent_again(self) -> None:
        secrets = [Resource(SECRET, name, b"1") for name in "ab"]
        driver = Driver(*secrets, delta=True)
        driver.ack(one(driver.say(SECRET, "*")))
        said = one(driver.change(Resource(SECRET, "b", b"bad"), removed=((SECRET, "a"),)))
        assert (said.values, said.removed) == (["bad"], ["a"])
        driver.stream.end()
        driver.group.update(secrets)
        held = {each.name: each.version for each in secrets}
        assert one(self.back(driver).say(SECRET, "*", initial_versions=held)).values == ["1", "1"]

    def test_another_client_is_believed(self) -> None:
        other = self.back(self.broken(), node_id="other")
        assert other.say(CLUSTER, initial_versions=self.HELD) == []

    def test_an_ended_stream_is_not_kept_for_it(self) -> None:
        driver = self.broken()
        stream = weakref.ref(driver.stream)
        gc.disable()
        try:
            driver.stream = None
            assert stream() is None
        finally:
            gc.enable()


class TestStreamsThatBreak:
    NAMES = ("a", "b")

    def settled(self) -> Driver:
        """A client with two clusters and a secret."""
        resources = [make(name) for make in (cluster, endpoint) for name in self.NAMES]
        driver = Driver(*resources, Resource(SECRET, "s", b"s 1"), delta=True, policy=POLICY)
        for type_url, *names in ((CLUSTER,), (ENDPOINT, *self.NAMES), (SECRET, "s")):
            driver.ack(one(driver.say(type_url, *names)))
        return driver

    def test_everything_that_was_waited_for_is_sent_again(self) -> None:
        driver = self.settled()
        driver.change(*(cluster(name, "2") for name in self.NAMES))
        driver.stream.end()
        group = driver.group
        del driver  # the open stream would remember it too
        gc.collect()
        assert len(group.interrupted) == 1
        again = Driver(group=group, delta=True, policy=POLICY)
        held = {name: cluster(name, "2").version for name in self.NAMES}
        assert again.say(CLUSTER, initial_versions=held) == []
        held = {name: endpoint(name).version for name in self.NAMES}
        assert one(again.say(ENDPOINT, *self.NAMES, initial_versions=held)).values == ["a 1", "b 1"]

    def test_the_answer_for_another_type_warms_nothing(self) -> None:
        driver = self.settled()
        said = driver.change(cluster("a", "2"), Resource(SECRET, "s", b"s 2"))
        assert kinds(said) == ["Cluster", "ClusterLoadAssignment", "Secret"]
        driver.ack(said[2])
        driver.stream.end()
        assert len(driver.group.interrupted) == 1

    def test_the_order_of_responses_is_known_however_many_there_are(self) -> None:
        """Endpoints that were sent just before the cluster do not warm it, those sent just after it do."""
        driver = self.settled()
        for number in range(40):
            [in_flight] = driver.change(endpoint("a", str(number)))
            [clusters] = driver.change(cluster("a", str(number)))
            [behind] = driver.ack(in_flight)
            assert driver.stream._warming.children == {(ENDPOINT, "a")}
            driver.ack(behind)
            assert not driver.stream._warming
            driver.ack(clusters)

    def test_a_client_that_had_nothing_yet_leaves_nothing(self) -> None:
        """It will not claim to hold endpoints."""
        driver = Driver(cluster("a"), endpoint("a"), delta=True)
        driver.say(CLUSTER)
        driver.stream.end()
        assert len(driver.group.interrupted) == 0

    def test_a_client_that_claims_nothing_needs_nothing(self) -> None:
        """State of the world: all that it asks for is sent anew."""
        driver = Driver(cluster("a"), endpoint("a"))
        driver.ack(one(driver.say(CLUSTER)))
        driver.ack(one(driver.say(ENDPOINT, "a")), "a")
        assert len(driver.change(cluster("a", "2"))) == 2
        assert driver.stream._warming.children == frozenset()

    @pytest.mark.parametrize("options", [{"delta": False}, {"delta": True, "only_type": CLUSTER}])
    def test_what_is_left_is_for_a_stream_that_can_be_told(self, options: dict) -> None:
        driver = self.settled()
        driver.change(cluster("a", "2"))
        driver.stream.end()
        other = Driver(group=driver.group, policy=POLICY, **options)
        assert one(other.say(CLUSTER)).values == ["a 2", "b 1"]
        other.stream.end()
        assert driver.group.interrupted.begin("node", Warming()).children == {(ENDPOINT, "a")}


def test_acks_of_clusters_and_endpoints_do_not_keep_what_went_while_a_client_was_away() -> None:
    driver = Driver(cluster("b"), endpoint("b"), listener("l"), delta=True, policy=POLICY)
    held = {"a": cluster("a").version, "b": cluster("b").version}
    assert driver.say(CLUSTER, initial_versions=held) == []
    driver.ack(one(driver.say(LISTENER)))
    driver.ack(one(driver.say(ENDPOINT, "b")))
    driver.wait(1.5)
    driver.ack(one(driver.change(endpoint("b", "2"))))
    assert one(driver.wait(0.5)).removed == ["a"]


def test_what_went_while_a_client_was_away_goes_when_its_routes_are_accepted() -> None:
    """Not before, and not never, though they are accepted long after the grace time."""
    driver = Driver(listener("l"), route("r"), delta=True, policy=POLICY)
    assert driver.say(CLUSTER, initial_versions={"a": cluster("a").version}) == []
    driver.ack(one(driver.say(LISTENER)))
    routes = one(driver.say(ROUTE, "r"))
    assert driver.wait(9) == []
    assert driver.stream.deadline == 10.0  # that of the answer
    assert driver.ack(routes) == []
    assert driver.stream.deadline == 11.0
    assert one(driver.wait(2)).removed == ["a"]


class TestFallbacks:
    def test_who_waits_in_a_search_has_none(self) -> None:
        driver = Driver(
            *(endpoint(name) for name in "abcd"), delta=True, fallback=lambda t, n: Resource(t, n, b"empty")
        )
        said = one(driver.say(ENDPOINT, *"abcd"))
        trial = one(driver.say(ENDPOINT, nonce=said.nonce, error="something is bad"))
        assert trial.values == ["a 1", "b 1"]


class TestLimits:
    """Exactly so many are allowed."""

    def test_names_of_all_types_together(self, delta: bool) -> None:
        driver = Driver(delta=delta, max_names=3)
        driver.say(ENDPOINT, "a", "b")
        driver.say(ROUTE, "a")
        with pytest.raises(BadRequest, match="4 names are asked for on one stream; the limit is 3"):
            driver.say(SECRET, "a")

    def test_claims(self) -> None:
        driver = Driver(delta=True, max_names=2)
        driver.say(ENDPOINT, "a", initial_versions={"a": "1", "b": "1"})
        with pytest.raises(BadRequest, match="3 initial_resource_versions"):
            driver.say(ROUTE, "a", initial_versions=dict.fromkeys("abc", "1"))

    def test_the_length_of_a_type_url(self) -> None:
        Driver().say("x" * 1000)
        with pytest.raises(BadRequest, match="1001 characters"):
            Driver().say("x" * 1001)


class TestBytes:
    @pytest.mark.parametrize("parse", [wire.parse_sotw, wire.parse_delta])
    def test_what_is_no_request_is_refused(self, parse) -> None:
        with pytest.raises(BadRequest, match=r"cannot decode a .*DiscoveryRequest from 3 bytes"):
            parse(b"\xff\xff\xff")

    @pytest.mark.parametrize("length", [32_767, 32_768, 32_769])
    def test_an_error_is_kept_to_its_limit(self, length: int) -> None:
        message = wire.discovery_pb2.DiscoveryRequest()
        message.error_detail.message = "x" * length
        error = wire.parse_sotw(message.SerializeToString()).error
        assert error is not None
        assert error.message == ("x" * min(length, 32_768)) + (
            f"... ({length} characters)" if length > 32_768 else ""
        )

    def test_an_incremental_request_is_read_whole(self) -> None:
        message = wire.discovery_pb2.DeltaDiscoveryRequest(
            type_url=ENDPOINT,
            resource_names_subscribe=["a", "b"],
            resource_names_unsubscribe=["c", "d"],
            initial_resource_versions={"e": "1", "f": "2"},
            response_nonce="7",
        )
        request = wire.parse_delta(message.SerializeToString())
        assert request == wire.DeltaRequest(
            ENDPOINT, ("a", "b"), ("c", "d"), {"e": "1", "f": "2"}, "7", None, None
        )
        message.node.id = "me"
        message.error_detail.code = 13
        message.error_detail.message = "no"
        request = wire.parse_delta(message.SerializeToString())
        assert (request.node.id, request.error) == ("me", wire.ErrorDetail(13, "no"))

    def test_a_request_of_the_state_of_the_world_is_read_whole(self) -> None:
        message = wire.discovery_pb2.DiscoveryRequest(
            type_url=ENDPOINT, resource_names=["a", "b"], version_info="6", response_nonce="7"
        )
        request = wire.parse_sotw(message.SerializeToString())
        assert request == wire.SotwRequest(ENDPOINT, ("a", "b"), "6", "7", None, None)
        message.node.id = "me"
        assert wire.parse_sotw(message.SerializeToString()).node.id == "me"

    @pytest.mark.parametrize(
        "ttl", [timedelta(days=3, hours=1), timedelta(seconds=127), timedelta(milliseconds=1)]
    )
    def test_durations(self, ttl: timedelta) -> None:
        field = Resource(ROUTE, "r", b"", ttl=ttl).heartbeat_field(wrapped=False)
        [resource] = wire.discovery_pb2.DeltaDiscoveryResponse.FromString(field).resources
        assert resource.ttl.ToTimedelta() == ttl

    @pytest.mark.parametrize("length", [126, 127, 128, 16_383, 16_384])
    def test_lengths(self, length: int) -> None:
        [resource] = wire.discovery_pb2.DiscoveryResponse.FromString(
            Resource(ROUTE, "r", b"x" * length).sotw_field()
        ).resources
        assert len(resource.value) == length
        assert len(wire.varint(length)) == 1 + (length > 127) + (length > 16_383)

    def test_what_is_empty_is_not_written(self) -> None:
        assert wire.string(1, "") == b""
        assert len(wire.duration(1, timedelta(seconds=1))) == 4
        assert len(wire.duration(1, timedelta(microseconds=1))) == 5


def test_a_type_is_called_by_its_discovery_service_or_its_message() -> None:
    assert short_name(CLUSTER) == "CDS"
    assert short_name("type.googleapis.com/example.Unknown") == "example.Unknown"


def test_a_change_of_one_type_leaves_none_of_another_unsaid(delta: bool) -> None:
    """The second is made while the first is sent."""
    driver = Settled(delta)
    driver.group.update([endpoint("a", "2")])
    assert driver.stream.poll(driver.now) is not None
    driver.group.update([route("r", "2")])
    assert kinds(driver.listen()) == ["RouteConfiguration"]


class TestWhatIsKeptForAClient:
    def test_only_what_listeners_and_routes_may_use_is_kept_for_a_client_that_was_away(self) -> None:
        driver = Driver(policy=POLICY, delta=True)
        assert one(driver.say(LISTENER, initial_versions={"gone": "1"})).removed == ["gone"]

    def test_clusters_and_endpoints_that_went_while_it_was_away_go_together(self) -> None:
        driver = Driver(listener("l"), policy=POLICY, delta=True)
        assert driver.say(CLUSTER, initial_versions={"a": "1"}) == []
        assert driver.say(ENDPOINT, "a", initial_versions={"a": "1"}) == []
        driver.ack(one(driver.say(LISTENER)))
        said = driver.wait(2)
        assert [(each.type_url, each.removed) for each in said] == [(CLUSTER, ["a"]), (ENDPOINT, ["a"])]

    def test_listeners_and_routes_must_both_be_accepted(self, delta: bool) -> None:
        driver = Settled(delta)
        said = driver.change(listener("l", "2"), route("r", "2"), removed=((CLUSTER, "a"),))
        assert kinds(said) == ["RouteConfiguration", "Listener"]
        assert driver.accept(said[0]) == []
        assert driver.wait(5) == []
        assert driver.accept(said[1]) == []
        assert driver.wait(1.9) == []
        assert kinds(driver.wait(0.1)) == ["Cluster"]

    def test_what_a_cluster_on_its_way_will_make_it_ask_for(self, delta: bool) -> None:
        driver = Driver(cluster("a"), Resource(SECRET, "s", b"s 1"), delta=delta, policy=POLICY)
        driver.say(CLUSTER)
        assert driver.change(removed=((SECRET, "s"),)) == []
        assert one(driver.say(SECRET, "s")).values == ["s 1"]

    def test_not_what_no_cluster_of_its_can_need(self) -> None:
        driver = Driver(listener("l"), Resource(SECRET, "s", b"s 1"), delta=True, policy=POLICY)
        driver.say(LISTENER)
        assert driver.change(removed=((SECRET, "s"),)) == []
        assert one(driver.say(SECRET, "s")).removed == ["s"]

    def test_not_a_cluster_that_came_and_went_before_it_was_sent(self, delta: bool) -> None:
        driver = Driver(cluster("a"), delta=delta, policy=POLICY)
        said = one(driver.say(CLUSTER))
        assert driver.change(cluster("b")) == []
        assert driver.change(removed=((CLUSTER, "b"),)) == []
        assert driver.ack(said) == []
        assert driver.wait(60) == []


@pytest.mark.parametrize("policy", [POLICY, None])
def test_what_a_client_comes_back_with_is_what_it_can_go_back_to(policy) -> None:
    driver = Driver(cluster("a"), endpoint("a"), delta=True, policy=policy)
    assert driver.say(CLUSTER, initial_versions={"a": cluster("a").version}) == []
    assert driver.say(ENDPOINT, "a", initial_versions={"a": endpoint("a").version}) == []
    said = one(driver.change(endpoint("a", "bad")))
    assert driver.say(ENDPOINT, nonce=said.nonce, error="it is bad") == []
    assert [entry.replacement.value for entry in driver.group.rejected if entry.replacement] == [b"a 1"]


class TestWhatNeedsNoLook:
    """Most requests are answers after which nothing is due: that is known without a look at everything."""

    @pytest.mark.parametrize("policy", [POLICY, None])
    def test_an_acceptance_of_the_newest_state(self, delta: bool, policy) -> None:
        driver = Settled(delta, policy)
        [said] = driver.change(endpoint("a", "2"))
        if delta:
            request = wire.DeltaRequest(ENDPOINT, nonce=said.nonce)
        else:
            request = wire.SotwRequest(ENDPOINT, ("a",), nonce=said.nonce)
        driver.stream.receive(request, driver.now)
        assert driver.stream.quiet is True
        assert driver.listen() == []

    @pytest.mark.parametrize("policy", [POLICY, None])
    def test_a_client_that_comes_back_with_everything(self, policy) -> None:
        driver = Driver(cluster("a"), endpoint("a"), route("r"), delta=True, policy=policy)
        for resource in (cluster("a"), endpoint("a"), route("r")):
            held = {resource.name: resource.version}
            request = wire.DeltaRequest(resource.type_url, (resource.name,), initial_versions=held)
            driver.stream.receive(request, driver.now)
            assert driver.stream.quiet is (resource.type_url != CLUSTER)  # which is the first
            assert driver.listen() == []
            assert driver.stream.channels[resource.type_url].subscription.accepted is not None

    def test_not_an_acceptance_of_what_is_no_longer_the_newest(self, delta: bool) -> None:
        driver = Settled(delta)
        [said] = driver.change(endpoint("a", "2"))
        driver.group.update([endpoint("a", "3")])
        assert driver.stream.quiet is False
        assert one(driver.accept(said)).values == ["a 3"]
