"""Queries: what is computed again, what is not, what fails, what is forgotten."""

from __future__ import annotations

import pytest

from mizzen.incremental import CheckError, CycleError, Database, Grouped, Query, Table, WriteError


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


def test_no_input_changes_while_a_query_runs(database: Database) -> None:
    table = Table[str, int](database, "table")

    def write() -> int:
        table["a"] = 1
        return 1

    with pytest.raises(WriteError):
        Query(database, "write", write)()


class TestFailures:
    def test_what_is_raised_is_remembered(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"], table["b"] = 0, 5
        part = Query(database, "part", lambda key: 100 // table[key])
        whole = Query(database, "whole", lambda key: part(key) + 1)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                whole("a")
        assert (whole("b"), database.computed) == (21, 4)
        [failure] = database.failures
        assert (failure.query, failure.key, type(failure.error)) == ("part", ("a",), ZeroDivisionError)
        table["a"] = 10
        assert (whole("a"), database.failures) == (11, [])

    def test_only_the_cause_is_named(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"], table["b"] = 2, 0
        part = Query(database, "part", lambda: 100 // table["a"])
        whole = Query(database, "whole", lambda: 100 // table["b"] + part())
        other = Query(database, "other", lambda: 100 // table["b"])
        for query in (whole, other):
            with pytest.raises(ZeroDivisionError):
                query()
        assert [failure.query for failure in database.failures] == ["whole", "other"]
        table["a"], table["b"] = 0, 2
        assert other() == 50
        with pytest.raises(ZeroDivisionError):
            whole()
        assert [failure.query for failure in database.failures] == ["part"]

    def test_its_traceback_does_not_grow(self, database: Database) -> None:
        query = Query(database, "query", lambda: 1 // 0)

        def depth() -> int:
            with pytest.raises(ZeroDivisionError) as caught:
                query()
            return len(caught.traceback)

        assert depth() == depth() == depth()

    def test_a_query_that_fails_and_recovers_with_the_same_value(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"] = 2
        part = Query(database, "part", lambda: 100 // table["a"])
        whole = Query(database, "whole", lambda: part() + 1)
        assert whole() == 51
        table["a"] = 0
        with pytest.raises(ZeroDivisionError):
            whole()
        table["a"] = 2
        assert (whole(), database.failures) == (51, [])

    def test_a_query_may_go_on_without_what_fails(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"] = 0
        part = Query(database, "part", lambda: 100 // table["a"])

        def make() -> int:
            try:
                return part()
            except ZeroDivisionError:
                return -1

        whole = Query(database, "whole", make)
        assert (whole(), [failure.query for failure in database.failures]) == (-1, ["part"])
        table["a"] = 10
        assert whole() == 10

    def test_what_failed_is_forgotten_too(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"] = 0
        part = Query(database, "part", lambda key: 100 // table[key])
        whole = Query(database, "whole", lambda key: part(key) + 1)
        with pytest.raises(ZeroDivisionError):
            whole("a")
        database.sweep()
        assert (whole.keys_read, part.keys_read, database.failures) == (set(), set(), [])

    def test_what_failed_by_chance_is_tried_again(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"] = 1
        broken = [False]
        part = Query(database, "part", lambda: 1 // (not broken[0]) + table["a"])
        whole = Query(database, "whole", lambda: part() + 1)
        whole.watch()
        assert whole() == 3
        table["a"], broken[0] = 2, True
        with pytest.raises(ZeroDivisionError):
            whole()
        assert whole.take_stale() == [()]
        broken[0] = False
        with pytest.raises(ZeroDivisionError):
            whole()
        database.retry_failures()
        assert whole.take_stale() == [()]
        assert (whole(), database.failures) == (4, [])


class TestWatching:
    def test_only_those_concerned_are_stale(self, database: Database) -> None:
        table = Table[int, int](database, "table")
        for key in range(1000):
            table[key] = key
        double = Query(database, "double", lambda key: 2 * table[key])
        for key in range(1000):
            double.watch(key)
        assert sum(double(key) for key in range(1000)) == 999_000
        table[7] = 70
        assert (double.take_stale(), double.take_stale()) == ([(7,)], [])
        assert double(7) == 140

    def test_what_nobody_reads_is_forgotten(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"] = 1
        low = Query(database, "low", lambda key: table[key])
        high = Query(database, "high", lambda key: low(key))
        high.watch("a")
        assert high("a") == low("a") == 1
        database.sweep()
        assert (high.keys_read, low.keys_read, table.keys_read) == ({("a",)}, {("a",)}, {"a"})
        table["a"] = 2
        high.unwatch("a")
        assert high.take_stale() == []
        database.sweep()
        assert (high.keys_read, low.keys_read, table.keys_read) == (set(), set(), set())
        assert high("a") == 2

    def test_what_was_asked_for_once_is_forgotten(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"] = 1
        low = Query(database, "low", lambda key: table[key])
        assert (low("a"), low("a"), database.computed) == (1, 1, 1)
        database.sweep()
        assert (low("a"), database.computed) == (1, 2)


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
