"""Lookups: inputs that somebody else keeps."""

from __future__ import annotations

from typing import Any

import pytest

from mizzen.incremental import Database, Lookup, Query, QueryError, Table, WriteError


@pytest.fixture
def database() -> Database:
    return Database()


def test_only_those_are_told_whose_key_is_another(database: Database) -> None:
    found = Lookup[dict[str, int], str, int | None](database, "found", {"a": 1, "b": 5}, dict.get)
    twice = Query(database, "twice", lambda key: 2 * (found(key) or 0))
    watches = {key: twice.watch(key) for key in ("a", "b", "missing")}
    assert [watch.value() for watch in watches.values()] == [2, 10, 0]
    database.take_stale()
    found.renew({"a": 1, "b": 6})
    assert database.take_stale() == [watches["b"]]
    assert (twice("a"), twice("b"), database.computed) == (2, 12, 4)
    found.renew({"missing": 7})
    assert [watch.value() for watch in watches.values()] == [0, 0, 14]


def test_only_what_is_read_is_looked_at_again(database: Database) -> None:
    looked: list[str] = []

    def look(source: dict[str, int], key: str) -> int:
        looked.append(key)
        return source[key]

    found = Lookup(database, "found", dict.fromkeys("abcdef", 1), look)
    once = Query(database, "once", found)
    watch = once.watch("a")
    assert (watch.value(), found("b"), looked) == (1, 1, ["a", "b"])
    found.renew(dict.fromkeys("abcdef", 2))
    assert looked == ["a", "b", "a"], "b was read by no query"
    watch.close()
    database.sweep()
    found.renew(dict.fromkeys("abcdef", 3))
    assert (looked, found.values_now) == (["a", "b", "a"], {})


def test_the_same_source_is_not_looked_at(database: Database) -> None:
    source = {"a": 1}
    found = Lookup(database, "found", source, lambda of, key: of[key])
    once = Query(database, "once", found)
    assert once("a") == 1
    source["a"] = 2
    found.renew(source)
    assert once("a") == 1


def test_what_cannot_be_found_fails_its_readers_until_it_can(database: Database) -> None:
    found = Lookup[dict[str, int], str, int](database, "found", {}, lambda of, key: of[key])
    once = Query(database, "once", found)
    with pytest.raises(QueryError):
        once("a")
    found.renew({"a": 1})
    assert once.sound("a") == 1
    found.renew({})
    assert once("a") == 1, "the last good value stands"
    with pytest.raises(KeyError):
        once.sound("a")


def test_nothing_is_renewed_while_a_query_runs(database: Database) -> None:
    found = Lookup[dict[str, int], str, int](database, "found", {}, lambda of, key: of[key])
    once: Query[Any] = Query(database, "once", lambda: found.renew({"a": 1}))
    with pytest.raises(WriteError):
        once.sound()


def test_a_sound_value_needs_all_that_it_reads_to_be_sound(database: Database) -> None:
    table = Table[str, int](database, "table")
    table["a"] = 1
    inverse = Query(database, "inverse", lambda: 1 / table["a"])
    said = Query(database, "said", lambda: f"it is {inverse()}")
    assert said.sound() == "it is 1.0"
    table["a"] = 0
    assert said() == "it is 1.0"
    with pytest.raises(ZeroDivisionError):
        said.sound()
    table["a"] = 2
    assert said.sound() == "it is 0.5"


def test_the_first_cause_is_raised(database: Database) -> None:
    table = Table[str, int](database, "table")
    inverse = Query(database, "inverse", lambda: 1 / table["a"])
    said = Query(database, "said", lambda: f"it is {inverse()}")
    table["a"] = 0
    with pytest.raises(ZeroDivisionError):
        said.sound()


def test_a_collection_knows_which_of_its_members_queries_read(database: Database) -> None:
    table = Table[str, int](database, "table")
    table["a"] = table["b"] = 1
    once = Query(database, "once", lambda: table["a"])
    assert not table.is_read("a")
    watch = once.watch()
    assert watch.value() == 1
    assert (table.is_read("a"), table.is_read("b")) == (True, False)
