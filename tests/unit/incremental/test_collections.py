"""Collections: what a changed member costs, and who hears of it."""

from __future__ import annotations

from weakref import ref

import pytest

from mizzen.incremental import Database, Gradual, Grouped, Query, Table, Union, WriteError
from mizzen.persistent import LayeredDict

MANY = 10_000


@pytest.fixture
def database() -> Database:
    return Database()


def numbers(count: int) -> LayeredDict[str, int]:
    return LayeredDict({str(number): number for number in range(count)})


class TestTables:
    def test_a_renewed_table_tells_those_whose_member_is_another(self, database: Database) -> None:
        first = numbers(1_000)
        table = Table(database, "table", first)
        read = Query(database, "read", table.get)
        for key in ("1", "2", "new"):
            read.watch(key)
        assert [read(key) for key in ("1", "2", "new")] == [1, 2, None]
        second = first.updated({"1": 10, "new": 7}, ["3"])
        table.renew(second)
        assert read.take_stale() == [("1",), ("new",)]
        assert table.members is second, "the mapping is shared"
        assert [read(key) for key in ("1", "2", "new")] == [10, 2, 7]
        table.renew(first)
        assert [read(key) for key in ("1", "2", "new")] == [1, 2, None]

    def test_an_equal_member_changes_nothing(self, database: Database) -> None:
        table = Table[str, tuple[int, ...]](database, "table")
        table["a"] = (1,)
        read = Query(database, "read", table.get)
        read.watch("a")
        assert read("a") == (1,)
        table["a"] = tuple(range(1, 2))
        assert read.take_stale() == []

    def test_no_input_is_set_while_a_query_runs(self, database: Database) -> None:
        table = Table(database, "table", numbers(1))
        with pytest.raises(WriteError):
            Query(database, "renewing", lambda: table.renew(numbers(2)))()
        with pytest.raises(WriteError):
            Query(database, "discarding", lambda: table.discard("0"))()

    def test_it_knows_which_of_its_members_queries_read(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"] = table["b"] = 1
        once = Query(database, "once", lambda: table["a"])
        assert not table.is_read("a")
        once.watch()
        assert once() == 1
        assert (table.is_read("a"), table.is_read("b")) == (True, False)

    def test_a_member_that_loses_its_last_reader_while_a_query_reads_it(self, database: Database) -> None:
        table = Table[str, str | int](database, "table")
        table["which"], table["x"], table["y"] = "x", 1, 2
        chosen = Query(database, "chosen", lambda: table[str(table["which"])])
        both = Query(database, "both", lambda: (table["x"], chosen()))
        assert chosen() == 1
        table["which"] = "y"
        assert both() == (1, 2), "chosen no longer reads x, which was read for both just before"
        table["x"] = 5
        assert both() == (5, 2)


class TestGroups:
    def test_a_changed_member_costs_one_computation_at_each_step(self, database: Database) -> None:
        table = Table(database, "table", LayeredDict({key: key for key in range(MANY)}))
        looked: list[int] = []

        def parts_of(key: int, value: int) -> dict[int, int]:
            looked.append(key)
            return {2 * value: key}

        grouped = Grouped(database, "grouped", table, parts_of)
        owners = Query(database, "owners", lambda value: grouped.get(value))
        for value in range(0, 2 * MANY, 2):
            owners.watch(value)
            assert owners(value) is not None
        assert owners.take_stale() == []
        looked.clear()
        before = database.computed
        table[3] = 500
        stale = owners.take_stale()
        assert sorted(stale) == [(6,), (1000,)]
        assert [owners(*key) is None for key in stale].count(True) == 1
        assert (database.computed - before, set(looked)) == (2, {3})
        table[3] = 500
        assert owners.take_stale() == []

    def test_a_reader_of_one_group_hears_of_that_group_only(self, database: Database) -> None:
        table = Table[str, tuple[int, ...]](database, "table")
        table["a"], table["b"], table["c"] = (80,), (80, 90), (90,)
        ports = Grouped(database, "ports", table, lambda _, value: dict.fromkeys(value))
        count = Query(database, "count", lambda port: len(ports.get(port, ())))
        assert [count(port) for port in (80, 90, 70)] == [2, 2, 0]
        before = database.computed
        table["c"] = (70,)
        assert [count(port) for port in (80, 90, 70)] == [2, 1, 1]
        assert database.computed - before == 2

    def test_groups_come_and_go(self, database: Database) -> None:
        words = LayeredDict({1: "ab", 2: "bc"})
        table = Table(database, "words", words)
        by_letter = Grouped(database, "by letter", table, lambda _, word: dict.fromkeys(word, (len(word),)))
        sizes = Grouped(database, "by size", by_letter, lambda _, group: {len(group): None})
        read = Query(database, "read", lambda: {size: sorted(group) for size, group in sizes.items()})
        of_letter = Query(database, "of a letter", by_letter.get)
        of_letter.watch("b")
        assert (read(), of_letter("b")) == ({1: ["a", "c"], 2: ["b"]}, {1: (2,), 2: (2,)})
        table.renew(words.updated({2: "cb"}))
        assert of_letter.take_stale() == [], "the parts are equal"
        table.renew(words.updated({3: "axe"}, [2]))
        assert read() == {1: ["b", "e", "x"], 2: ["a"]}

    def test_one_that_fails_is_made_again(self, database: Database) -> None:
        table = Table(database, "table", numbers(3))
        inverse = Grouped(database, "inverse", table, lambda _, value: {100 // value: value})
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                inverse.get(50)
        table.discard("0")
        assert inverse.get(50) == {"2": 2}

    def test_one_that_nobody_holds_is_not_kept_up(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"], table["b"] = 1, 2
        looked: list[str] = []

        def group(bound: int) -> Grouped[str, int, bool, int]:
            def parts_of(key: str, value: int) -> dict[bool, int]:
                looked.append(key)
                return {value > bound: value}

            return Grouped(database, "by bound", table, parts_of)

        by_bound = Query(database, "collections", group)
        count = Query(database, "count", lambda bound: len(by_bound(bound).get(True, ())))
        count.watch(1)
        assert count(1) == 1
        table["c"] = 3
        assert (count(1), looked) == (2, ["a", "b", "c"])
        count.unwatch(1)
        database.sweep()
        table["d"] = 4
        database.settle()
        assert looked == ["a", "b", "c"]

    def test_one_that_is_made_anew_is_read_anew(self, database: Database) -> None:
        table, settings = Table[str, int](database, "table"), Table[str, int](database, "settings")
        table["a"], table["b"], settings["bound"] = 1, 2, 1

        def make() -> Grouped[str, int, bool, int]:
            bound = settings["bound"]
            return Grouped(database, "by bound", table, lambda _, value: {value > bound: value})

        by_bound = Query(database, "collections", make)
        count = Query(database, "count", lambda: len(by_bound().get(True, ())))
        assert count() == 1
        settings["bound"] = 0
        assert count() == 2
        table["c"] = 9
        assert count() == 3


def test_a_union_has_a_key_as_long_as_some_collection_has_it(database: Database) -> None:
    one, two = Table[str, int](database, "one"), Table[str, int](database, "two")
    union = Union(database, "union", one, two)
    keys = Query(database, "keys", lambda: sorted(union))
    one["a"], two["a"], two["b"] = 1, 2, 3
    assert keys() == ["a", "b"]
    before = database.computed
    one.discard("a")
    assert (keys(), database.computed) == (["a", "b"], before)
    two.discard("a")
    assert keys() == ["b"]


class TestGradual:
    def test_it_goes_on_in_parts(self, database: Database) -> None:
        members = numbers(250)
        table = Table(database, "table", members)
        other = Table[str, int](database, "other")
        other["factor"] = 2
        looked: list[str] = []

        def look(key: str, number: int) -> int | None:
            looked.append(key)
            return number * other["factor"] if number in (7, 249) else None

        products = Gradual(database, "products", table, look)
        parts = []
        while products.due:
            parts.append(products.go_on(100))
        assert (parts, len(looked)) == ([["7"], [], ["249"]], 250)
        looked.clear()
        other["factor"] = 3
        database.settle()
        assert looked == [], "it waits until somebody has time"
        table.renew(members.updated({"7": 249}, ["249"]))
        assert (len(products.go_on(1)), len(products.due)) == (1, 1)
        products.go_on(100)
        assert (products.results, looked) == ({"7": 747}, ["7"])

    def test_what_was_found_last_stays_while_the_function_fails(self, database: Database) -> None:
        table = Table[str, int](database, "table")
        table["a"], table["b"], table["c"] = 0, 5, 10
        parts = Gradual(database, "parts", table, lambda _, value: 100 // value)
        assert (parts.go_on(100), parts.results) == (["b", "c"], {"b": 20, "c": 10})
        table["b"], table["a"] = 0, 50
        assert (parts.go_on(100), parts.results) == (["a"], {"a": 2, "b": 20, "c": 10})
        assert [failure.key for failure in database.failures] == [("b",)]
        assert not parts.due
        database.retry_failures()
        assert list(parts.due) == [("b",)]
        table.discard("b")
        assert (parts.go_on(100), parts.results, database.failures) == (["b"], {"a": 2, "c": 10}, [])

    def test_a_failure_that_queries_do_not_remember_stays_with_its_member(self, database: Database) -> None:
        members, read = Table[str, int](database, "members"), Table[str, int](database, "read")
        lacks: list[str] = []
        used: list[ref[object]] = []

        def doubled(key: str) -> int:
            number = read[key]
            if key in lacks:
                much = LayeredDict[str, int]()
                used.append(ref(much))
                raise MemoryError
            return number * 2

        query = Query(database, "doubled", doubled)
        results = Gradual(database, "results", members, lambda key, _: query(key))
        members["a"], members["b"], read["a"], read["b"] = 0, 0, 1, 1
        assert (results.go_on(100), results.results) == (["a", "b"], {"a": 2, "b": 2})
        read["a"], read["b"] = 5, 5
        lacks.append("a")
        assert (results.go_on(100), results.results) == (["b"], {"a": 2, "b": 10})
        assert [(failure.query, failure.key) for failure in database.failures] == [("results", ("a",))]
        assert used[0]() is None, "the failure holds no memory"
        assert not results.due
        lacks.clear()
        assert query("a") == 10, "the query does not remember it"
        database.retry_failures()
        assert (results.go_on(100), results.results, database.failures) == (["a"], {"a": 10, "b": 10}, [])
