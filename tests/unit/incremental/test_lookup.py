"""Lookups: inputs that somebody else keeps."""

from __future__ import annotations

from typing import Any

import pytest

from mizzen.incremental import Database, Lookup, Query, WriteError


@pytest.fixture
def database() -> Database:
    return Database()


def test_only_those_are_told_whose_key_is_another(database: Database) -> None:
    found = Lookup[dict[str, int], str, int | None](database, "found", {"a": 1, "b": 5}, dict.get)
    twice = Query(database, "twice", lambda key: 2 * (found(key) or 0))
    keys = ("a", "b", "missing")
    for key in keys:
        twice.watch(key)
    assert [twice(key) for key in keys] == [2, 10, 0]
    found.renew({"a": 1, "b": 6})
    assert twice.take_stale() == [("b",)]
    assert (twice("a"), twice("b"), database.computed) == (2, 12, 4)
    found.renew({"missing": 7})
    assert [twice(key) for key in keys] == [0, 0, 14]


def test_only_what_is_read_is_looked_at_again(database: Database) -> None:
    looked: list[str] = []

    def look(source: dict[str, int], key: str) -> int:
        looked.append(key)
        return source[key]

    found = Lookup(database, "found", dict.fromkeys("abcdef", 1), look)
    once = Query(database, "once", found)
    once.watch("a")
    assert (once("a"), found("b"), looked) == (1, 1, ["a", "b"])
    found.renew(dict.fromkeys("abcdef", 2))
    assert looked == ["a", "b", "a"], "b was read by no query"
    once.unwatch("a")
    database.sweep()
    found.renew(dict.fromkeys("abcdef", 3))
    assert (looked, list(found.keys_read)) == (["a", "b", "a"], [])


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
    with pytest.raises(KeyError):
        once("a")
    found.renew({"a": 1})
    assert once("a") == 1
    found.renew({})
    with pytest.raises(KeyError):
        once("a")


def test_what_cannot_be_found_for_a_different_reason_fails_differently(database: Database) -> None:
    def look(reason: str, key: str) -> int:
        raise LookupError(reason)

    found = Lookup[str, str, int](database, "found", "lost", look)
    once = Query(database, "once", found)
    with pytest.raises(LookupError, match="lost"):
        once("a")
    found.renew("stolen")
    with pytest.raises(LookupError, match="stolen"):
        once("a")


def test_nothing_is_renewed_while_a_query_runs(database: Database) -> None:
    found = Lookup[dict[str, int], str, int](database, "found", {}, lambda of, key: of[key])
    once: Query[Any] = Query(database, "once", lambda: found.renew({"a": 1}))
    with pytest.raises(WriteError):
        once()


def test_it_looks_at_the_keys_that_are_named(database: Database) -> None:
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


def test_it_says_what_was_found_for_a_query(database: Database) -> None:
    found = Lookup[dict[str, int], str, int](database, "found", {"a": 1, "b": 2}, dict.__getitem__)
    once = Query(database, "once", found)
    assert once("a") == 1
    assert [found.known(key) for key in "ab"] == [1, None]
    found.renew({})
    assert found.known("a") is None
