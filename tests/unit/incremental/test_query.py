"""Queries: what is computed again, what is not, what fails, what is forgotten."""

from __future__ import annotations

import pytest

from mizzen.incremental import (
    CheckError,
    CollectionQuery,
    CycleError,
    Database,
    Grouped,
    Mapped,
    Query,
    QueryError,
    Table,
    WriteError,
)


@pytest.fixture
def database() -> Database:
    return Database()


def test_a_value_is_computed_once_until_what_it_read_changes(database: Database) -> None:
    table = Table[str, int](database, "table")
    twice = Query(database, "twice", lambda key: 2 * table[key])
    table["a"], table["b"] = 1, 5
    assert (twice("a"), twice("a"), database.computed) == (2, 2, 1)
    table["b"] = 6
    assert (twice("a"), database.computed) == (2, 1)
    table["a"] = 3
    assert (twice("a"), database.computed) == (6, 2)


def test_an_equal_value_stops_the_change(database: Database) -> None:
    table = Table[str, int](database, "table")
    table["a"] = 1
    sign = Query(database, "sign", lambda: table["a"] > 0)
    said = Query(database, "said", lambda: f"positive: {sign()}")
    assert said() == "positive: True"
    table["a"] = 7
    assert (said(), database.computed) == ("positive: True", 3)
    table["a"] = -7
    assert said() == "positive: False"


def test_what_is_no_longer_read_is_not_computed(database: Database) -> None:
    """The reads are looked at in order: the first may say that the second is not needed."""
    table = Table[str, int](database, "table")
    table["which"], table["a"], table["b"] = 0, 1, 2
    ran: list[str] = []

    def side(key: str) -> int:
        ran.append(key)
        return table[key]

    one = Query(database, "side", side)
    chosen = Query(database, "chosen", lambda: one("a" if table["which"] == 0 else "b"))
    assert chosen() == 1
    table["which"], table["a"] = 1, 10
    assert (chosen(), ran) == (2, ["a", "b"])


def test_absence_is_read_too(database: Database) -> None:
    table = Table[str, int](database, "table")
    there = Query(database, "there", lambda: table.get("a", 0))
    assert there() == 0
    table["a"] = 4
    assert there() == 4
    table.discard("a")
    assert there() == 0


def test_a_query_that_reads_itself_is_named(database: Database) -> None:
    ring: Query[int, int] = Query(database, "ring", lambda n: ring((n + 1) % 3))
    with pytest.raises(CycleError, match=r"ring\(\(0,\)\) reads itself"):
        ring(0)


def test_a_collection_that_is_made_from_itself_is_named(database: Database) -> None:
    table = Table[str, int](database, "table")
    table["a"] = 1
    made: list[Mapped[str, int, int]] = []
    size = Query(database, "size", lambda: len(made[0]))
    made.append(Mapped(database, "made", table, lambda _, value: value + size()))
    for ask in (size, lambda: made[0]["a"], database.settle):
        with pytest.raises(CycleError):
            ask()


def test_no_input_changes_while_a_query_runs(database: Database) -> None:
    table = Table[str, int](database, "table")

    def write() -> int:
        table["a"] = 1
        return 1

    with pytest.raises(QueryError) as caught:
        Query(database, "write", write)()
    assert isinstance(caught.value.__cause__, WriteError)


