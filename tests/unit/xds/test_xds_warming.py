"""What clusters wait for, and what is remembered of it when a stream ends."""

import pytest

from mizzen.xds import Resource, warming
from mizzen.xds.response import ResponseContent
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, SECRET
from mizzen.xds.warming import InterruptedStreams, Unfinished, Warming
from mizzen.xds.wire import DeltaRequest, ErrorDetail
from tests.unit.xds.xds_driver import POLICY, Driver, cluster, endpoint


def child(name: str) -> tuple[str, str]:
    return ENDPOINT, name


def waiting(*names: str, since: int = 1) -> Warming:
    result = Warming()
    for name in names:
        result.expect(child(name), since)
    return result


def arrival(*names: str, removed: tuple[str, ...] = (), type_url: str = ENDPOINT) -> ResponseContent:
    return ResponseContent(type_url, "1", tuple(Resource(type_url, name, b"") for name in names), removed)


class TestOneStream:
    def test_all_that_arrives_in_one_response_has_arrived(self) -> None:
        clusters = waiting("a", "b", "c")
        clusters.arrived(arrival("a", "b"), 2)
        assert clusters.children == {child("c")}
        clusters.arrived(arrival("c"), 2)
        assert not clusters

    def test_what_does_not_exist_is_not_waited_for(self) -> None:
        clusters = waiting("a", "b", "c")
        clusters.arrived(arrival("a", removed=("b", "x")), 2)
        assert clusters.children == {child("c")}

    @pytest.mark.parametrize("number", [1, 2])
    def test_what_was_sent_before_the_cluster_does_not_warm_it(self, number: int) -> None:
        clusters = waiting("a", since=2)
        clusters.arrived(arrival("a"), number)
        assert clusters.children == {child("a")}

    def test_a_name_of_another_type_is_another_thing(self) -> None:
        clusters = waiting("a")
        clusters.arrived(arrival("a", type_url=SECRET), 2)
        assert clusters.children == {child("a")}

    def test_an_accepted_response_is_of_its_clusters_and_those_before(self) -> None:
        clusters = waiting("a", since=2)
        clusters.expect(child("b"), 3)
        clusters.expect(child("c"), 4)
        clusters.expect(child("d"), 3)
        clusters.warm(3, {child("d"), child("x")})
        assert clusters.children == {child("c"), child("d")}

    def test_a_cluster_that_changes_again_waits_again(self) -> None:
        clusters = waiting("a", since=2)
        clusters.expect(child("a"), 4)
        clusters.arrived(arrival("a"), 3)
        assert clusters.children == {child("a")}


class TestStreamsThatEnd:
    def test_a_stream_that_waits_for_nothing_leaves_nothing(self) -> None:
        interrupted = InterruptedStreams()
        for number in range(10):
            stream = Warming()
            assert interrupted.begin(str(number), stream) == Unfinished()
            interrupted.end(str(number), stream)
        assert len(interrupted) == 0

    def test_what_several_of_a_node_left_is_remembered_together(self) -> None:
        interrupted = InterruptedStreams()
        for name in "ab":
            interrupted.end("node", waiting(name))
        assert interrupted.begin("node", Warming()).children == {child("a"), child("b")}
        assert len(interrupted) == 0

    def test_it_is_remembered_together_with_what_an_open_one_waits_for(self) -> None:
        interrupted = InterruptedStreams()
        still_open = waiting("b")
        interrupted.begin("node", still_open)
        interrupted.end("node", waiting("a"))
        assert interrupted.begin("node", Warming()).children == {child("a"), child("b")}

    def test_an_older_stream_that_ends_later_does_not_hide_the_open_one(self) -> None:
        interrupted = InterruptedStreams()
        older, newer = Warming(), waiting("a")
        interrupted.begin("node", older)
        interrupted.begin("node", newer)
        interrupted.end("node", older)
        assert interrupted.begin("node", Warming()).children == {child("a")}

    def test_a_stream_that_has_ended_is_not_asked_what_it_waits_for(self) -> None:
        interrupted = InterruptedStreams()
        ended = Warming()
        interrupted.begin("node", ended)
        interrupted.end("node", ended)
        ended.expect(child("a"), 1)
        assert interrupted.begin("node", Warming()) == Unfinished()


