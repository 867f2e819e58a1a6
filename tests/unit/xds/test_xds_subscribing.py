"""The rules of subscribing, one test each; the words in quotation marks are headings of the specification."""

import pytest

from mizzen.xds import Resource, Snapshot
from mizzen.xds.group import Group
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from mizzen.xds.wire import BadRequest, SotwRequest
from tests.unit.xds.xds_driver import Driver, cluster, endpoint, route


def one(said):
    assert len(said) == 1, said
    return said[0]


class TestBothTransports:
    @pytest.fixture(params=[False, True], ids=["sotw", "delta"])
    def delta(self, request):
        return request.param

    def test_first_request_without_names_is_the_wildcard(self, delta) -> None:
        driver = Driver(cluster("a"), cluster("b"), delta=delta)
        assert one(driver.say(CLUSTER)).values == ["a 1", "b 1"]

    def test_a_star_is_the_wildcard(self, delta) -> None:
        driver = Driver(cluster("a"), cluster("b"), delta=delta)
        assert one(driver.say(CLUSTER, "*")).values == ["a 1", "b 1"]
        subscription = driver.stream.channels[CLUSTER].subscription
        assert (subscription.wildcard, subscription.names) == (True, frozenset())

    def test_an_empty_wildcard_is_answered(self, delta) -> None:
        """Envoy waits for the first clusters before it does anything else."""
        assert one(Driver(delta=delta).say(CLUSTER)).values == []

    def test_only_what_is_asked_for_is_sent(self, delta) -> None:
        driver = Driver(endpoint("a"), endpoint("b"), delta=delta)
        assert one(driver.say(ENDPOINT, "a")).values == ["a 1"]

    def test_nothing_is_said_without_a_snapshot(self, delta) -> None:
        driver = Driver(delta=delta, group=Group("all"))
        assert driver.say(CLUSTER) == []
        driver.group.set(Snapshot.of([cluster("a")]))
        assert one(driver.listen()).values == ["a 1"]

    def test_an_ack_is_not_answered(self, delta) -> None:
        """When to send an update."""
        driver = Driver(cluster("a"), delta=delta)
        assert driver.ack(one(driver.say(CLUSTER))) == []

    def test_a_change_that_does_not_concern_the_client_is_not_sent(self, delta) -> None:
        driver = Driver(endpoint("a"), endpoint("b"), delta=delta)
        driver.ack(one(driver.say(ENDPOINT, "a")), *([] if delta else ["a"]))
        assert driver.change(endpoint("b", "2")) == []

    def test_the_same_content_is_not_sent_again(self, delta) -> None:
        driver = Driver(cluster("a"), delta=delta)
        driver.ack(one(driver.say(CLUSTER)))
        driver.group.set(Snapshot.of([cluster("a")]))
        assert driver.listen() == []

    def test_one_response_of_a_type_is_in_flight_and_the_newest_state_wins(self, delta) -> None:
        driver = Driver(endpoint("a"), delta=delta)
        first = one(driver.say(ENDPOINT, "a"))
        assert driver.change(endpoint("a", "2")) == []
        assert driver.change(endpoint("a", "3")) == []
        assert one(driver.ack(first, *([] if delta else ["a"]))).values == ["a 3"]

    def test_types_do_not_wait_for_each_other(self, delta) -> None:
        driver = Driver(cluster("a"), endpoint("a"), delta=delta)
        one(driver.say(CLUSTER))
        assert one(driver.say(ENDPOINT, "a")).values == ["a 1"]

    def test_nonces_are_unique(self, delta) -> None:
        driver = Driver(cluster("a"), endpoint("a"), delta=delta)
        said = [one(driver.say(CLUSTER)), one(driver.say(ENDPOINT, "a"))]
        driver.ack(said[0])
        said += driver.change(cluster("a", "2"))
        assert len({each.nonce for each in said}) == 3

    def test_a_missing_resource_is_remembered_and_sent_when_it_appears(self, delta) -> None:
        """Knowing When a Requested Resource Does Not Exist."""
        driver = Driver(delta=delta)
        for said in driver.say(ENDPOINT, "a"):
            assert said.removed == ["a"]
            driver.ack(said)
        assert one(driver.change(endpoint("a"))).values == ["a 1"]

    def test_a_fallback_answers_for_what_does_not_exist(self, delta) -> None:
        driver = Driver(delta=delta, fallback=lambda type_url, name: Resource(type_url, name, b"empty"))
        said = one(driver.say(ENDPOINT, "a"))
        assert (said.values, said.removed) == (["empty"], [])
        driver.ack(said, *([] if delta else ["a"]))
        assert one(driver.change(endpoint("a"))).values == ["a 1"]

    def test_a_fallback_does_not_replace_what_a_client_holds(self, delta) -> None:
        """A draining listener must not lose its routes because nobody else needs them any more."""
        driver = Driver(route("r"), delta=delta, fallback=lambda t, n: Resource(t, n, b"empty"))
        driver.ack(one(driver.say(ROUTE, "r")), *([] if delta else ["r"]))
        assert [each.values for each in driver.change(removed=((ROUTE, "r"),))] in ([], [[]])

    def test_a_resource_that_comes_back_is_sent_again(self, delta) -> None:
        driver = Driver(cluster("a"), delta=delta)
        driver.ack(one(driver.say(CLUSTER)))
        gone = one(driver.change(removed=((CLUSTER, "a"),)))
        assert gone.values == []
        driver.ack(gone)
        assert one(driver.change(cluster("a"))).values == ["a 1"]

    def test_a_name_and_its_alias_give_one_resource(self, delta) -> None:
        """Duplicate Resource Names; Resource names."""
        driver = Driver(Resource(ENDPOINT, "a", b"a 1", aliases=("also-a",)), delta=delta)
        assert one(driver.say(ENDPOINT, "a", "also-a")).values == ["a 1"]

    def test_an_alias_follows_its_resource(self, delta) -> None:
        driver = Driver(Resource(ENDPOINT, "a", b"a 1", aliases=("also-a",)), delta=delta)
        driver.ack(one(driver.say(ENDPOINT, "also-a")), *([] if delta else ["also-a"]))
        assert one(driver.change(Resource(ENDPOINT, "a", b"a 2", aliases=("also-a",)))).values == ["a 2"]

    def test_too_many_names_are_refused(self, delta) -> None:
        driver = Driver(delta=delta, max_names=2)
        with pytest.raises(BadRequest, match="the limit is 2"):
            driver.say(ENDPOINT, "a", "b", "c")

    def test_a_stream_for_one_type_serves_no_other(self, delta) -> None:
        driver = Driver(cluster("a"), delta=delta, only_type=CLUSTER)
        assert one(driver.say("")).values == ["a 1"]
        with pytest.raises(BadRequest, match="serves CDS"):
            driver.say(LISTENER)

    def test_the_aggregated_stream_needs_a_type(self, delta) -> None:
        with pytest.raises(BadRequest, match="type_url"):
            Driver(delta=delta).say("")


