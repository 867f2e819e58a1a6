"""What a client is owed, where two things come together: several requests before an answer, a rejection that
asks for something too, names beside the wildcard."""

import pytest

from mizzen.xds import Resource, Snapshot
from mizzen.xds.group import Group
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, ROUTE, VIRTUAL_HOST
from tests.unit.xds.xds_driver import Driver, cluster, endpoint, route


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def delta(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def one(said):
    assert len(said) == 1, said
    return said[0]


def empty(type_url: str, name: str) -> Resource:
    return Resource(type_url, name, b"empty")


class TestBeforeThereIsAnAnswer:
    """Requests that come before the group has a snapshot."""

    def driver(self, delta: bool) -> Driver:
        return Driver(delta=delta, group=Group("all"))

    @pytest.mark.parametrize("names", [(), ("*",)])
    def test_the_wildcard_said_twice(self, delta: bool, names: tuple[str, ...]) -> None:
        driver = self.driver(delta)
        for _ in range(2):
            assert driver.say(ENDPOINT, *names) == []
        driver.group.set(Snapshot.of([endpoint("a")]))
        assert one(driver.listen()).values == ["a 1"]

    def test_names_that_are_added(self, delta: bool) -> None:
        driver = self.driver(delta)
        driver.say(ENDPOINT, "a")
        driver.say(ENDPOINT, "a", "b")
        driver.group.set(Snapshot.of([endpoint("a"), endpoint("b"), endpoint("c")]))
        assert one(driver.listen()).values == ["a 1", "b 1"]

    def test_names_that_are_given_up(self) -> None:
        driver = self.driver(False)
        driver.say(ENDPOINT, "a", "b")
        driver.say(ENDPOINT, "a")
        driver.group.set(Snapshot.of([endpoint("a"), endpoint("b")]))
        assert one(driver.listen()).values == ["a 1"]


class TestTypesOfWhichEverythingIsListed:
    """Grouping Resources into Responses: for a client that asks for some by name, everything is these."""

    def test_only_what_is_asked_for(self) -> None:
        assert one(Driver(cluster("a"), cluster("b")).say(CLUSTER, "a")).values == ["a 1"]

    def test_others_may_change_in_silence(self) -> None:
        driver = Driver(cluster("a"), cluster("b"), cluster("c"))
        driver.ack(one(driver.say(CLUSTER, "a", "c")), "a", "c")
        assert driver.change(cluster("b", "2")) == []
        assert driver.change(removed=((CLUSTER, "b"),)) == []
        assert one(driver.change(cluster("a", "2"), cluster("b", "3"))).values == ["a 2", "c 1"]

    def test_a_name_that_went_is_told_by_its_absence(self) -> None:
        driver = Driver(cluster("a"), cluster("b"))
        driver.ack(one(driver.say(CLUSTER, "a", "b")), "a", "b")
        assert one(driver.change(removed=((CLUSTER, "a"),))).values == ["b 1"]

    def test_so_is_one_that_lost_the_alias_by_which_it_was_asked_for(self) -> None:
        driver = Driver(Resource(CLUSTER, "a", b"a 1", aliases=("x",)), cluster("b"))
        driver.ack(one(driver.say(CLUSTER, "x", "b")), "x", "b")
        assert one(driver.change(cluster("a", "2"))).values == ["b 1"]

    def test_the_wildcard_after_names(self) -> None:
        driver = Driver(cluster("a"), cluster("b"))
        said = one(driver.say(CLUSTER, "a"))
        said = one(driver.ack(said, "*"))
        assert said.values == ["a 1", "b 1"]
        assert driver.ack(said, "*") == []

    def test_a_name_that_does_not_exist_has_a_fallback(self) -> None:
        driver = Driver(cluster("a"), fallback=empty)
        assert one(driver.say(CLUSTER, "a", "x")).values == ["a 1", "empty"]


class TestReconnecting:
    def test_a_version_of_another_time_proves_nothing(self) -> None:
        """ACK/NACK and resource type instance version."""
        version = one(Driver(cluster("a")).say(CLUSTER)).version
        assert one(Driver(cluster("a", "2")).say(CLUSTER, version=version)).values == ["a 2"]

    def test_a_version_proves_nothing_for_types_of_which_not_everything_is_listed(self) -> None:
        """It says what the last response brought, not what the client holds."""
        version = one(Driver(endpoint("a")).say(ENDPOINT)).version
        assert one(Driver(endpoint("a")).say(ENDPOINT, version=version)).values == ["a 1"]

    def test_what_a_client_claims_and_does_not_ask_for_is_taken_from_it(self) -> None:
        driver = Driver(endpoint("a"), endpoint("b"), delta=True)
        held = {name: endpoint(name).version for name in "ab"}
        said = one(driver.say(ENDPOINT, "a", initial_versions=held))
        assert (said.values, said.removed) == ([], ["b"])

    @pytest.mark.parametrize("held", [{"a": "old"}, {"a": cluster("a").version, "gone": "1"}])
    def test_it_has_accepted_nothing_before_it_accepts_the_difference(self, held: dict[str, str]) -> None:
        driver = Driver(cluster("a"), delta=True)
        said = one(driver.say(CLUSTER, initial_versions=held))
        subscription = driver.stream.channels[CLUSTER].subscription
        assert subscription.accepted is None
        driver.ack(said)
        assert subscription.accepted is not None

    def test_endpoints_of_clusters_that_did_not_change_are_believed(self) -> None:
        """Those of one that changed are sent, though it was spoken of before the client claimed them."""
        names = ("a", "b")
        driver = Driver(cluster("a", "2"), cluster("b"), *(endpoint(name) for name in names), delta=True)
        held = {name: cluster(name).version for name in names}
        assert one(driver.say(CLUSTER, initial_versions=held)).values == ["a 2"]
        held = {name: endpoint(name).version for name in names}
        assert one(driver.say(ENDPOINT, *names, initial_versions=held)).values == ["a 1"]


class TestARejectionThatSaysMore:
    """ "ACK and NACK semantics summary": names count whatever is said of the response."""

    def test_it_may_subscribe(self) -> None:
        driver = Driver(endpoint("a"), endpoint("b"), endpoint("c"), delta=True)
        said = one(driver.say(ENDPOINT, "a", "c"))
        again = one(driver.say(ENDPOINT, "b", nonce=said.nonce, error="a: it is bad; 'a'"))
        assert (again.values, again.removed) == (["b 1", "c 1"], ["a"])

    def test_what_it_gives_up_is_not_sent_again(self) -> None:
        driver = Driver(endpoint("a"), endpoint("b"), delta=True)
        said = one(driver.say(ENDPOINT, "a", "b"))
        assert driver.say(ENDPOINT, nonce=said.nonce, error="'a'", unsubscribe=("a", "b")) == []

    def test_nor_is_everything_when_it_gives_up_the_wildcard(self) -> None:
        driver = Driver(endpoint("a"), endpoint("b"), delta=True)
        said = one(driver.say(ENDPOINT, "*"))
        assert driver.say(ENDPOINT, nonce=said.nonce, error="'a'", unsubscribe=("*",)) == []

    def test_of_the_first_response_to_who_asks_by_an_alias(self) -> None:
        resources = [Resource(ROUTE, name, b"1", aliases=(alias,)) for name, alias in ("ax", "by")]
        driver = Driver(*resources, delta=True)
        said = one(driver.say(ROUTE, "x", "y"))
        again = one(driver.say(ROUTE, nonce=said.nonce, error="resource index 0: a: it is bad"))
        assert [each.name for each in again.message.resources] == ["b"]
        assert "x" in again.removed  # else it would go on waiting for what is not going to come


class TestNamesBesideTheWildcard:
    def test_names_that_are_given_up_one_after_the_other_are_all_answered(self) -> None:
        """Unsubscribing from Resources: the exception, while a response is in flight."""
        driver = Driver(cluster("a"), cluster("b"), delta=True)
        said = one(driver.say(CLUSTER, "*", "a", "x"))
        assert driver.say(CLUSTER, unsubscribe=("a",)) == []
        assert driver.say(CLUSTER, unsubscribe=("x",)) == []
        answer = one(driver.ack(said))
        assert (answer.values, answer.removed) == (["a 1"], ["x"])

    def test_a_name_that_is_given_up_has_no_fallback(self) -> None:
        driver = Driver(cluster("a"), delta=True, fallback=empty)
        driver.ack(one(driver.say(CLUSTER, "*", "x")))
        answer = one(driver.say(CLUSTER, unsubscribe=("x",)))
        assert (answer.values, answer.removed) == ([], ["x"])

    def test_a_name_that_does_not_exist_is_told_besides_all_there_is(self) -> None:
        said = one(Driver(endpoint("a"), delta=True).say(ENDPOINT, "*", "x"))
        assert (said.values, said.removed) == (["a 1"], ["x"])

    def test_who_asks_for_all_again_is_sent_what_did_not_change_too(self) -> None:
        driver = Driver(cluster("a"), cluster("b"), delta=True)
        driver.ack(one(driver.say(CLUSTER)))
        driver.group.update((), [(CLUSTER, "a")])
        said = one(driver.say(CLUSTER, "*"))
        assert (said.values, said.removed) == (["b 1"], ["a"])

    def test_a_star_that_is_repeated_with_each_acceptance_is_not_news(self) -> None:
        driver = Driver(endpoint("a"))
        said = one(driver.say(ENDPOINT, "*", "b"))
        assert driver.ack(said, "*", "b") == []
        assert driver.say(ENDPOINT, "*", "b", nonce=said.nonce) == []

    def test_endpoints_that_are_asked_for_by_the_wildcard_follow_their_clusters(self, delta: bool) -> None:
        """Resource warming."""
        driver = Driver(cluster("a"), endpoint("a"), endpoint("b"), delta=delta)
        driver.ack(one(driver.say(CLUSTER)))
        driver.ack(one(driver.say(ENDPOINT)))
        said = driver.change(cluster("a", "2"))
        assert [(each.type_url, each.values) for each in said] == [(CLUSTER, ["a 2"]), (ENDPOINT, ["a 1"])]


class TestIncrementalChanges:
    def test_what_others_lose_is_not_told(self) -> None:
        driver = Driver(endpoint("a"), endpoint("b"), delta=True)
        driver.ack(one(driver.say(ENDPOINT, "a")))
        said = one(driver.change(endpoint("a", "2"), removed=((ENDPOINT, "b"),)))
        assert (said.values, said.removed) == (["a 2"], [])

    def test_a_virtual_host_that_went_and_is_asked_for_again_is_removed_once(self) -> None:
        """Not by a resource without a body besides: Envoy refuses a name that is said twice."""
        host = Resource(VIRTUAL_HOST, "routes/x", b"x 1")
        driver = Driver(host, delta=True)
        driver.ack(one(driver.say(VIRTUAL_HOST, "routes/x")))
        driver.group.update((), [(VIRTUAL_HOST, "routes/x")])
        said = one(driver.say(VIRTUAL_HOST, "routes/x"))
        assert (list(said.message.resources), said.removed) == ([], ["routes/x"])

    def test_a_virtual_host_that_does_not_exist_may_have_a_fallback(self) -> None:
        said = one(Driver(delta=True, fallback=empty).say(VIRTUAL_HOST, "routes/x"))
        assert said.values == ["empty"]

    def test_a_route_that_goes_and_one_that_changes(self) -> None:
        driver = Driver(route("a"), route("b"), delta=True)
        driver.ack(one(driver.say(ROUTE, "a", "b")))
        said = one(driver.change(route("a", "2"), removed=((ROUTE, "b"),)))
        assert (said.values, said.removed) == (["a 2"], ["b"])

    def test_a_virtual_host_is_not_spoken_of_in_state_of_the_world(self) -> None:
        """The service has no such method; a type of which nothing exists is not answered."""
        assert Driver().say(VIRTUAL_HOST, "routes/x") == []

    @pytest.mark.parametrize(("names", "others"), [((), ()), (("a", "b"), ("a", "b", "c")), ((), ("a", "b"))])
    def test_a_change_is_encoded_once_for_all_that_ask_for_what_it_touches(self, names, others) -> None:
        group = Group("all", Snapshot.of([endpoint("a"), endpoint("b"), endpoint("c")]))
        drivers = [Driver(delta=True, group=group) for _ in range(2)]
        drivers[1].stream.dialect = drivers[0].stream.dialect
        for driver, asked in zip(drivers, (names, others), strict=True):
            driver.ack(one(driver.say(ENDPOINT, *asked)))
        group.update([endpoint("a", "2")], [(ENDPOINT, "b")])
        responses = [driver.stream.poll(0.0) for driver in drivers]
        assert responses[0].removed == ("b",)
        assert responses[0].data is responses[1].data
