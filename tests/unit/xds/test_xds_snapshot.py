"""Collections and snapshots: what differs between two, whatever the way that led from one to the other."""

from collections.abc import Iterator
from datetime import timedelta
from random import Random

import pytest

from mizzen.persistent import LayeredDict
from mizzen.xds import Change, Resource, Snapshot
from mizzen.xds.snapshot import Collection
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, ROUTE
from tests.unit.xds.xds_driver import Driver, cluster, endpoint, route

UNKNOWN = "type.googleapis.com/example.Unknown"


def clusters(*resources: Resource) -> Collection:
    return Collection(CLUSTER, {resource.name: resource for resource in resources})


class Unlisted(dict[str, Resource]):
    """Refuses to say all that it holds."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("everything is looked at")

    items = keys = values = __iter__


class TestVersions:
    def test_they_are_of_the_members_whatever_the_way(self) -> None:
        members = [cluster(str(number)) for number in range(20)]
        direct = clusters(*members)
        grown = clusters(cluster("x"), cluster("3", "old"))
        for each in members:
            grown = grown.updated([each], ())
        grown = grown.updated((), ["x"])
        assert grown.version == direct.version == clusters(*reversed(members)).version
        assert len(direct.version) == len(grown.version) == 24

    def test_each_change_is_another(self) -> None:
        one = clusters(cluster("a"), cluster("b"))
        others = [
            one.updated([cluster("c")], ()),
            one.updated([cluster("a", "2")], ()),
            one.updated((), ["a"]),
            one.updated((), ["b"]),
        ]
        assert len({each.version for each in (one, *others)}) == 5

    def test_what_is_not_there_cannot_be_taken_out(self) -> None:
        one = clusters(cluster("a"))
        assert one.updated((), ["x"]).version == one.version


class TestDifferences:
    def test_between_any_two_of_a_history_with_branches(self) -> None:
        random = Random(7)
        names = [str(number) for number in range(12)]
        states = [clusters(*(cluster(name) for name in names[:6]))]
        for _ in range(60):
            changed = {name: cluster(name, str(random.randrange(3))) for name in random.sample(names, 2)}
            removed = [name for name in random.sample(names, 2) if name not in changed]
            # Mostly the newest, so that there are long ways too.
            parent = states[-1] if random.random() < 0.9 else random.choice(states)
            states.append(parent.updated(changed.values(), removed))
        for _ in range(2000):
            old, new = random.choice(states), random.choice(states)
            found = new.since(old)
            held = {name: each.version for name, each in old.items()}
            for resource in found.content.resources:
                assert held.get(resource.name) != resource.version  # nothing is said in vain
                held[resource.name] = resource.version
            for name in found.content.removed:
                del held[name]
            assert held == {name: each.version for name, each in new.items()}
            assert bool(found) == (new.version != old.version)
            assert found.replaced == {name: old.get(name) for name in (*found.changed, *found.removed)}

    def test_a_step_is_found_without_a_look_at_all_members(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A change costs what it touches; so does the way back, to which a refusal leads."""
        old = new = clusters(*(cluster(str(number)) for number in range(100)))
        for number in range(16):
            new = new.updated([cluster(f"new-{number}")], ())
        monkeypatch.setattr(LayeredDict, "__iter__", None)
        monkeypatch.setattr(LayeredDict, "_merged", None)
        assert len(new.since(old).changed) == 16
        assert len(old.since(new).removed) == 16

    def test_between_collections_laid_over_others(self) -> None:
        base = clusters(*(cluster(str(number)) for number in range(40)))
        old = base.overlaid([cluster("own"), cluster("1", "own")], ["2"])
        assert (len(old), old["1"].value, "2" in old) == (40, b"1 own", False)
        assert old.version == clusters(*old.values()).version
        new = base.updated([cluster("3", "new"), cluster("1", "new"), cluster("2", "new")], ["4"])
        found = new.overlaid([old["own"], old["1"]], ["2"]).since(old)
        assert (set(found.changed), found.removed) == ({"3"}, {"4"})

    def test_what_is_laid_over_a_collection_goes_on_over_the_next(self) -> None:
        base = clusters(*(cluster(str(number)) for number in range(40)))
        laid = [cluster("own"), cluster("1", "own")]
        new = base.updated([cluster("3", "new"), cluster("40")], ["4"])
        found, wanted = base.overlaid(laid, ["2"]).rebased(base, new), new.overlaid(laid, ["2"])
        assert (dict(found), len(found), found.version) == (dict(wanted), len(wanted), wanted.version)

    def test_all_clients_share_one(self) -> None:
        old = clusters(cluster("a"))
        new = old.updated([cluster("b")], ())
        assert new.since(old) is new.since(old)