class TestStateOfTheWorld:
    def test_clusters_are_always_sent_complete(self) -> None:
        """Grouping Resources into Responses."""
        driver = Driver(cluster("a"), cluster("b"))
        driver.ack(one(driver.say(CLUSTER)))
        assert one(driver.change(cluster("a", "2"))).values == ["a 2", "b 1"]

    def test_endpoints_are_sent_as_they_change(self) -> None:
        driver = Driver(endpoint("a"), endpoint("b"))
        driver.ack(one(driver.say(ENDPOINT, "a", "b")), "a", "b")
        assert one(driver.change(endpoint("a", "2"))).values == ["a 2"]

    def test_a_missing_cluster_is_a_deletion(self) -> None:
        """Deleting Resources."""
        driver = Driver(cluster("a"), cluster("b"))
        driver.ack(one(driver.say(CLUSTER)))
        said = one(driver.change(removed=((CLUSTER, "a"),)))
        assert said.values == ["b 1"]
        driver.ack(said)
        assert one(driver.change(removed=((CLUSTER, "b"),))).values == []

    def test_endpoints_cannot_be_deleted(self) -> None:
        driver = Driver(endpoint("a"))
        driver.ack(one(driver.say(ENDPOINT, "a")), "a")
        assert driver.change(removed=((ENDPOINT, "a"),)) == []

    def test_a_request_with_a_stale_nonce_is_not_answered(self) -> None:
        """Resource updates."""
        driver = Driver(endpoint("a"), endpoint("b"))
        first = one(driver.say(ENDPOINT, "a"))
        driver.ack(first, "a")
        second = one(driver.change(endpoint("a", "2")))
        assert driver.say(ENDPOINT, "a", "b", nonce=first.nonce) == []
        assert driver.ack(second, "a") == []
        assert driver.say(ENDPOINT, "a", "b", nonce=first.nonce) == []
        assert one(driver.say(ENDPOINT, "a", "b", nonce=second.nonce)).values == ["b 1"]

    def test_new_names_at_an_accepted_response_are_answered(self) -> None:
        driver = Driver(endpoint("a"), endpoint("b"))
        first = one(driver.say(ENDPOINT, "a"))
        driver.ack(first, "a")
        assert one(driver.say(ENDPOINT, "a", "b", nonce=first.nonce)).values == ["b 1"]

    def test_fewer_names_are_not_answered(self) -> None:
        """Unsubscribing From Resources."""
        driver = Driver(endpoint("a"), endpoint("b"))
        first = one(driver.say(ENDPOINT, "a", "b"))
        assert driver.ack(first, "a") == []
        assert driver.change(endpoint("b", "2")) == []

    def test_a_name_that_is_asked_for_again_is_sent_again(self) -> None:
        """How the client specifies what resources to return: "must resend any newly requested resources"."""
        driver = Driver(endpoint("a"), endpoint("b"))
        first = one(driver.say(ENDPOINT, "a", "b"))
        driver.ack(first, "a")
        assert one(driver.say(ENDPOINT, "a", "b", nonce=first.nonce)).values == ["b 1"]

    def test_no_names_after_some_names_is_nothing(self) -> None:
        """How the client specifies what resources to return: the example, step by step."""
        driver = Driver(cluster("A"), cluster("B"))
        said = one(driver.say(CLUSTER))
        assert said.values == ["A 1", "B 1"]
        said = one(driver.ack(said, "*", "A"))
        assert said.values == ["A 1", "B 1"]
        for each in driver.ack(said, "A"):
            assert each.values == ["A 1"]
            said = each
        assert driver.say(CLUSTER, nonce=said.nonce) == []
        assert driver.change(cluster("A", "2"), cluster("B", "2")) == []

    def test_a_reconnecting_wildcard_client_is_not_sent_what_it_has(self) -> None:
        """ACK/NACK and resource type instance version."""
        version = one(Driver(cluster("a")).say(CLUSTER)).version
        again = Driver(cluster("a"))
        assert again.say(CLUSTER, version=version) == []
        assert one(again.change(cluster("a", "2"))).values == ["a 2"]

    def test_a_version_proves_nothing_for_names(self) -> None:
        version = one(Driver(cluster("a")).say(CLUSTER)).version
        assert one(Driver(cluster("a")).say(CLUSTER, "a", version=version)).values == ["a 1"]

    def test_a_nonce_of_another_stream_means_nothing(self) -> None:
        assert one(Driver(cluster("a")).say(CLUSTER, nonce="77")).values == ["a 1"]


