"""The search for the bad one when a client refuses a response and names nobody."""

import pytest

from mizzen.xds import Recovered, Rejected, Resource
from mizzen.xds.isolation import Isolation
from mizzen.xds.snapshot import Collection
from mizzen.xds.type_urls import CLUSTER, ENDPOINT
from tests.unit.xds.xds_driver import Driver, Said, cluster, endpoint

NAMELESS = "Proto constraint validation failed"


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def delta(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def searching(*names: str) -> Isolation:
    isolation = Isolation()
    isolation.rejected(names)
    return isolation


class Picky(Driver):
    """Refuses each response that holds something bad, and does not say what it is."""

    rounds = 0

    def answer(self, said: list[Said], *names: str) -> None:
        """Answer all that comes until nothing comes any more."""
        while said:
            each = said.pop(0)
            self.rounds += 1
            bad = any(value.endswith("bad") for value in each.values)
            said += self.say(
                each.type_url, *() if self.delta else names, nonce=each.nonce, error=NAMELESS if bad else ""
            )

    @property
    def blamed(self) -> set[str]:
        return {
            resource.name
            for event in self.events
            if isinstance(event, Rejected)
            for resource in event.culprits
        }

    def holds(self, type_url: str) -> set[str]:
        accepted = self.stream.channels[type_url].subscription.accepted
        assert accepted is not None
        return {resource.value.decode() for resource in accepted.values()}


class TestTheSearch:
    def test_the_first_half_in_the_order_of_names_is_tried_first(self) -> None:
        isolation = searching("d", "b", "e", "a", "c")
        assert (isolation.on_trial, isolation.waiting) == ({"a", "b", "c"}, {"d", "e"})

    def test_a_refused_half_is_halved_and_what_waited_goes_on_waiting(self) -> None:
        isolation = searching(*"abcd")
        isolation.rejected("ab")
        assert (isolation.on_trial, isolation.waiting) == ({"a"}, {"b", "c", "d"})

    def test_nobody_is_tried_twice(self) -> None:
        """What was refused together with a later half, since it changed meanwhile, is tried now."""
        isolation = searching(*"abcd")
        isolation.rejected("abc")
        for expected in ({"a", "b"}, {"c"}, {"d"}):
            assert isolation.on_trial == expected
            isolation.accepted()
        assert not isolation.parts

    def test_what_was_accepted_makes_room_for_what_waits(self) -> None:
        isolation = searching(*"abcd")
        isolation.accepted()
        assert (isolation.on_trial, isolation.waiting) == ({"c", "d"}, set())
        isolation.accepted()
        assert not isolation.parts

    def test_what_was_tried_with_the_culprit_is_tried_without_it(self) -> None:
        isolation = searching(*"abcd")
        isolation.found(frozenset("a"))
        assert (isolation.on_trial, isolation.waiting) == ({"b"}, {"c", "d"})

    def test_nothing_is_left_of_a_part_that_was_all_to_blame(self) -> None:
        isolation = searching(*"abcd")
        isolation.found(frozenset("abd"))
        assert (isolation.on_trial, isolation.waiting) == ({"c"}, set())
        isolation.found(frozenset("c"))
        assert not isolation.parts

    def test_without_a_search_nothing_changes(self) -> None:
        isolation = Isolation()
        isolation.accepted()
        isolation.found(frozenset("a"))
        assert not isolation.parts
        assert (isolation.on_trial, isolation.waiting) == (frozenset(), frozenset())

    def test_what_waits_is_as_it_was_accepted_or_absent(self) -> None:
        old = cluster("c", "old")
        target = Collection(CLUSTER, {name: cluster(name) for name in "abcd"})
        allowed = searching(*"abcd").allowed(target, {"a": old, "c": old}.get)
        assert dict(allowed) == {"a": target["a"], "b": target["b"], "c": old}

    def test_with_nothing_waiting_all_is_allowed_as_it_is(self) -> None:
        """The same object, which says without a comparison that nothing differs."""
        target = Collection(CLUSTER, {name: cluster(name) for name in "ab"})
        isolation = searching("a", "b")
        isolation.accepted()
        assert isolation.allowed(target, {}.get) is target


@pytest.mark.parametrize("bad", [{0}, {1}, {7}, {8}, {15}, {3, 4}, {0, 15}, {12, 13, 14}], ids=str)
def test_whoever_is_bad_is_found_and_all_others_are_delivered(delta: bool, bad: set[int]) -> None:
    driver = Picky(cluster("a"), delta=delta)
    driver.answer(driver.say(CLUSTER))
    driver.rounds = 0
    new = [cluster(f"c{number:02}", "bad" if number in bad else "good") for number in range(16)]
    driver.answer(driver.change(*new))
    assert driver.blamed == {f"c{number:02}" for number in bad}
    assert driver.holds(CLUSTER) == {"a 1"} | {
        f"c{number:02} good" for number in range(16) if number not in bad
    }
    # Two answers for each halving, for the bad one and for the other half; the first refusal; the rest.
    assert driver.rounds <= len(bad) * 2 * 4 + 2


def test_a_search_among_changed_ones_leaves_their_last_versions_in_place(delta: bool) -> None:
    names = [f"e{number}" for number in range(4)]
    driver = Picky(*(endpoint(name) for name in names), delta=delta)
    driver.answer(driver.say(ENDPOINT, *names), *names)
    driver.answer(driver.change(*(endpoint(n, "bad" if n == "e1" else "good") for n in names)), *names)
    assert driver.blamed == {"e1"}
    assert driver.holds(ENDPOINT) == {"e0 good", "e1 1", "e2 good", "e3 good"}


def test_a_search_among_what_was_only_asked_for_again(delta: bool) -> None:
    """Nothing changed, so nothing but the search itself knows that the other half is owed."""
    names = ("e0", "e1", "e2", "e3")
    driver = Picky(*(endpoint(name) for name in ("e0", "e2", "e3")), endpoint("e1", "bad"), delta=delta)
    [said] = driver.say(ENDPOINT, *names)
    seen: set[str] = set()
    while said is not None:
        if "e1 bad" not in said.values:
            seen.update(said.values)
        error = NAMELESS if "e1 bad" in said.values else ""
        answers = driver.say(ENDPOINT, *() if delta else names, nonce=said.nonce, error=error)
        said = answers[0] if answers else None
    assert seen == {"e0 1", "e2 1", "e3 1"}
    assert driver.blamed == {"e1"}


def test_a_half_that_went_meanwhile_is_passed_over(delta: bool) -> None:
    """The owner takes away what is on trial: what waits gets its turn."""
    driver = Picky(cluster("a"), delta=delta)
    driver.answer(driver.say(CLUSTER))
    [said] = driver.change(*(cluster(f"c{number}") for number in range(4)))
    [trial] = driver.say(CLUSTER, nonce=said.nonce, error=NAMELESS)
    assert {value for value in trial.values if value != "a 1"} == {"c0 1", "c1 1"}
    driver.group.update((), [(CLUSTER, "c0"), (CLUSTER, "c1")])
    driver.answer(driver.say(CLUSTER, nonce=trial.nonce, error=NAMELESS))
    assert driver.holds(CLUSTER) == {"a 1", "c2 1", "c3 1"}
    assert driver.blamed == set()


def test_the_status_tells_of_the_refusal_until_the_search_is_over(delta: bool) -> None:
    driver = Picky(cluster("a"), delta=delta)
    driver.answer(driver.say(CLUSTER))
    [said] = driver.change(cluster("b"), cluster("c"))
    [trial] = driver.say(CLUSTER, nonce=said.nonce, error=NAMELESS)
    channel = driver.stream.channels[CLUSTER]
    assert channel.nack is not None
    assert (channel.nack.names, channel.nack.message) == (("b", "c"), NAMELESS)
    [rest] = driver.ack(trial)
    assert channel.nack is not None
    driver.ack(rest)
    assert channel.nack is None


def test_whom_a_search_suspects_is_told(delta: bool) -> None:
    driver = Picky(cluster("a"), delta=delta)
    driver.answer(driver.say(CLUSTER))
    driver.answer(driver.change(cluster("b", "bad"), cluster("c")))
    events = [event for event in driver.events if isinstance(event, Rejected)]
    told = [({r.name for r in each.culprits}, {r.name for r in each.suspects}) for each in events]
    assert told == [(set(), {"b", "c"}), ({"b"}, set())]


def test_a_refused_version_of_two_types_is_each_types_own(delta: bool) -> None:
    """Names are unique within a type only."""
    driver = Picky(cluster("a", "bad"), cluster("b"), endpoint("a", "fine"), delta=delta)
    driver.answer(driver.say(CLUSTER))
    driver.answer(driver.say(ENDPOINT, "a"), "a")
    assert driver.blamed == {"a"}
    assert driver.holds(ENDPOINT) >= {"a fine"}
    assert isinstance(driver.group.rejected[0].resource, Resource)


def test_the_other_half_of_fallbacks_comes_too(delta: bool) -> None:
    """They are no resources of the group, so no difference between two states says that they are owed."""
    names = ("a", "b", "c", "d")
    driver = Picky(
        delta=delta,
        fallback=lambda type_url, name: Resource(
            type_url, name, f"{name} {'bad' if name == 'a' else 'good'}".encode()
        ),
    )
    held: set[str] = set()
    said = driver.say(ENDPOINT, *names)
    while said:
        each = said.pop(0)
        bad = "a bad" in each.values
        held |= set() if bad else set(each.values)
        error = NAMELESS if bad else ""
        said += driver.say(ENDPOINT, *() if delta else names, nonce=each.nonce, error=error)
    assert driver.blamed == {"a"}
    assert held == {"b good", "c good", "d good"}


def test_an_acceptance_ends_a_refusal_though_the_refused_one_is_still_wanted(delta: bool) -> None:
    """What is shown is the last answer; what is held back is shown beside it."""
    driver = Picky(cluster("a"), delta=delta)
    driver.answer(driver.say(CLUSTER))
    [said] = driver.change(cluster("bad"), cluster("good"))
    [rest] = driver.say(CLUSTER, nonce=said.nonce, error="Error adding/updating cluster(s) bad: it is bad")
    channel = driver.stream.channels[CLUSTER]
    assert channel.nack is not None
    driver.ack(rest)
    assert channel.nack is None
    assert [entry.resource.name for entry in driver.group.rejected] == ["bad"]
    assert not any(isinstance(event, Recovered) for event in driver.events)


def test_a_part_that_went_before_its_turn_ends_the_search(delta: bool) -> None:
    driver = Picky(cluster("a"), delta=delta)
    driver.answer(driver.say(CLUSTER))
    [said] = driver.change(cluster("b"), cluster("c"))
    [trial] = driver.say(CLUSTER, nonce=said.nonce, error=NAMELESS)
    driver.group.update((), [(CLUSTER, "c")])
    driver.answer(driver.ack(trial))
    channel = driver.stream.channels[CLUSTER]
    assert not channel.isolation.parts
    assert channel.nack is None
    assert driver.holds(CLUSTER) == {"a 1", "b 1"}


def test_what_is_given_up_before_its_turn_is_not_spoken_of() -> None:
    names = ("e0", "e1", "e2", "e3")
    driver = Picky(*(endpoint(name) for name in names), delta=True)
    [said] = driver.say(ENDPOINT, *names)
    [trial] = driver.say(ENDPOINT, nonce=said.nonce, error=NAMELESS)
    assert (trial.values, trial.removed) == (["e0 1", "e1 1"], ["e2", "e3"])
    [rest] = driver.say(ENDPOINT, nonce=trial.nonce, unsubscribe=("e3",))
    assert (rest.values, rest.removed) == (["e2 1"], [])


def test_the_same_where_nothing_can_be_said_of_what_went(delta: bool) -> None:
    """State of the world: no response, and so no answer, ends the search."""
    names = ("a", "b", "c")
    driver = Picky(endpoint("a"), delta=delta)
    driver.answer(driver.say(ENDPOINT, *names), *names)
    [said] = driver.change(endpoint("b"), endpoint("c"))
    asked = () if delta else names
    [trial] = driver.say(ENDPOINT, *asked, nonce=said.nonce, error=NAMELESS)
    driver.group.update((), [(ENDPOINT, "c")])
    driver.answer(driver.ack(trial, *asked), *names)
    channel = driver.stream.channels[ENDPOINT]
    assert not channel.isolation.parts
    assert channel.nack is None
    assert driver.holds(ENDPOINT) == {"a 1", "b 1"}


@pytest.mark.parametrize("quality", ["bad", "good"])
def test_what_changes_while_the_search_goes_on_may_be_to_blame_as_well(delta: bool, quality: str) -> None:
    """Else whoever is on trial alone would be blamed for it."""
    driver = Picky(cluster("a"), delta=delta)
    driver.answer(driver.say(CLUSTER))
    [said] = driver.change(cluster("b"), cluster("c", "bad"))
    driver.group.update([cluster("z", quality)])
    driver.answer(driver.say(CLUSTER, nonce=said.nonce, error=NAMELESS))
    assert driver.blamed == {"c"} | ({"z"} if quality == "bad" else set())
    assert driver.holds(CLUSTER) == {"a 1", "b 1"} | ({"z good"} if quality == "good" else set())


@pytest.mark.parametrize("bad", "bc")
def test_what_was_accepted_before_the_search_began_says_nothing_of_who_is_on_trial(
    delta: bool, bad: str
) -> None:
    """The refusal came late, when another response was in flight already: it brought nothing of the first."""
    driver = Picky(*(endpoint(name, "bad" if name == bad else "1") for name in "bc"), delta=delta)
    [first] = driver.say(ENDPOINT)
    assert driver.wait(11) == []
    [second] = driver.change(endpoint("z"))
    assert second.values == ["z 1"]
    assert driver.say(ENDPOINT, nonce=first.nonce, error=NAMELESS) == []
    trial = driver.ack(second)
    assert driver.holds(ENDPOINT) == {"z 1"}
    assert [said.values for said in trial] == [["b bad" if bad == "b" else "b 1"]]
    driver.answer(trial)
    assert driver.blamed == {bad}
    assert driver.holds(ENDPOINT) == {"b 1", "c 1", "z 1"} - {f"{bad} 1"}
