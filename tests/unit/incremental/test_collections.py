"""Collections: what a changed member costs, and who hears of it."""

from __future__ import annotations

from mizzen.incremental import Database, Grouped, Mapped, Merged, Query, Table

MANY = 10_000


def test_a_changed_member_costs_one_computation_at_each_step() -> None:
    database = Database()
    table = Table[int, int](database, "table")
    for key in range(MANY):
        table[key] = key
    doubled = Mapped(database, "doubled", table, lambda _, value: 2 * value)
    grouped = Grouped(database, "grouped", doubled, lambda key, value: {value: key})
    owners = Query(database, "owners", lambda value: grouped.get(value))
    watches = [owners.watch(value) for value in range(0, 2 * MANY, 2)]
    assert sum(watch.value() is not None for watch in watches) == MANY
    database.take_stale()
    before = database.computed
    table[3] = 500
    stale = database.take_stale()
    assert sorted(watch.key for watch in stale) == [(6,), (1000,)]
    assert [watch.value() is None for watch in stale].count(True) == 1
    assert database.computed - before == 3
    table[3] = 500
    assert database.take_stale() == []


def test_a_reader_of_one_group_hears_of_that_group_only() -> None:
    database = Database()
    table = Table[str, tuple[int, ...]](database, "table")
    table["a"], table["b"], table["c"] = (80,), (80, 90), (90,)
    ports = Grouped(database, "ports", table, lambda _, value: dict.fromkeys(value))
    count = Query(database, "count", lambda port: len(ports.get(port, ())))
    assert [count(port) for port in (80, 90, 70)] == [2, 2, 0]
    before = database.computed
    table["c"] = (70,)
    assert [count(port) for port in (80, 90, 70)] == [2, 1, 1]
    assert database.computed - before == 2


def test_a_join_reads_what_it_looks_up() -> None:
    database = Database()
    services, rules = Table[str, int](database, "services"), Table[str, int](database, "rules")
    for key in range(MANY):
        services[f"{key}"] = key
    joined = Mapped(database, "joined", services, lambda key, value: (value, rules.get(key)))
    assert joined["7"] == (7, None)
    before = database.computed
    rules["7"] = 70
    assert (joined["7"], database.computed - before) == ((7, 70), 1)


def test_groups_of_what_is_joined_are_settled_before_they_are_read() -> None:
    """A query that reads a collection which stands on others is marked only when those are settled: who asks
    must not be given what was remembered before."""
    database = Database()
    services, rules = Table[str, int](database, "services"), Table[str, int](database, "rules")
    services["a"], rules["a"] = 1, 80
    joined = Mapped(database, "joined", services, lambda key, _: rules.get(key))
    by_port = Grouped(database, "by port", joined, lambda _, port: {port: None})
    names = Query(database, "names", lambda port: sorted(by_port.get(port, ())))
    above = Query(database, "above", lambda port: names(port))
    # This stands on `services` too, but reads what stands higher than it stood at first.
    wide = Mapped(database, "wide", services, lambda _, value: (value, above(80)))
    assert (above(80), wide["a"]) == (["a"], (1, ["a"]))
    rules["a"] = 90
    assert wide["a"] == (1, [])
    assert (above(80), above(90)) == ([], ["a"])
    services["b"] = 2
    rules["b"] = 80
    assert dict(wide.items()) == {"a": (1, ["b"]), "b": (2, ["b"])}


def test_the_first_of_merged_collections_counts() -> None:
    database = Database()
    one, two = Table[str, int](database, "one"), Table[str, int](database, "two")
    merged = Merged(database, "merged", (one, two))
    one["a"], two["a"], two["b"] = 1, 2, 3
    assert dict(merged.items()) == {"a": 1, "b": 3}
    one.discard("a")
    assert merged["a"] == 2