class TestVariants:
    def test_what_is_retained_is_there_besides(self) -> None:
        collection = clusters(cluster("a"))
        kept = [cluster("b"), cluster("c")]
        variant = collection.retaining(kept)
        assert set(variant) == {"a", "b", "c"}
        assert collection.retaining(iter(kept[::-1])) is variant

    def test_with_nothing_retained_it_is_the_same(self) -> None:
        collection = clusters(cluster("a"))
        assert collection.retaining(()) is collection

    def test_without_some_of_its_members(self) -> None:
        collection = clusters(cluster("a"), cluster("b"), cluster("c"))
        good = {"a": cluster("a", "good")}
        variant = collection.without(frozenset("ab"), good.get)
        assert dict(variant) == {"a": good["a"], "c": collection["c"]}
        assert variant.version == clusters(good["a"], cluster("c")).version
        assert collection.without(frozenset("ab"), good.get) is variant

    def test_what_is_accepted_meanwhile_makes_another_of_it(self) -> None:
        collection = clusters(cluster("a"), cluster("b"))
        before = collection.without(frozenset("a"), {}.get)
        after = collection.without(frozenset("a"), {"a": cluster("a", "good")}.get)
        assert set(before) == {"b"}
        assert after["a"].value == b"a good"

    def test_what_is_not_a_member_does_not_become_one(self) -> None:
        """Its owner took it away; that it was good once does not bring it back."""
        collection = clusters(cluster("a"))
        assert set(collection.without(frozenset("b"), {"b": cluster("b")}.get)) == {"a"}

    def test_only_so_many_are_remembered(self) -> None:
        collection = clusters(cluster("a"))
        found = [collection.retaining([cluster(f"kept-{number}")]) for number in range(20)]
        assert [set(each) for each in found] == [{"a", f"kept-{number}"} for number in range(20)]
        assert list(collection._variants.values()) == found[12:]


class TestLooking:
    def test_a_name_comes_before_an_alias(self) -> None:
        other = Resource(CLUSTER, "b", b"b", aliases=("a", "x"))
        collection = clusters(cluster("a"), other)
        assert collection.find("a") is collection["a"]
        assert collection.find("x") is other
        assert collection.find("y") is None

    def test_what_a_client_does_not_hold(self) -> None:
        collection = clusters(cluster("a"), cluster("b"), cluster("c"))
        claimed = {"a": cluster("a").version, "b": "old", "gone": "1"}
        assert collection.mismatched(claimed, set(), everything=True) == {"b", "c", "gone"}
        assert collection.mismatched(claimed, {"a", "c", "x"}, everything=False) == {"c", "x"}
        assert collection.mismatched(claimed, {"x"}, everything=True) == {"b", "c", "gone", "x"}

    def test_who_holds_everything_may_ask_for_more(self) -> None:
        collection = clusters(cluster("a"))
        claimed = {"a": cluster("a").version}
        assert collection.mismatched(claimed, {"a"}, everything=True) == set()
        assert collection.mismatched(claimed, {"a", "x"}, everything=True) == {"x"}
        assert collection.mismatched(claimed, {"a", "x"}, everything=False) == {"x"}

    def test_what_a_client_holds_it_may_call_by_an_alias(self) -> None:
        resource = Resource(CLUSTER, "a", b"a", aliases=("x",))
        collection = clusters(resource)
        for name in ("a", "x"):
            assert collection.mismatched({name: resource.version}, {"x"}, everything=False) == set()

    def test_who_holds_everything_is_believed_without_a_look_at_each_name(self) -> None:
        collection = clusters(*(cluster(str(number)) for number in range(10)))
        claimed = {name: each.version for name, each in collection.items()}
        assert collection.mismatched(claimed, set(claimed), everything=True) == set()
        collection.resources = Unlisted(collection.resources)
        assert collection.mismatched(claimed, set(claimed), everything=True) == set()

    def test_only_what_expires_is_renewed(self) -> None:
        expiring = Resource(ROUTE, "b", b"b", ttl=timedelta(seconds=9))
        driver = Driver(route("a"), expiring, delta=True, ttl=True)
        driver.ack(driver.say(ROUTE, "a", "b")[0])
        [beat] = driver.wait(3.1)
        assert [each.name for each in beat.message.resources] == ["b"]


