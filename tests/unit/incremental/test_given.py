"""Collections over immutable mappings, groups, and collections that are brought up to date in parts."""

from __future__ import annotations

import pytest

from mizzen.incremental import Database, Given, Gradual, Grouped, Lookup, Mapped, Query, WriteError
from mizzen.persistent import LayeredDict


def numbers(count: int) -> LayeredDict[str, int]:
    return LayeredDict({str(number): number for number in range(count)})


def test_a_given_mapping_tells_those_whose_member_is_another() -> None:
    database = Database()
    first = numbers(1_000)
    given = Given(database, "given", first)
    twice = Mapped(database, "twice", given, lambda _, number: 2 * number)
    read = Query(database, "read", given.get)
    watches = [read.watch(key) for key in ("1", "2", "new")]
    assert [watch.value() for watch in watches] == [1, 2, None]
    assert (len(twice), database.take_stale()) == (1_000, [])
    before = database.computed
    second = first.updated({"1": 10, "new": 7}, ["3"])
    given.renew(second)
    assert database.take_stale() == [watches[0], watches[2]]
    assert (twice["1"], twice["new"], "3" in twice) == (20, 14, False)
    assert database.computed - before == 2, "only what differs is computed"
    assert given.values_now is second, "the mapping is shared"
    given.renew(first)
    assert (twice["1"], twice["3"], "new" in twice) == (2, 6, False)


def test_no_given_mapping_is_renewed_while_a_query_runs() -> None:
    database = Database()
    given = Given(database, "given", numbers(1))
    query = Query(database, "bad", lambda: given.renew(numbers(2)))
    with pytest.raises(WriteError):
        query.sound()


def test_a_lookup_looks_at_the_keys_that_are_named() -> None:
    database = Database()
    looked: list[str] = []

    def look(source: dict[str, int], key: str) -> int:
        looked.append(key)
        return source[key]

    found = Lookup(database, "found", dict.fromkeys("abc", 1), look)
    once = Query(database, "once", found)
    assert [once(key) for key in "ab"] == [1, 1]
    assert set(found.keys_read) == {"a", "b"}
    looked.clear()
    found.renew(dict.fromkeys("abc", 2), ["b", "c"])
    assert (looked, once("b")) == (["b"], 2), "nobody has read c"


def test_groups_are_members_that_come_and_go() -> None:
    database = Database()
    words = LayeredDict({1: "ab", 2: "bc"})
    given = Given(database, "words", words)
    by_letter = Grouped(database, "by letter", given, lambda _, word: dict.fromkeys(word, len(word)))
    longest = Mapped(database, "longest", by_letter, lambda _, group: max(group.values()))
    assert dict(longest.items()) == {"a": 2, "b": 2, "c": 2}
    before = database.computed
    given.renew(words.updated({2: "cb"}))
    assert (len(longest), database.computed) == (3, before), "an equal part changes nothing"
    given.renew(words.updated({3: "axe"}, [2]))
    assert dict(longest.items()) == {"a": 3, "b": 2, "x": 3, "e": 3}


def test_a_gradual_collection_goes_on_in_parts() -> None:
    database = Database()
    members = numbers(250)
    given = Given(database, "given", members)
    other = Given(database, "other", LayeredDict({"factor": 2}))
    looked: list[str] = []

    def look(key: str, number: int) -> int | None:
        looked.append(key)
        return number * other["factor"] if number in (7, 249) else None

    products = Gradual(database, "products", given, look)
    parts = []
    while not products.is_settled:
        parts.append(products.go_on(100))
    assert (parts, len(looked)) == ([["7"], [], ["249"]], 250)
    looked.clear()
    other.renew(LayeredDict({"factor": 3}))
    database.settle()
    assert looked == [], "it waits until somebody has time"
    given.renew(members.updated({"7": 249}, ["249"]))
    assert (len(products.go_on(1)), products.is_settled) == (1, False)
    products.go_on(100)
    assert (dict(products.items()), looked) == ({"7": 747}, ["7"])
