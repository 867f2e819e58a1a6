"""Answers that come after the server has gone on without them."""

from math import inf

import pytest

from mizzen.xds import Acked, Rejected, Stuck
from mizzen.xds.type_urls import CLUSTER, ENDPOINT
from tests.unit.xds.xds_driver import Driver, cluster, endpoint


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def delta(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def names_bad(name: str) -> str:
    return f"Error adding/updating cluster(s) {name}: it is bad"


class Late(Driver):
    """Has clusters `a` and `b`, and did not answer for `bad` and `good` in time; then `later` was sent."""

    def __init__(self, *, delta: bool) -> None:
        super().__init__(cluster("a"), cluster("b"), delta=delta)
        self.ack(self.say(CLUSTER)[0])
        [self.first] = self.change(cluster("bad"), cluster("good"))
        assert self.wait(11) == []
        assert [type(event) for event in self.events].count(Stuck) == 1
        [self.second] = self.change(cluster("later"))
        self.events.clear()


def test_a_late_rejection_is_told_and_what_came_with_it_is_sent_again(delta: bool) -> None:
    driver = Late(delta=delta)
    assert driver.say(CLUSTER, nonce=driver.first.nonce, error=names_bad("bad")) == []
    rejected = next(event for event in driver.events if isinstance(event, Rejected))
    assert [resource.name for resource in rejected.culprits] == ["bad"]
    [again] = driver.ack(driver.second)
    assert "good 1" in again.values
    assert "bad 1" not in again.values
    assert driver.ack(again) == []
    assert [entry.resource.name for entry in driver.group.rejected] == ["bad"]


def test_a_late_rejection_does_not_answer_for_the_later_response(delta: bool) -> None:
    driver = Late(delta=delta)
    driver.say(CLUSTER, nonce=driver.first.nonce, error=names_bad("bad"))
    outstanding = driver.stream.channels[CLUSTER].subscription.outstanding
    assert outstanding is not None
    assert outstanding.nonce == driver.second.nonce
    assert driver.stream.channels[CLUSTER].deadline < inf  # it is still waited for


def test_a_late_acceptance_counts(delta: bool) -> None:
    driver = Late(delta=delta)
    driver.say(CLUSTER, nonce=driver.first.nonce)
    acked = next(event for event in driver.events if isinstance(event, Acked))
    assert (acked.version, acked.waited) == (driver.first.version, 11)
    accepted = driver.stream.channels[CLUSTER].subscription.accepted
    assert accepted is not None
    assert set(accepted) == {"a", "b", "bad", "good"}


def test_who_never_answered_may_mean_the_earlier_response() -> None:
    """In state of the world the later response repeats what the earlier one brought."""
    driver = Late(delta=False)
    driver.say(CLUSTER, nonce=driver.second.nonce, error=names_bad("bad"))
    rejected = next(event for event in driver.events if isinstance(event, Rejected))
    assert [resource.name for resource in rejected.culprits] == ["bad"]


def test_after_a_late_acceptance_only_the_later_response_can_be_meant(delta: bool) -> None:
    driver = Late(delta=delta)
    driver.say(CLUSTER, nonce=driver.first.nonce)
    driver.say(CLUSTER, nonce=driver.second.nonce, error="it does not say whom it means")
    rejected = next(event for event in driver.events if isinstance(event, Rejected))
    assert [resource.name for resource in rejected.culprits] == ["later"]


def test_an_answer_to_the_later_response_ends_the_wait_for_the_earlier(delta: bool) -> None:
    driver = Late(delta=delta)
    driver.ack(driver.second)
    driver.events.clear()
    driver.say(CLUSTER, nonce=driver.first.nonce, error=names_bad("bad"))
    assert driver.events == []


def test_names_of_a_late_answer_do_not_count_in_state_of_the_world() -> None:
    """Resource updates: its nonce is stale, and the client repeats its names with the newer response."""
    driver = Driver(endpoint("a"), endpoint("b"))
    [first] = driver.say(ENDPOINT, "a")
    driver.wait(11)
    [second] = driver.change(endpoint("a", "2"))
    assert driver.say(ENDPOINT, "b", nonce=first.nonce) == []
    assert driver.stream.channels[ENDPOINT].subscription.names == {"a"}
    assert driver.ack(second, "a", "b")[0].values == ["b 1"]


def test_only_so_many_are_remembered(delta: bool) -> None:
    driver = Driver(cluster("a"), delta=delta)
    driver.say(CLUSTER)
    for number in range(10):
        driver.wait(11)
        driver.change(cluster("a", str(number)))
    assert len(driver.stream.channels[CLUSTER].subscription.superseded) == 4


def test_those_before_the_one_that_is_answered_are_not_waited_for_and_those_behind_it_are(
    delta: bool,
) -> None:
    """Clients answer in order."""
    driver = Driver(cluster("a"), delta=delta)
    responses = driver.say(CLUSTER)
    for number in range(4):
        driver.wait(11)
        responses += driver.change(cluster(f"new-{number}"))
    subscription = driver.stream.channels[CLUSTER].subscription
    driver.ack(responses[2])
    assert [each.nonce for each in subscription.superseded] == [responses[3].nonce]
    assert set(subscription.accepted or ()) == {"a", "new-0", "new-1"}
    driver.events.clear()
    for answered in responses[:3]:
        driver.say(CLUSTER, nonce=answered.nonce, error=names_bad("a"))
    assert driver.events == []
    driver.ack(responses[3])
    assert subscription.superseded == ()
    assert subscription.outstanding is not None


class TestWhatARejectionMakesOwed:
    """Envoy applies either all but the culprits or nothing, and does not say which."""

    def test_what_went_is_said_again(self) -> None:
        driver = Driver(endpoint("a"), delta=True)
        [said] = driver.say(ENDPOINT, "a", "nobody")
        assert said.removed == ["nobody"]
        [again] = driver.say(ENDPOINT, nonce=said.nonce, error="a: it is bad")
        assert (again.values, again.removed) == ([], ["a", "nobody"])

    def test_what_went_is_said_again_though_the_rejection_comes_late(self) -> None:
        driver = Driver(cluster("a"), cluster("b"), delta=True)
        driver.ack(driver.say(CLUSTER)[0])
        [first] = driver.change(cluster("bad"), cluster("good"), removed=((CLUSTER, "b"),))
        assert first.removed == ["b"]
        driver.wait(11)
        [second] = driver.change(cluster("later"))
        assert (second.values, second.removed) == (["later 1"], [])
        driver.say(CLUSTER, nonce=first.nonce, error=names_bad("bad"))
        [again] = driver.ack(second)
        assert (again.values, again.removed) == (["good 1"], ["b", "bad"])

    @pytest.mark.parametrize("times", [1, 2])
    def test_what_went_while_the_client_was_away_is_said_again(self, times: int) -> None:
        """A client that drops a response whole has not heard of it."""
        driver = Driver(cluster("bad"), cluster("worse"), cluster("good"), delta=True)
        held = {"gone": "1", "good": cluster("good").version}
        [said] = driver.say(CLUSTER, initial_versions=held)
        assert said.removed == ["gone"]
        for name in ("bad", "worse")[:times]:
            [said] = driver.say(CLUSTER, nonce=said.nonce, error=names_bad(name))
            assert "gone" in said.removed
        assert driver.ack(said) == []

    def test_what_came_while_the_very_first_response_was_refused(self, delta: bool) -> None:
        """There is no earlier state to which it would be a difference."""
        driver = Driver(endpoint("bad"), delta=delta)
        [first] = driver.say(ENDPOINT, "bad", "late")
        assert first.values == ["bad 1"]
        assert driver.change(endpoint("late")) == []
        names = () if delta else ("bad", "late")
        [again] = driver.say(ENDPOINT, *names, nonce=first.nonce, error=names_bad("bad"))
        assert again.values == ["late 1"]
        assert driver.ack(again, *names) == []

    def test_the_same_for_the_wildcard_when_two_responses_are_refused(self, delta: bool) -> None:
        driver = Driver(endpoint("a"), delta=delta)
        [first] = driver.say(ENDPOINT)
        driver.wait(11)
        [second] = driver.change(endpoint("b"))
        assert driver.change(endpoint("late")) == []
        driver.say(ENDPOINT, nonce=first.nonce, error=names_bad("a"))
        [again] = driver.say(ENDPOINT, nonce=second.nonce, error=names_bad("b"))
        assert again.values == ["late 1"]

    def test_what_a_client_does_not_ask_for_is_taken_from_it_again(self) -> None:
        driver = Driver(endpoint("bad"), endpoint("b"), delta=True)
        [said] = driver.say(ENDPOINT, "bad", initial_versions={"b": endpoint("b").version})
        assert (said.values, said.removed) == (["bad 1"], ["b"])
        [again] = driver.say(ENDPOINT, nonce=said.nonce, error="bad: it is bad")
        assert sorted(again.removed) == ["b", "bad"]

    def test_what_came_back_meanwhile_is_not_taken_again(self) -> None:
        driver = Driver(cluster("bad"), delta=True)
        [first] = driver.say(CLUSTER, initial_versions={"gone": "1"})
        driver.wait(11)
        [second] = driver.change(cluster("gone"))
        assert (second.values, second.removed) == (["gone 1"], [])
        driver.say(CLUSTER, nonce=first.nonce, error=names_bad("bad"))
        [again] = driver.ack(second)
        assert (again.values, again.removed) == ([], ["bad"])

    def test_all_may_be_meant_where_all_was_sent_though_nothing_changed(self, delta: bool) -> None:
        driver = Driver(cluster("a"), cluster("b"), delta=delta)
        said = driver.say(CLUSTER)[0]
        driver.ack(said)
        [said] = driver.say(CLUSTER, "*", "a", nonce=said.nonce)
        if not delta:
            driver.ack(said, "a")
            [said] = driver.say(CLUSTER, "*", nonce=said.nonce)
        [again] = driver.say(CLUSTER, *() if delta else ("*",), nonce=said.nonce, error=names_bad("a"))
        [rejected] = [event for event in driver.events if isinstance(event, Rejected)]
        assert [resource.name for resource in rejected.culprits] == ["a"]
        assert (again.values, again.removed) == (["b 1"], ["a"] if delta else [])