class TestSnapshots:
    def test_two_of_one_name_are_a_mistake(self) -> None:
        with pytest.raises(ValueError, match="have the name 'a'"):
            Snapshot.of([cluster("a"), cluster("a", "2")])
        assert len(Snapshot.of([cluster("a"), endpoint("a")])) == 2

    def test_what_it_holds(self) -> None:
        snapshot = Snapshot.of([cluster("a"), endpoint("b")])
        assert {each.name for each in snapshot} == {"a", "b"}
        assert snapshot.get(CLUSTER, "b") is None
        assert repr(snapshot) == "<Snapshot of 2 resources>"

    @pytest.mark.parametrize("type_url", [ROUTE, UNKNOWN])
    def test_types_without_resources_do_not_differ(self, type_url: str) -> None:
        held = Snapshot().collection(type_url)
        assert Snapshot.of([cluster("a")]).collection(type_url) is held
        assert len(held) == 0

    def test_a_change_says_what_really_changed(self) -> None:
        snapshot = Snapshot.of([cluster("a"), cluster("b"), endpoint("a"), endpoint("b")])
        changed = cluster("a", "2")
        new, change = snapshot.updated(
            [changed, endpoint("a")], [(CLUSTER, "b"), (CLUSTER, "x"), (ROUTE, "b"), (CLUSTER, "b")]
        )
        assert change == Change((changed,), ((CLUSTER, "b"),))
        assert change.type_urls == {CLUSTER}
        assert {(each.type_url, each.name) for each in new} == {
            (CLUSTER, "a"),
            (ENDPOINT, "a"),
            (ENDPOINT, "b"),
        }
        assert new.collection(ENDPOINT) is snapshot.collection(ENDPOINT)

    def test_types_that_change_together(self) -> None:
        snapshot = Snapshot.of([cluster("a"), endpoint("a"), route("a")])
        new, change = snapshot.updated([cluster("a", "2"), route("b")], [(ENDPOINT, "a")])
        assert change.type_urls == {CLUSTER, ENDPOINT, ROUTE}
        assert [set(new.collection(each)) for each in (CLUSTER, ENDPOINT, ROUTE)] == [
            {"a"},
            set(),
            {"a", "b"},
        ]

    def test_changed_and_removed_is_changed(self) -> None:
        for resource in (cluster("a"), cluster("a", "2")):
            new, change = Snapshot.of([cluster("a")]).updated([resource], [(CLUSTER, "a")])
            assert new.collection(CLUSTER)["a"].value == resource.value
            assert change.removed == ()

    def test_nothing_new_is_the_same_snapshot(self) -> None:
        snapshot = Snapshot.of([cluster("a")])
        new, change = snapshot.updated([cluster("a")], [(CLUSTER, "x")])
        assert new is snapshot
        assert not change

    @pytest.mark.parametrize("change", [Change((cluster("a"),)), Change((), ((CLUSTER, "a"),))])
    def test_a_change_is_true_if_there_is_any(self, change: Change) -> None:
        assert change
        assert bool(Change()) is False