class TestFailures:
    def test_the_last_good_value_stands_and_the_query_is_named(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"] = 2
        part = Query(database, "part", lambda: 100 // table["a"])
        whole = Query(database, "whole", lambda: part() + 1)
        assert whole() == 51
        table["a"] = 0
        assert whole() == 51
        [failure] = database.failures
        assert (failure.query, failure.stands) == ("part", True)
        assert isinstance(failure.error, ZeroDivisionError)
        table["a"] = 4
        assert (whole(), database.failures) == (26, [])

    def test_without_a_good_value_only_readers_fail(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"], table["b"] = 0, 5
        part = Query(database, "part", lambda key: 100 // table[key])
        whole = Query(database, "whole", lambda key: part(key) + 1)
        with pytest.raises(QueryError, match=r"whole\(\('a',\)\)"):
            whole("a")
        assert whole("b") == 21
        table["a"] = 10
        assert (whole("a"), database.failures) == (11, [])

    def test_what_failed_is_forgotten_too(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"] = 0
        part = Query(database, "part", lambda key: 100 // table[key])
        whole = Query(database, "whole", lambda key: part(key) + 1)
        with pytest.raises(QueryError):
            whole("a")
        assert (database.sweep(), len(whole), len(part), database.failures) == (2, 0, 0, [])

    def test_what_failed_by_chance_is_tried_again(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"] = 1
        broken = [False]
        part = Query(database, "part", lambda: 1 // (not broken[0]) + table["a"])
        watch = Query(database, "whole", lambda: part() + 1).watch()
        assert watch.value() == 3
        table["a"], broken[0] = 2, True
        assert watch.value() == 3
        database.take_stale()
        broken[0] = False
        assert watch.value() == 3
        database.retry_failures()
        assert database.take_stale() == [watch]
        assert (watch.value(), database.failures) == (4, [])

    def test_a_member_that_fails_is_left_out_or_stays(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"], table["b"] = 0, 5
        parts = Mapped(database, "parts", table, lambda _, value: 100 // value)
        assert dict(parts.items()) == {"b": 20}
        table["b"], table["a"] = 0, 50
        assert dict(parts.items()) == {"b": 20, "a": 2}
        assert [(failure.key, failure.stands) for failure in database.failures] == [("b", True)]
        table.discard("b")
        assert (dict(parts.items()), database.failures) == ({"a": 2}, [])


class TestWatching:
    def test_only_those_concerned_are_stale(self, database: Database) -> None:
        table = Table[int, int](database, "table")
        for key in range(1000):
            table[key] = key
        double = Query(database, "double", lambda key: 2 * table[key])
        watches = [double.watch(key) for key in range(1000)]
        assert sum(watch.value() for watch in watches) == 999_000
        database.take_stale()
        table[7] = 70
        stale = database.take_stale()
        assert [watch.key for watch in stale] == [(7,)]
        assert stale[0].value() == 140

    def test_what_nobody_reads_is_forgotten(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"] = 1
        low = Query(database, "low", lambda key: table[key])
        high = Query(database, "high", lambda key: low(key))
        watch = high.watch("a")
        assert watch.value() == 1
        low("a")
        assert database.sweep() == 0
        watch.close()
        assert (database.sweep(), len(low), len(high)) == (2, 0, 0)
        assert high("a") == 1

    def test_what_was_asked_for_once_is_forgotten(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"] = 1
        low = Query(database, "low", lambda key: table[key])
        assert (low("a"), len(low)) == (1, 1)
        assert (database.sweep(), len(low)) == (1, 0)


class TestChecking:
    def test_a_read_that_is_not_recorded_is_found(self) -> None:
        database = Database(checking=True)
        hidden = [1]
        table = Table[str, int](database, "table")
        query = Query(database, "query", lambda: table.get("a", 0) + hidden[0])
        assert (query(), query()) == (1, 1)
        hidden[0] = 2
        with pytest.raises(CheckError, match=r"query\(\(\)\) is remembered as 1 and computed as 2"):
            query()

    def test_a_member_that_reads_in_secret_is_found(self) -> None:
        database = Database(checking=True)
        hidden = [1]
        table, other = Table[str, int](database, "table"), Table[str, int](database, "other")
        table["a"] = 1
        mapped = Mapped(
            database, "mapped", table, lambda _, value: value + other.get("a", 0) // 10 + hidden[0]
        )
        assert mapped["a"] == 2
        hidden[0] = 2
        with pytest.raises(CheckError, match=r"mapped\('a'\) is remembered as 2 and computed as 3"):
            mapped.get("a")

    def test_values_that_know_only_identity_are_checked_by_their_content(self) -> None:
        database = Database(checking=True)
        hidden = ["a"]

        class Made:
            content = ""

        def make() -> Made:
            made = Made()
            made.content = hidden[0]
            return made

        unchecked = Query(database, "unchecked", make)
        checked = Query(database, "checked", make, compared=lambda made: made.content)
        assert unchecked() is unchecked()
        assert checked() is checked()
        hidden[0] = "b"
        assert unchecked() is unchecked()
        with pytest.raises(CheckError, match="checked"):
            checked()

    def test_a_group_whose_parts_come_from_elsewhere_is_found(self) -> None:
        database = Database(checking=True)
        hidden = [1]
        table = Table[str, int](database, "table")
        table["a"] = 1
        groups = Grouped(database, "groups", table, lambda _, value: {value: hidden[0]})
        assert groups[1] == {"a": 1}
        hidden[0] = 2
        with pytest.raises(
            CheckError, match=r"groups\(1\) is remembered as {'a': 1} and computed as {'a': 2}"
        ):
            groups.get(1)


def test_a_chain_that_is_too_deep_is_not_remembered_as_failing(database: Database) -> None:
    chain: Query[int, int] = Query(database, "chain", lambda place: 1 + chain(place - 1) if place else 0)
    with pytest.raises(RecursionError):
        chain(2000)
    assert database.failures == []
    for place in range(100, 2001, 100):
        assert chain(place) == place


def test_lack_of_memory_is_not_remembered_as_failing(database: Database) -> None:
    lacks = [True]

    def made() -> int:
        if lacks:
            raise MemoryError
        return 1

    query = Query(database, "query", made)
    with pytest.raises(MemoryError):
        query()
    lacks.clear()
    assert query() == 1


class TestCollectionQueries:
    def test_they_go_with_their_last_reader(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"], table["b"] = 1, 2
        above = CollectionQuery(
            database,
            "above",
            lambda bound: Mapped(database, "kept", table, lambda _, value: value if value > bound else None),
        )
        count = Query(database, "count", lambda bound: len(above(bound)))
        watch = count.watch(1)
        assert watch.value() == 1
        table["c"] = 3
        assert watch.value() == 2
        watch.close()
        database.sweep()
        assert (len(above), table._consumers) == (0, [])

    def test_one_that_is_made_anew_is_read_anew(self, database: Database) -> None:
        table, settings = Table[str, int](database, "table"), Table[str, int](database, "settings")
        table["a"], table["b"], settings["bound"] = 1, 2, 1

        def make() -> Mapped[str, int, int]:
            bound = settings["bound"]
            return Mapped(database, "kept", table, lambda _, value: value if value > bound else None)

        above = CollectionQuery(database, "above", make)
        count = Query(database, "count", lambda: len(above()))
        assert count() == 1
        settings["bound"] = 0
        assert count() == 2
        table["c"] = 9
        assert count() == 3