class TestIncremental:
    def test_only_changes_are_sent(self) -> None:
        driver = Driver(cluster("a"), cluster("b"), delta=True)
        driver.ack(one(driver.say(CLUSTER)))
        said = one(driver.change(cluster("a", "2"), removed=((CLUSTER, "b"),)))
        assert (said.values, said.removed) == (["a 2"], ["b"])

    def test_names_and_versions_stand_beside_the_resources(self) -> None:
        said = one(Driver(cluster("a"), delta=True).say(CLUSTER))
        resource = said.message.resources[0]
        assert (resource.name, resource.version) == ("a", cluster("a").version)

    def test_a_missing_name_is_said_to_be_removed(self) -> None:
        assert one(Driver(delta=True).say(ENDPOINT, "a")).removed == ["a"]

    def test_a_subscription_counts_though_the_nonce_is_stale(self) -> None:
        """Incremental xDS: the note."""
        driver = Driver(endpoint("a"), endpoint("b"), delta=True)
        first = one(driver.say(ENDPOINT, "a"))
        driver.ack(first)
        second = one(driver.change(endpoint("a", "2")))
        assert driver.say(ENDPOINT, "b", nonce=first.nonce) == []
        assert one(driver.ack(second)).values == ["b 1"]

    def test_one_message_may_accept_and_subscribe(self) -> None:
        driver = Driver(endpoint("a"), endpoint("b"), delta=True)
        first = one(driver.say(ENDPOINT, "a"))
        assert one(driver.say(ENDPOINT, "b", nonce=first.nonce)).values == ["b 1"]
        assert driver.stream.channels[ENDPOINT].accepted_version == first.version

    def test_what_is_subscribed_again_is_sent_again(self) -> None:
        """Subscribing to Resources: the client may have forgotten it."""
        driver = Driver(endpoint("a"), delta=True)
        driver.ack(one(driver.say(ENDPOINT, "a")))
        assert one(driver.say(ENDPOINT, "a")).values == ["a 1"]

    def test_unsubscribing_needs_no_answer(self) -> None:
        driver = Driver(endpoint("a"), delta=True)
        driver.ack(one(driver.say(ENDPOINT, "a")))
        assert driver.say(ENDPOINT, unsubscribe=("a", "never-heard-of")) == []
        assert driver.change(endpoint("a", "2")) == []

    @pytest.mark.parametrize(("name", "values", "removed"), [("A", ["A 1"], []), ("X", [], ["X"])])
    def test_unsubscribing_a_name_under_the_wildcard_is_answered(self, name, values, removed) -> None:
        """Unsubscribing from Resources: the exception."""
        driver = Driver(cluster("A"), delta=True)
        driver.ack(one(driver.say(CLUSTER, "*", name)))
        said = one(driver.say(CLUSTER, unsubscribe=(name,)))
        assert (said.values, said.removed) == (values, removed)

    def test_the_wildcard_and_a_name_come_and_go(self) -> None:
        """How the client specifies what resources to return: the example, step by step."""
        driver = Driver(cluster("A"), cluster("B"), delta=True)
        driver.ack(one(driver.say(CLUSTER)))
        driver.ack(one(driver.say(CLUSTER, "A")))
        assert driver.say(CLUSTER, unsubscribe=("*",)) == []
        assert driver.change(cluster("B", "2")) == []
        driver.ack(one(driver.change(cluster("A", "2"))))
        driver.say(CLUSTER, unsubscribe=("A",))
        assert driver.change(cluster("A", "3"), cluster("B", "3")) == []

    def test_a_first_message_that_only_unsubscribes_is_not_the_wildcard(self) -> None:
        assert Driver(cluster("a"), delta=True).say(CLUSTER, unsubscribe=("x",)) == []

    def test_a_reconnecting_client_is_sent_the_difference(self) -> None:
        """Incremental xDS: initial_resource_versions."""
        driver = Driver(cluster("same"), cluster("changed", "2"), cluster("new"), delta=True)
        held = {"same": cluster("same").version, "changed": cluster("changed").version, "gone": "x"}
        said = one(driver.say(CLUSTER, initial_versions=held))
        assert (said.values, said.removed) == (["changed 2", "new 1"], ["gone"])

    def test_a_reconnecting_client_that_has_everything_is_sent_nothing(self) -> None:
        driver = Driver(cluster("a"), endpoint("a"), delta=True)
        assert driver.say(CLUSTER, initial_versions={"a": cluster("a").version}) == []
        assert driver.say(ENDPOINT, "a", initial_versions={"a": endpoint("a").version}) == []
        assert driver.stream.channels[CLUSTER].subscription.accepted is not None

    def test_endpoints_of_a_cluster_that_changed_meanwhile_are_sent_though_held(self) -> None:
        """Resource warming: the changed cluster waits for them, whether they changed or not."""
        driver = Driver(cluster("a", "2"), endpoint("a"), delta=True)
        one(driver.say(CLUSTER, initial_versions={"a": cluster("a").version}))
        said = one(driver.say(ENDPOINT, "a", initial_versions={"a": endpoint("a").version}))
        assert said.values == ["a 1"]

    def test_a_subscriber_to_everything_is_told_what_went_meanwhile(self) -> None:
        driver = Driver(cluster("a"), delta=True)
        driver.ack(one(driver.say(CLUSTER)))
        driver.group.update((), [(CLUSTER, "a")])
        assert one(driver.say(CLUSTER, "*")).removed == ["a"]


def test_clients_that_ask_for_the_same_share_the_set_of_names() -> None:
    group = Group("all", Snapshot.of([endpoint("a")]))
    drivers = [Driver(delta=True, group=group) for _ in range(2)]
    for driver in drivers:
        driver.say(ENDPOINT, *(f"name-{number}" for number in range(100)))
    first, second = (driver.stream.channels[ENDPOINT].subscription.names for driver in drivers)
    assert first is second


def test_a_wildcard_response_is_encoded_once_for_all() -> None:
    group = Group("all", Snapshot.of([cluster("a")]))
    streams = [Driver(group=group).stream for _ in range(2)]
    dialect = streams[0].dialect
    streams[1].dialect = dialect
    responses = []
    for stream in streams:
        stream.receive(SotwRequest(CLUSTER), 0)
        responses.append(stream.poll(0))
    assert responses[0].data is responses[1].data
