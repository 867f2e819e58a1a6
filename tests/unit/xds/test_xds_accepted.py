"""What a group remembers of that which its clients accepted, and what it goes back to."""

import pytest

from mizzen.xds import Resource, Snapshot
from mizzen.xds.accepted import Accepted
from mizzen.xds.group import Group
from mizzen.xds.snapshot import Collection
from mizzen.xds.type_urls import CLUSTER, ENDPOINT
from tests.unit.xds.xds_driver import Driver, cluster, endpoint

REFUSED = "Error adding/updating cluster(s) a: it is bad"


def snapshot(*collections: Collection) -> Snapshot:
    return Snapshot({each.type_url: each for each in collections})


def clusters(*resources: Resource) -> Collection:
    return Collection(CLUSTER, {resource.name: resource for resource in resources})


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def delta(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_groups_that_share_collections_each_remember_what_their_clients_accepted(delta: bool) -> None:
    old = clusters(cluster("a"), cluster("b"))
    new = old.updated([cluster("a", "2")], ())
    drivers = [Driver(group=Group(key, snapshot(old)), delta=delta) for key in ("first", "second")]
    for driver in drivers:
        [said] = driver.say(CLUSTER)
        driver.ack(said)
    for driver in drivers:
        driver.group.set(snapshot(new))
    answers = [driver.listen()[0] for driver in drivers]
    assert drivers[0].ack(answers[0]) == []
    # It keeps what it had, so there is nothing to say.
    assert drivers[1].say(CLUSTER, nonce=answers[1].nonce, error=REFUSED) == []
    late = Driver(group=drivers[1].group, delta=delta)
    assert late.say(CLUSTER)[0].values == ["a 1", "b 1"]
    # A refusal may depend on the machine of the client, so it concerns its group only.
    assert drivers[0].group.rejected == ()
    assert drivers[0].group.effective is drivers[0].group.snapshot
    newcomer = Driver(group=drivers[0].group, delta=delta)
    assert "a 2" in newcomer.say(CLUSTER)[0].values


def test_a_version_that_was_accepted_and_is_refused_later_gives_way_to_the_one_before(delta: bool) -> None:
    driver = Driver(cluster("a"), cluster("b"), delta=delta)
    driver.ack(driver.say(CLUSTER)[0])
    driver.ack(driver.change(cluster("a", "2"))[0])
    driver.ack(driver.change(cluster("b", "2"))[0])  # one more step, which does not touch it
    later = Driver(group=driver.group, delta=delta)
    [said] = later.say(CLUSTER)
    [said] = later.say(CLUSTER, nonce=said.nonce, error=REFUSED)
    assert "a 1" in said.values
    assert [entry.replacement.value for entry in driver.group.rejected if entry.replacement] == [b"a 1"]


def test_what_was_removed_is_forgotten(delta: bool) -> None:
    """The owner took it away: it does not come back when its successor is refused."""
    driver = Driver(cluster("a"), cluster("b"), delta=delta)
    driver.ack(driver.say(CLUSTER)[0])
    driver.ack(driver.change(cluster("a", "2"))[0])
    driver.ack(driver.change(removed=((CLUSTER, "a"),))[0])
    [said] = driver.change(cluster("a", "3"))
    again = driver.say(CLUSTER, nonce=said.nonce, error=REFUSED)
    assert not any("a " in value for each in again for value in each.values)
    assert [entry.replacement for entry in driver.group.rejected] == [None]


def test_what_was_removed_is_forgotten_though_state_of_the_world_cannot_say_so() -> None:
    driver = Driver(endpoint("a"), endpoint("b"))
    driver.ack(driver.say(ENDPOINT, "a", "b")[0], "a", "b")
    assert driver.change(removed=((ENDPOINT, "a"),)) == []
    [said] = driver.change(endpoint("a", "2"))
    driver.say(ENDPOINT, "a", "b", nonce=said.nonce, error="a: it is bad")
    assert [entry.replacement for entry in driver.group.rejected] == [None]


def test_only_what_a_client_asked_for_counts_as_accepted(delta: bool) -> None:
    """It accepts a response, and the response says nothing of the others."""
    driver = Driver(endpoint("a"), endpoint("b"), delta=delta)
    driver.ack(driver.say(ENDPOINT, "a")[0], *() if delta else ("a",))
    assert driver.change(endpoint("b", "2")) == []
    [said] = driver.say(ENDPOINT, *("b",) if delta else ("a", "b"), nonce="" if delta else "1")
    again = driver.say(ENDPOINT, *() if delta else ("a", "b"), nonce=said.nonce, error="b: it is bad")
    assert not any("b 1" in value for each in again for value in each.values)
    assert [entry.replacement for entry in driver.group.rejected] == [None]


def test_clients_that_ask_for_different_names_are_remembered_each(delta: bool) -> None:
    one = Driver(endpoint("a"), endpoint("b"), delta=delta)
    two = Driver(group=one.group, delta=delta)
    one.ack(one.say(ENDPOINT, "a")[0], *() if delta else ("a",))
    two.ack(two.say(ENDPOINT, "b")[0], *() if delta else ("b",))
    [said] = one.change(endpoint("a", "2"))
    again = one.say(ENDPOINT, *() if delta else ("a",), nonce=said.nonce, error="a: it is bad")
    assert [entry.replacement.value for entry in one.group.rejected if entry.replacement] == [b"a 1"]
    assert again == [] or again[0].values == ["a 1"]


def test_a_client_that_comes_back_goes_back_to_what_it_had(delta: bool) -> None:
    driver = Driver(cluster("a"), cluster("b"), delta=delta)
    driver.ack(driver.say(CLUSTER)[0])
    driver.group.update([cluster("a", "2")])  # while it is away
    back = Driver(group=driver.group, delta=delta)
    [said] = back.say(CLUSTER)
    [said] = back.say(CLUSTER, nonce=said.nonce, error=REFUSED)
    assert "a 1" in said.values
    assert "b 1" in said.values


def test_acks_and_changes_of_many_groups_share_what_they_remember() -> None:
    """A group must cost pointers, whatever the number of resources."""
    states = [clusters(*(cluster(str(number)) for number in range(100)))]
    for number in range(40):
        states.append(states[-1].updated([cluster("0", f"changed {number}")], ()))
    drivers = [Driver(group=Group(key, snapshot(states[0])), delta=True) for key in range(2)]
    for driver in drivers:
        driver.ack(driver.say(CLUSTER)[0])
    for state in states[1:]:
        for driver in drivers:
            driver.group.set(snapshot(state))
            driver.ack(driver.listen()[0])
    first, second = (driver.group.record(CLUSTER) for driver in drivers)
    assert first.states[0][1] is second.states[0][1] is states[-1]
    assert [id(former) for _, former in first.steps] == [id(former) for _, former in second.steps]
    assert len(first.steps) < 40


class TestTheRecord:
    """Of one type in one group, without its clients."""

    @staticmethod
    def versions(record: Accepted, name: str) -> list[str]:
        return [each.value.decode().partition(" ")[2] for each in record.versions(name)]

    @staticmethod
    def history(length: int) -> list[Collection]:
        """A resource that changes each time, beside one that never does."""
        states = [clusters(cluster("a", "0"), cluster("b", "0"))]
        for number in range(1, length):
            states.append(states[-1].updated([cluster("a", str(number))], ()))
        return states

    def test_the_newest_comes_first_and_the_way_back_has_an_end(self) -> None:
        record = Accepted()
        before = None
        for state in self.history(30):
            record.add(None, state, before, None)
            before = state
        assert self.versions(record, "a") == [str(number) for number in range(29, 12, -1)]
        assert self.versions(record, "b") == ["0"]

    def test_each_client_of_a_group_adds_what_it_asks_for(self) -> None:
        record = Accepted()
        [state] = self.history(1)
        for names in (frozenset("a"), frozenset("b")):
            record.add(names, state, None, None)
        assert self.versions(record, "a") == self.versions(record, "b") == ["0"]

    def test_and_the_step_that_it_took(self) -> None:
        """Both took the same one, and each had what it had asked for."""
        record = Accepted()
        old = clusters(cluster("a"), cluster("b"))
        new = old.updated([cluster("a", "2"), cluster("b", "2")], ())
        for names in (frozenset("a"), frozenset("b")):
            record.add(names, old, None, None)
        for names in (frozenset("a"), frozenset("b")):
            record.add(names, new, old, names)
        assert self.versions(record, "a") == self.versions(record, "b") == ["2", "1"]

    def test_a_step_is_kept_once_for_all_that_asked_for_the_same_or_less(self) -> None:
        record = Accepted()
        old, new = self.history(2)
        for names in (frozenset("ab"), frozenset("ab"), frozenset("a")):
            record.add(names, new, old, names)
        assert len(record.steps) == 1
        record.add(None, new, old, None)
        assert len(record.steps) == 2

    def test_nothing_that_changed_is_no_step(self) -> None:
        record = Accepted()
        old = clusters(cluster("a"))
        record.add(None, old, None, None)
        for state in (old, clusters(cluster("a"))):
            record.add(None, state, old, None)
        assert record.steps == ()

    def test_four_clients_that_ask_for_different_names_are_remembered(self) -> None:
        record = Accepted()
        state = clusters(*(cluster(name) for name in "abcdef"))
        for name in "abcdef":
            record.add(frozenset(name), state, None, None)
        assert [bool(self.versions(record, name)) for name in "abcdef"] == [False] * 2 + [True] * 4

    def test_who_comes_often_does_not_drive_out_the_others(self) -> None:
        record = Accepted()
        states = self.history(10)
        record.add(frozenset("b"), states[0], None, None)
        for state in states:
            record.add(frozenset("a"), state, None, None)
        assert self.versions(record, "b") == ["0"]
        record.add(frozenset("abc"), states[-1], None, None)
        record.add(None, states[-1], None, None)
        assert [names for names, _ in record.states] == [None]

    def test_what_a_client_was_told_is_gone_counts_before_what_others_had(self) -> None:
        record = Accepted()
        old = clusters(cluster("a"), cluster("b"))
        record.add(frozenset("ac"), old, None, None)
        assert self.versions(record, "a") == ["1"]
        record.add(frozenset("ab"), old.updated((), ["a"]), None, None)
        assert self.versions(record, "a") == []

    def test_who_comes_again_is_the_newest(self) -> None:
        record = Accepted()
        state = clusters(*(cluster(name) for name in "abcde"))
        names = {name: frozenset(name) for name in "abcde"}  # clients that ask for the same share the set
        for name in "abcdae":
            record.add(names[name], state, None, None)
        assert [bool(self.versions(record, name)) for name in "abcde"] == [True, False, True, True, True]

    def test_nor_is_anything_found_before_a_resource_came(self) -> None:
        record = Accepted()
        states = [clusters(cluster("a", "old"))]
        states.append(states[-1].updated((), ["a"]))
        states.append(states[-1].updated([cluster("a", "new")], ()))
        before = None
        for state in states:
            record.add(None, state, before, None)
            before = state
        assert self.versions(record, "a") == ["new"]

    def test_an_alias_is_a_name_too(self) -> None:
        old, new = (Resource(CLUSTER, "a", text, aliases=("x",)) for text in (b"a 1", b"a 2"))
        record = Accepted()
        first = clusters(old, cluster("b"))
        record.add(frozenset("x"), first, None, None)
        record.add(frozenset("x"), first.updated([new], ()), first, frozenset("x"))
        assert self.versions(record, "a") == ["2", "1"]
        assert self.versions(record, "b") == []
