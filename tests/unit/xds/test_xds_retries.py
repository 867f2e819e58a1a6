"""What a client refused is tried again: the cause may have been outside of it, and be gone."""

from itertools import pairwise
from math import inf

import pytest

from mizzen.xds import Acked, Rejected, Resource, Snapshot, Stuck
from mizzen.xds.group import Group
from mizzen.xds.retries import APART, FIRST, LONGEST, Retry
from mizzen.xds.type_urls import CLUSTER, LISTENER, ROUTE, SECRET
from tests.unit.xds.xds_driver import POLICY, Driver, Said, cluster, endpoint, route

BUSY = "Error adding/updating listener(s) busy: cannot bind '127.0.0.1:80': Address already in use"
SPREAD = 1.5


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def delta(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def listener(name: str, text: str = "1") -> Resource:
    return Resource(LISTENER, name, f"{name} {text}".encode())


def refusing(delta: bool, *resources: Resource, **options: object) -> Driver:
    """Return a client that holds a listener and refused another, whose port is taken."""
    driver = Driver(cluster("a"), endpoint("a"), listener("good"), *resources, delta=delta, **options)
    for said in driver.say(CLUSTER):
        driver.ack(said)
    [said] = driver.say(LISTENER)
    driver.ack(said)
    refuse(driver, driver.change(listener("busy")))
    return driver


def refuse(driver: Driver, said: list[Said]) -> None:
    assert "busy 1" in said[0].values
    for again in driver.say(LISTENER, nonce=said[0].nonce, error=BUSY):
        driver.ack(again)


def rejections(driver: Driver) -> list[Rejected]:
    return [event for event in driver.events if isinstance(event, Rejected)]


def test_it_is_tried_again_and_accepted_when_the_cause_is_gone(delta: bool) -> None:
    driver = refusing(delta)
    assert driver.wait(FIRST - 0.1) == []
    [again] = driver.wait(FIRST)
    assert again.values == (["busy 1"] if delta else ["busy 1", "good 1"])
    assert again.removed == []
    assert driver.ack(again) == []
    assert driver.group.rejected == ()
    assert driver.group.effective is driver.group.snapshot
    assert driver.stream.channels[LISTENER].nack is None
    recovered = driver.events[-1]
    assert isinstance(recovered, Acked)
    assert recovered.recovered is not None
    assert (recovered.recovered.resource.name, recovered.recovered.message) == ("busy", BUSY)
    assert driver.wait(10 * LONGEST) == []


def test_as_long_as_it_is_refused_nothing_else_is_sent_and_the_attempts_become_rare(delta: bool) -> None:
    driver = refusing(delta)
    moments = [driver.now]
    while driver.now < 20 * LONGEST:
        deadline = driver.stream.deadline
        assert deadline is not None
        said = driver.wait(deadline - driver.now)
        if said:
            moments.append(driver.now)
            assert driver.say(LISTENER, nonce=said[0].nonce, error=BUSY) == []
            [held] = driver.group.rejected
            assert held.retry.rejections == len(moments)
    pauses = [after - before for before, after in pairwise(moments)]
    assert FIRST <= pauses[0] <= FIRST * SPREAD
    assert pauses == sorted(pauses)
    assert LONGEST <= pauses[-1] <= LONGEST * SPREAD
    assert [event.retried for event in rejections(driver)] == [False] + [True] * (len(moments) - 1)


def test_what_stands_in_for_it_stays_until_it_is_accepted(delta: bool) -> None:
    driver = refusing(delta)
    [again] = driver.wait(FIRST * SPREAD)
    driver.ack(again)
    [said] = driver.change(listener("busy", "2"))
    for replacement in driver.say(LISTENER, nonce=said.nonce, error=BUSY):
        assert "busy 1" in replacement.values
        driver.ack(replacement)
    [again] = driver.wait(FIRST * SPREAD)
    assert "busy 2" in again.values
    assert driver.say(LISTENER, nonce=again.nonce, error=BUSY) == []
    [held] = driver.group.rejected
    assert held.replacement is not None
    assert held.replacement.value == b"busy 1"
    [again] = driver.wait(2 * FIRST * SPREAD)
    driver.ack(again)
    assert driver.group.rejected == ()


def test_only_the_client_that_refused_it_is_asked_and_all_get_it_when_it_accepts(delta: bool) -> None:
    driver = refusing(delta)
    other = Driver(group=driver.group, delta=delta, node_id="other")
    [first] = other.say(LISTENER)
    assert first.values == ["good 1"]
    other.ack(first)
    assert other.wait(LONGEST) == []
    [again] = driver.wait(FIRST * SPREAD)
    assert other.listen() == []
    driver.ack(again)
    [news] = other.listen()
    assert "busy 1" in news.values


def test_the_next_stream_of_the_client_goes_on_trying(delta: bool) -> None:
    driver = refusing(delta)
    driver.stream.end()
    successor = Driver(group=driver.group, delta=delta)
    [first] = successor.say(LISTENER)
    assert first.values == ["good 1"]
    successor.ack(first)
    [again] = successor.wait(FIRST * SPREAD)
    assert "busy 1" in again.values


def test_a_changed_one_is_tried_at_once_and_the_old_version_no_more(delta: bool) -> None:
    driver = refusing(delta)
    [said] = driver.change(listener("busy", "2"))
    assert "busy 2" in said.values
    assert driver.ack(said) == []
    assert driver.wait(10 * LONGEST) == []


def test_a_change_goes_first(delta: bool) -> None:
    """What was refused is tried when nothing else is due."""
    driver = refusing(delta, policy=POLICY)
    driver.now += FIRST * SPREAD
    driver.group.update([cluster("b"), endpoint("b")])
    said = driver.listen()
    assert [each.type_url for each in said] == [CLUSTER]
    [again] = driver.ack(said[0])
    assert again.type_url == LISTENER
    assert "busy 1" in again.values


def test_many_are_tried_one_at_a_time(delta: bool) -> None:
    names = [f"busy{number}" for number in range(20)]
    driver = Driver(listener("good"), *map(listener, names), delta=delta)
    [said] = driver.say(LISTENER)
    error = "Error adding/updating listener(s) " + "\n".join(f"{name}: it is bad" for name in names)
    for again in driver.say(LISTENER, nonce=said.nonce, error=error):
        driver.ack(again)
    while driver.now < FIRST * SPREAD + 20 * APART:
        for said in driver.wait(APART / 2):
            assert sum(value.startswith("busy") for value in said.values) == 1
            driver.say(LISTENER, nonce=said.nonce, error="it is bad")
    assert len(rejections(driver)) <= 1 + 21
    assert {event.culprits[0].name for event in rejections(driver)[1:]} == set(names)


def test_an_attempt_that_is_not_answered_is_taken_back(delta: bool) -> None:
    driver = refusing(delta)
    [again] = driver.wait(FIRST * SPREAD)
    said = driver.wait(POLICY.answer_timeout.total_seconds())
    assert any(isinstance(event, Stuck) for event in driver.events)
    assert [(each.values, each.removed) for each in said] == [([], ["busy"]) if delta else (["good 1"], [])]
    assert driver.ack(again) == []
    assert [held.resource.name for held in driver.group.rejected] == ["busy"]
    driver.ack(said[0])
    assert driver.wait(LONGEST * SPREAD)[0].values[0] == "busy 1"


def test_a_cluster_that_is_tried_again_gets_its_endpoints(delta: bool) -> None:
    driver = Driver(cluster("a"), endpoint("a"), delta=delta, policy=POLICY)
    [said] = driver.say(CLUSTER)
    error = "Error adding/updating cluster(s) a: no such file"
    for rest in driver.say(CLUSTER, nonce=said.nonce, error=error):
        driver.ack(rest)
    [again] = driver.wait(FIRST * SPREAD)
    assert again.values == ["a 1"]
    [endpoints] = driver.say(type_url := endpoint("a").type_url, "a")
    assert endpoints.values == ["a 1"]
    driver.say(type_url, *() if delta else ("a",), nonce=endpoints.nonce)
    driver.ack(again)
    assert driver.group.rejected == ()


def test_what_is_not_asked_for_is_not_tried(delta: bool) -> None:
    driver = Driver(route("r"), route("s"), delta=delta)
    [said] = driver.say(ROUTE, "r", "s")
    for rest in driver.say(ROUTE, *() if delta else ("r", "s"), nonce=said.nonce, error="'r' is bad"):
        driver.ack(rest, *() if delta else ("r", "s"))
    nonce = driver.stream.channels[ROUTE].subscription.nonce
    if delta:
        driver.say(ROUTE, nonce="", unsubscribe=("r",))
    else:
        driver.say(ROUTE, "s", nonce=nonce)
    assert driver.wait(LONGEST) == []
    assert driver.stream.deadline == inf


def test_clients_that_refused_the_same_in_one_moment_do_not_come_back_in_one() -> None:
    moments = {Retry().rejected(f"sidecar~{number}", 0.0).at for number in range(100)}
    assert len(moments) == 100
    assert FIRST <= min(moments) < 1.1 * FIRST
    assert 1.4 * FIRST < max(moments) <= SPREAD * FIRST


def test_a_group_whose_snapshot_is_set_anew_goes_on_waiting() -> None:
    group = Group("all", Snapshot.of([listener("busy")]))
    group.reject([listener("busy")], BUSY, "node", 10.0)
    group.set(Snapshot.of([listener("busy"), listener("good")]))
    [held] = group.rejected
    assert (held.retry.client, held.retry.rejections) == ("node", 1)
    assert held.retry.at >= 10.0 + FIRST


def test_a_client_never_sees_the_bytes_again_that_it_refused_last(delta: bool) -> None:
    """It may take what it refused for taken, without trying it, when the same bytes come again."""
    other = Resource(LISTENER, "busy", b"busy 1, in other bytes")
    driver = Driver(listener("good"), delta=delta)
    [said] = driver.say(LISTENER)
    driver.ack(said)
    [first] = driver.change(Resource(LISTENER, "busy", b"busy 1", again=other))
    seen = [first.values]
    said = first
    for refusals in (1, 2):
        for back in driver.say(LISTENER, nonce=said.nonce, error=BUSY):
            driver.ack(back)
        [held] = driver.group.rejected
        assert (held.resource.value, held.retry.rejections) == (b"busy 1", refusals)
        [said] = driver.wait(LONGEST * SPREAD)
        seen.append(said.values)
    assert ["busy 1" in each for each in seen] == [True, False, True]
    assert ["busy 1, in other bytes" in each for each in seen] == [False, True, False]

    for back in driver.say(LISTENER, nonce=said.nonce, error=BUSY):
        driver.ack(back)
    [said] = driver.wait(LONGEST * SPREAD)
    [plain] = driver.ack(said)
    assert "busy 1" in plain.values, "all clients of the group get the first form"
    assert driver.ack(plain) == []
    assert driver.group.rejected == ()


class TestWhatNobodyRemembersThatItWasRefused:
    """The server was restarted. The client would take the bytes that it refused last without trying them."""

    def files(self, name: str) -> Resource:
        other = Resource(SECRET, name, f"{name} in other bytes".encode())
        return Resource(SECRET, name, f"{name} 1".encode(), again=other)

    def driver(self, delta: bool) -> Driver:
        return Driver(self.files("a"), self.files("b"), Resource(SECRET, "c", b"c 1"), delta=delta)

    def test_a_client_that_comes_is_sent_both_forms(self, delta: bool) -> None:
        driver = self.driver(delta)
        [probe] = driver.say(SECRET, "a", "b", "c")
        assert probe.values == ["a in other bytes", "b in other bytes", "c 1"]
        names = () if delta else ("a", "b", "c")
        [said] = driver.ack(probe, *names)
        assert said.values == ["a 1", "b 1"]
        assert driver.ack(said, *names) == []
        assert driver.stream.deadline == inf

    def test_what_it_refuses_of_the_first_it_may_refuse_of_the_second(self, delta: bool) -> None:
        driver = self.driver(delta)
        names = () if delta else ("a", "b", "c")
        [probe] = driver.say(SECRET, "a", "b", "c")
        [said] = driver.say(SECRET, *names, nonce=probe.nonce, error="'a' has no file")
        assert said.values == ["a 1", "b 1", "c 1"]
        assert driver.group.rejected == ()
        assert not any(isinstance(each, Rejected) for each in driver.events)
        for rest in driver.say(SECRET, *names, nonce=said.nonce, error="'a' has no file"):
            assert "a in other bytes" not in rest.values, "it was never accepted"
            driver.ack(rest, *names)
        [held] = driver.group.rejected
        assert (held.resource.value, held.replacement) == (b"a 1", None)
        [tried] = driver.wait(LONGEST * SPREAD)
        assert tried.values == ["a in other bytes"]

    def test_what_it_took_of_the_first_stands_in_for_nothing(self, delta: bool) -> None:
        driver = self.driver(delta)
        names = () if delta else ("a", "b", "c")
        [probe] = driver.say(SECRET, "a", "b", "c")
        [said] = driver.ack(probe, *names)
        for rest in driver.say(SECRET, *names, nonce=said.nonce, error="'a' has no file"):
            driver.ack(rest, *names)
        [held] = driver.group.rejected
        assert (held.resource.value, held.replacement) == (b"a 1", None)

    def test_what_a_client_claims_to_hold_is_not_sent(self) -> None:
        driver = self.driver(delta=True)
        held = {name: self.files(name).version for name in "ab"}
        assert driver.say(SECRET, "a", "b", initial_versions=held) == []
        driver = self.driver(delta=True)
        held.pop("b")
        [probe] = driver.say(SECRET, "a", "b", initial_versions=held)
        assert probe.values == ["b in other bytes"]

    def test_what_is_asked_for_later_is_sent_once(self, delta: bool) -> None:
        driver = self.driver(delta)
        [said] = driver.say(SECRET, "c")
        driver.ack(said, *() if delta else ("c",))
        [said] = driver.say(SECRET, "a") if delta else driver.say(SECRET, "a", "c", nonce=said.nonce)
        assert "a 1" in said.values