class TestWhatIsInDoubt:
    def test_it_is_remembered_by_type_with_the_first_claim(self) -> None:
        interrupted = InterruptedStreams()
        interrupted.end("node", Warming(lambda: {SECRET: {"a": "1", "b": "1"}}))
        interrupted.end("node", Warming(lambda: {SECRET: {"b": "2"}, CLUSTER: {"c": None}}))
        still_open = Warming(lambda: {SECRET: {"a": None}})
        assert len(interrupted) == 1
        left = interrupted.begin("node", still_open)
        assert left.doubts == {SECRET: {"a": "1", "b": "1"}, CLUSTER: {"c": None}}
        assert interrupted.begin("node", Warming()).doubts == {SECRET: {"a": None}}


class TestHowMuchIsRemembered:
    @pytest.fixture(autouse=True)
    def three(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(warming, "_CHILDREN", 3)

    def test_the_oldest_is_forgotten_first(self) -> None:
        interrupted = InterruptedStreams()
        for node in ("1", "2", "3"):
            interrupted.end(node, waiting("a"))
        assert len(interrupted) == 3
        interrupted.end("4", waiting("a", "b"))
        assert interrupted.begin("1", Warming()) == Unfinished()
        assert interrupted.begin("2", Warming()) == Unfinished()
        assert interrupted.begin("3", Warming()) != Unfinished()
        assert interrupted.begin("4", Warming()) != Unfinished()

    def test_one_node_alone_may_wait_for_more(self) -> None:
        interrupted = InterruptedStreams()
        interrupted.end("1", waiting("a"))
        interrupted.end("2", waiting(*"abcd"))
        assert interrupted.begin("1", Warming()) == Unfinished()
        assert len(interrupted.begin("2", Warming()).children) == 4

    def test_what_is_in_doubt_counts(self) -> None:
        interrupted = InterruptedStreams()
        interrupted.end("1", Warming(lambda: {SECRET: {"a": "1", "b": "1"}}))
        interrupted.end("2", Warming(lambda: {CLUSTER: {"a": "1", "b": "1"}}))
        assert interrupted.begin("1", Warming()) == Unfinished()
        assert interrupted.begin("2", Warming()) != Unfinished()

    def test_what_was_fetched_makes_room(self) -> None:
        interrupted = InterruptedStreams()
        for _ in range(3):
            interrupted.end("1", waiting(*"abc"))
            interrupted.begin("1", Warming())
        interrupted.end("2", waiting(*"abc"))
        assert len(interrupted.begin("2", Warming()).children) == 3
        interrupted.end("3", waiting("a"))
        interrupted.end("4", waiting(*"ab"))
        assert len(interrupted) == 2


def test_several_changed_clusters_are_warm_when_all_their_endpoints_are_there() -> None:
    names = ("a", "b", "c")
    driver = Driver(
        *(cluster(name) for name in names), *(endpoint(name) for name in names), delta=True, policy=POLICY
    )
    driver.ack(driver.say(CLUSTER)[0])
    driver.ack(driver.say(ENDPOINT, *names)[0])
    _, assignments = driver.change(*(cluster(name, "2") for name in names))
    assert assignments.values == ["a 1", "b 1", "c 1"]
    driver.ack(assignments)
    assert driver.stream._warming.children == frozenset()


def test_a_client_that_accepts_clusters_before_they_are_warm_is_sent_what_they_wait_for() -> None:
    """Old Envoys did; here its endpoints were refused when the stream broke, and what it had is wanted."""
    driver = Driver(cluster("a"), endpoint("a"), delta=True, policy=POLICY)
    driver.ack(driver.say(CLUSTER)[0])
    driver.ack(driver.say(ENDPOINT, "a")[0])
    driver.group.update([cluster("a", "2"), endpoint("a", "bad")])
    clusters, assignments = driver.listen()
    assert driver.ack(clusters) == []
    driver.stream.receive(
        DeltaRequest(ENDPOINT, nonce=assignments.nonce, error=ErrorDetail(13, "a: it is bad")), driver.now
    )
    driver.stream.end()
    again = Driver(group=driver.group, delta=True, policy=POLICY)
    assert again.say(CLUSTER, initial_versions={"a": cluster("a", "2").version}) == []
    [said] = again.say(ENDPOINT, "a", initial_versions={"a": endpoint("a").version})
    assert said.values == ["a 1"]
