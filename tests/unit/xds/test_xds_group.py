"""A group: what its clients are given in the place of what one of them refused."""

import pytest

from mizzen.xds import Change, Resource, Snapshot, group
from mizzen.xds.group import Group
from mizzen.xds.snapshot import Collection
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.unit.xds.xds_driver import POLICY, Driver, cluster, endpoint, route


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def delta(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def given(group: Group) -> set[str]:
    assert group.effective is not None
    return {resource.value.decode() for resource in group.effective}


def accept(group: Group, *resources: Resource) -> None:
    """A client accepts all of this, one state after the other."""
    before = None
    for resource in resources:
        assert group.effective is not None
        group.update([resource])
        after = group.effective.collection(resource.type_url)
        group.accepted(None, after, before)
        before = after


class TestUpdates:
    def test_a_group_without_resources_is_something_else_than_one_without_a_snapshot(self) -> None:
        driver = Driver(group=Group("all"))
        assert driver.say(CLUSTER) == []
        assert driver.group.update() == Change()
        assert [each.values for each in driver.listen()] == [[]]

    def test_the_first_resources(self) -> None:
        empty = Group("all")
        assert empty.update([cluster("a")]) == Change((empty.effective.get(CLUSTER, "a"),))
        assert given(empty) == {"a 1"}

    def test_an_update_without_news_leaves_all_as_it_is(self) -> None:
        one = Group("all", Snapshot.of([cluster("a")]))
        before = one.effective
        assert not one.update([cluster("a")], [(CLUSTER, "x")])
        assert one.effective is before is one.snapshot

    def test_what_changed_for_the_clients_is_what_stands_in(self) -> None:
        one = Group("all", Snapshot.of([cluster("b")]))
        accept(one, cluster("a", "good"), cluster("a", "bad"))
        one.reject([cluster("a", "bad")], "no")
        one.update([cluster("a", "another")])
        change = one.update([cluster("a", "bad")])
        assert [each.value for each in change.changed] == [b"a good"]
        assert given(one) == {"a good", "b 1"}

    def test_what_was_refused_and_has_no_other_version_goes(self) -> None:
        one = Group("all", Snapshot.of([cluster("a", "bad"), cluster("b")]))
        one.reject([cluster("a", "bad")], "no")
        one.update([cluster("a", "mended")])
        change = one.update([cluster("a", "bad"), cluster("c")])
        assert (change.removed, [each.name for each in change.changed]) == (((CLUSTER, "a"),), ["c"])
        assert given(one) == {"b 1", "c 1"}

    def test_what_a_whole_new_snapshot_holds_is_replaced_too(self) -> None:
        one = Group("all", Snapshot.of([cluster("b")]))
        accept(one, cluster("a", "good"), cluster("a", "bad"))
        one.reject([cluster("a", "bad"), cluster("c", "bad")], "no")
        one.set(Snapshot.of([cluster("a", "bad"), cluster("c", "bad"), cluster("d")]))
        assert given(one) == {"a good", "d 1"}
        assert {entry.resource.name for entry in one.rejected} == {"a", "c"}
        one.set(Snapshot.of([cluster("a", "mended")]))
        assert given(one) == {"a mended"}
        assert one.rejected == ()


class TestRejectedResources:
    def test_it_is_of_one_version_of_one_type(self) -> None:
        one = Group("all", Snapshot.of([cluster("a"), endpoint("a", "endpoints")]))
        assert not one.has_rejected
        one.reject([cluster("a", "bad")], "no")
        assert one.has_rejected is True
        assert given(one) == {"a 1", "a endpoints"}
        assert one.rejected == ()
        assert one.is_rejected(cluster("a", "bad"))
        assert not one.is_rejected(cluster("a"))

    def test_it_has_the_origins_of_the_snapshot(self) -> None:
        one = Group("all", Snapshot.of([Resource(CLUSTER, "a", b"bad", origins=("before",))]))
        one.reject(tuple(one.snapshot or ()), "no")
        one.set(Snapshot.of([Resource(CLUSTER, "a", b"bad", origins=("now",))]))
        assert [entry.resource.origins for entry in one.rejected] == [("now",)]

    def test_what_stands_in_may_be_refused_by_another_client(self) -> None:
        one = Group("all", Snapshot.of([cluster("b")]))
        accept(one, cluster("a", "1"), cluster("a", "2"), cluster("a", "3"), cluster("b", "bad"))
        one.reject([cluster("a", "3"), cluster("b", "bad")], "no")
        assert given(one) == {"a 2", "b 1"}
        one.reject([cluster("a", "2")], "nor this")
        assert given(one) == {"a 1", "b 1"}
        assert {e.resource.name: e.message for e in one.rejected} == {"a": "no", "b": "no"}
        one.reject([cluster("a", "1")], "nor this")
        assert given(one) == {"b 1"}

    def test_what_a_client_accepts_later_stands_in_when_it_returns(self) -> None:
        one = Group("all", Snapshot.of([]))
        accept(one, cluster("a", "1"), cluster("a", "bad"))
        one.reject([cluster("a", "bad")], "no")
        accept(one, cluster("a", "2"))
        one.update([cluster("a", "bad")])
        assert given(one) == {"a 2"}
        assert [entry.replacement.value for entry in one.rejected if entry.replacement] == [b"a 2"]

    def test_also_when_it_returns_in_a_whole_new_snapshot(self) -> None:
        one = Group("all", Snapshot.of([]))
        accept(one, cluster("a", "1"), cluster("a", "bad"))
        one.reject([cluster("a", "bad")], "no")
        accept(one, cluster("a", "2"))
        one.set(Snapshot.of([cluster("a", "bad")]))
        assert given(one) == {"a 2"}
        assert [entry.replacement.value for entry in one.rejected if entry.replacement] == [b"a 2"]

    def test_the_oldest_is_forgotten_first_and_is_tried_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(group, "_MOST_REJECTED", 3)
        one = Group("all", Snapshot.of([cluster("x")]))
        for number in range(3):
            one.reject([cluster(str(number))], "no")
        assert all(one.is_rejected(cluster(str(number))) for number in range(3))
        one.reject([cluster("3"), cluster("4")], "no")
        assert [one.is_rejected(cluster(str(number))) for number in range(5)] == [False] * 2 + [True] * 3
        one.update([cluster("0"), cluster("4")])
        assert given(one) == {"x 1", "0 1"}

    def test_types_that_nobody_serves_are_not_remembered_and_one_that_lost_all_is(self) -> None:
        one = Group("all", Snapshot.of([cluster("a")]))
        one.accepted(None, Collection(ROUTE, {}))
        assert one.good(ROUTE, "r") is None
        full = Collection(CLUSTER, {"a": cluster("a")})
        one.accepted(None, full)
        one.accepted(None, full.updated((), ["a"]), full)
        assert one.good(CLUSTER, "a") is None  # else it would come back


class TestClientsOnTheirWay:
    """They are brought to a snapshot that was effective before the refusal."""

    def test_a_refused_version_is_replaced_there_too(self) -> None:
        one = Group("all", Snapshot.of([route("x")]))
        accept(one, route("a", "good"), route("a", "bad"))
        old = one.effective.collection(ROUTE).updated([route("b", "bad"), route("c")], ())
        assert one.acceptable(old) is old
        one.reject([route("a", "bad"), route("b", "bad"), cluster("c"), route("x", "2")], "no")
        assert {each.value for each in one.acceptable(old).values()} == {b"a good", b"c 1", b"x 1"}
        assert one.acceptable(old) is one.acceptable(old)

    def test_what_nobody_refused_is_as_it_is(self) -> None:
        one = Group("all", Snapshot.of([cluster("a")]))
        one.reject([cluster("b", "bad")], "no")
        for resources in ({"a": cluster("a")}, {"b": cluster("b")}, {}):
            collection = Collection(CLUSTER, resources)
            assert one.acceptable(collection) is collection

    def test_one_kind_of_replacement_alone(self) -> None:
        one = Group("all", Snapshot.of([]))
        accept(one, cluster("a", "good"), cluster("a", "bad"))
        one.reject([cluster("a", "bad"), cluster("b", "bad")], "no")
        replaced = one.acceptable(Collection(CLUSTER, {"a": cluster("a", "bad")}))
        assert [each.value for each in replaced.values()] == [b"a good"]
        assert dict(one.acceptable(Collection(CLUSTER, {"b": cluster("b", "bad")}))) == {}

    def test_later_refusals_count_where_earlier_ones_were_looked_for(self) -> None:
        one = Group("all", Snapshot.of([]))
        accept(one, cluster("a", "1"), cluster("a", "2"), cluster("a", "3"), cluster("b"))
        old = one.effective.collection(CLUSTER)
        one.reject([cluster("a", "3")], "no")
        assert {each.value for each in one.acceptable(old).values()} == {b"a 2", b"b 1"}
        one.reject([cluster("a", "2")], "no")
        assert {each.value for each in one.acceptable(old).values()} == {b"a 1", b"b 1"}
        one.reject([cluster("b")], "no")
        assert {each.value for each in one.acceptable(old).values()} == {b"a 1"}
        accept(one, cluster("a", "4"), cluster("b", "2"))
        one.update([cluster("a", "3"), cluster("b")])
        assert {each.value for each in one.acceptable(old).values()} == {b"a 4", b"b 2"}

    def test_routes_that_wait_for_clusters_while_another_client_refuses_them(self, delta: bool) -> None:
        slow = Driver(cluster("a"), endpoint("a"), route("r", "a"), delta=delta, policy=POLICY)
        quick = Driver(group=slow.group, delta=delta, policy=POLICY, node_id="quick")
        for driver in (slow, quick):
            for said in driver.say(CLUSTER):
                driver.ack(said)
            for said in driver.say(ROUTE, "r"):
                driver.ack(said, *() if delta else ("r",))
        slow.group.update([cluster("b"), route("r", "bad")])
        [clusters_of_slow] = slow.listen()
        [clusters_of_quick] = quick.listen()
        [routes] = quick.ack(clusters_of_quick)
        assert routes.values == ["r bad"]
        quick.say(ROUTE, *() if delta else ("r",), nonce=routes.nonce, error="r: it is bad")
        slow.group.update([cluster("c")])  # so that the routes of the older state are what it is brought to
        said = slow.ack(clusters_of_slow)
        assert [each.type_url for each in said] == [CLUSTER]
        assert not any(value == "r bad" for each in slow.ack(said[0]) for value in each.values)
        assert slow.wait(60) == []


def test_resources_of_other_types_with_the_same_name_stay() -> None:
    one = Group(
        "all", Snapshot.of([cluster("a"), Resource(LISTENER, "a", b"a listener"), endpoint("a", "e")])
    )
    one.reject([cluster("a")], "no")
    assert given(one) == {"a listener", "a e"}
    assert one.acceptable(Collection(ENDPOINT, {"a": endpoint("a", "e")}))["a"].value == b"a e"
