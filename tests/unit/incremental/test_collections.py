"""Collections: what a changed member costs, and who hears of it."""

from __future__ import annotations

from mizzen.incremental import Database, Flattened, Index, Mapped, Merged, Ordered, Query, Table

MANY = 10_000


def test_a_changed_member_costs_one_computation_at_each_step() -> None:
    database = Database()
    table = Table[int, int](database, "table")
    for key in range(MANY):
        table[key] = key
    doubled = Mapped(database, "doubled", table, lambda _, value: 2 * value)
    named = Mapped(database, "named", doubled, lambda key, value: {f"{key}": value})
    flat = Flattened(database, "flat", named)
    ordered = Ordered(database, "ordered", flat, lambda key, value: (value, key))
    cursor = ordered.cursor()
    assert len(ordered) == MANY
    before = database.computed
    table[3] = 500
    assert cursor.take() == ["3"]
    assert flat["3"] == 1000
    assert database.computed - before == 2
    table[3] = 500
    table.discard(4)
    assert cursor.take() == ["4"]


def test_a_reader_of_one_group_hears_of_that_group_only() -> None:
    database = Database()
    table = Table[str, tuple[int, ...]](database, "table")
    table["a"], table["b"], table["c"] = (80,), (80, 90), (90,)
    ports = Index(database, "ports", table, lambda _, value: value)
    count = Query(database, "count", lambda port: len(ports.group(port)))
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
    assert set(joined.inputs_of("7")) == {("services", "7"), ("rules", "7")}


def test_an_index_over_what_is_joined_is_settled_before_it_is_read() -> None:
    """A query that reads a collection which stands on others is marked only when those are settled: who asks
    must not be given what was remembered before."""
    database = Database()
    services, rules = Table[str, int](database, "services"), Table[str, int](database, "rules")
    services["a"], rules["a"] = 1, 80
    joined = Mapped(database, "joined", services, lambda key, _: rules.get(key))
    by_port = Index(database, "by port", joined, lambda _, port: (port,))
    names = Query(database, "names", lambda port: sorted(by_port.group(port)))
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


def test_of_several_givers_the_least_counts_and_the_next_stands_in() -> None:
    database = Database()
    table = Table[str, dict[str, int]](database, "table")
    flat = Flattened(database, "flat", table)
    table["b"] = {"x": 2}
    table["a"] = {"x": 1, "y": 1}
    assert dict(flat.items()) == {"x": 1, "y": 1}
    table["a"] = {"y": 3}
    assert dict(flat.items()) == {"x": 2, "y": 3}
    table.discard("b")
    assert dict(flat.items()) == {"y": 3}


def test_the_first_of_merged_collections_counts() -> None:
    database = Database()
    one, two = Table[str, int](database, "one"), Table[str, int](database, "two")
    merged = Merged(database, "merged", (one, two))
    one["a"], two["a"], two["b"] = 1, 2, 3
    assert dict(merged.items()) == {"a": 1, "b": 3}
    one.discard("a")
    assert merged["a"] == 2


def test_members_in_order_follow_what_moves() -> None:
    database = Database()
    table = Table[str, int](database, "table")
    for name, value in zip("abcdefghijklmnopqrst", range(20), strict=True):
        table[name] = value
    ordered = Ordered(database, "ordered", table, lambda key, value: (-value, key))
    assert [key for key, _ in ordered.in_order()] == list("tsrqponmlkjihgfedcba")
    table["a"] = 99
    table.discard("s")
    assert [key for key, _ in ordered.in_order()] == list("atrqponmlkjihgfedcb")
