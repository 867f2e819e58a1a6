"""Names that many clients ask for are held once."""

import gc

from mizzen.xds import Snapshot
from mizzen.xds.group import Group
from mizzen.xds.names import NamePool
from mizzen.xds.snapshot import Collection
from mizzen.xds.type_urls import ENDPOINT
from tests.unit.xds.xds_driver import Driver, endpoint

NAMES = [f"name-{number}" for number in range(50)]


def fresh() -> list[str]:
    """Equal strings that are other objects, as a decoder makes them for each request."""
    return [name[:4] + name[4:] for name in NAMES]


def test_groups_share_sets_of_names_and_the_strings_of_their_resources() -> None:
    resources = {name: endpoint(name) for name in NAMES}
    snapshot = Snapshot({ENDPOINT: Collection(ENDPOINT, resources)})
    pool = NamePool()
    drivers = [
        Driver(group=Group(key, snapshot, names=pool), delta=delta)
        for key, delta in enumerate((False, True, True))
    ]
    for driver in drivers:
        driver.say(ENDPOINT, *fresh())
    sets = [driver.stream.channels[ENDPOINT].subscription.names for driver in drivers]
    assert sets[0] is sets[1] is sets[2]
    assert {id(name) for name in sets[0]} == {id(resource.name) for resource in resources.values()}


def test_names_without_a_resource_are_names_too() -> None:
    driver = Driver(endpoint("name-1"))
    driver.say(ENDPOINT, *fresh())
    assert driver.stream.channels[ENDPOINT].subscription.names == set(NAMES)


def test_a_set_that_nobody_asks_for_any_more_is_let_go() -> None:
    pool = NamePool()
    held = pool.share(frozenset(fresh()), {}, frozenset())
    assert len(pool) == 1
    del held
    gc.collect()
    assert len(pool) == 0


def test_sets_that_only_look_alike_stay_apart() -> None:
    pool = NamePool()
    one = pool.share(frozenset("ab"), {}, frozenset("a"))
    two = pool.share(frozenset("bc"), {}, frozenset("bc"))
    assert (one, two) == (frozenset("ab"), frozenset("bc"))
    nothing: frozenset[str] = frozenset()
    assert pool.share(nothing, {}, nothing) is pool.share(frozenset("a") - {"a"}, {}, nothing)


def test_names_that_come_one_by_one_are_those_of_the_resources_too() -> None:
    resources = {name: endpoint(name) for name in NAMES}
    driver = Driver(*resources.values(), delta=True)
    for name in fresh():
        driver.say(ENDPOINT, name)
    names = driver.stream.channels[ENDPOINT].subscription.names
    assert {id(name) for name in names} == {id(resource.name) for resource in resources.values()}


def test_fresh_strings_give_way_among_others_that_are_held() -> None:
    known = {"name-1": endpoint("name-1")}
    own, other, new = known["name-1"].name, "name-2", fresh()[1]
    assert new == own
    assert new is not own
    shared = NamePool().share(frozenset([other, new]), known, frozenset([new]))
    assert {id(name) for name in shared} == {id(own), id(other)}


def test_other_sets_with_the_same_hash_stay_apart() -> None:
    class Name(str):
        def __hash__(self) -> int:
            return 1

    pool = NamePool()
    one, two = frozenset([Name("a")]), frozenset([Name("b")])
    assert hash(one) == hash(two)
    held = pool.share(one, {}, one)
    assert [*held, *pool.share(two, {}, two)] == ["a", "b"]
