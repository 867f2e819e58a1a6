"""After any changes, in any order of asking, everything is what a new database computes from the inputs."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mizzen.incremental import (
    CollectionQuery,
    Database,
    Grouped,
    Mapped,
    Merged,
    Query,
    Table,
)

KEYS = st.integers(0, 4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["set a", "set b", "set c"]), KEYS, st.integers(-2, 3)),
        st.tuples(st.sampled_from(["remove a", "remove b", "remove c"]), KEYS, st.just(0)),
        st.tuples(st.just("ask"), st.integers(0, 8), KEYS),
        st.tuples(st.sampled_from(["watch", "close", "sweep"]), st.integers(0, 8), KEYS),
    ),
    max_size=60,
)


class Graph:
    """Every kind of node, standing on each other in more than one way."""

    def __init__(self, *, checking: bool) -> None:
        self.database = database = Database(checking=checking)
        a, b, c = (Table[int, int](database, name) for name in "abc")
        self.tables = {"a": a, "b": b, "c": c}
        joined = Mapped(database, "joined", a, lambda key, value: value + b.get(value, 0) or None)
        index = Grouped(database, "index", joined, lambda key, value: {value: value, key % 2: -value})
        members = Query(database, "members", lambda group: tuple(sorted(index.get(group, {}).items())))
        low = Query(database, "low", lambda key: min(b.get(key, 0), 1))
        high = Query(database, "high", lambda key: (low(key), low(c.get(key, 0)), members(key)))
        choosing = Query(database, "choosing", lambda key: high(key) if low(key) else members(c.get(key, 1)))
        wide = Mapped(database, "wide", c, lambda key, value: {value: members(value), key + 9: low(key)})
        counted = Grouped(database, "counted", wide, lambda _, found: {len(repr(found)) % 5: found})
        merged = Merged(database, "merged", (joined, a))
        kept = CollectionQuery(
            database,
            "kept",
            lambda key: _above(database, merged, low(key)),
        )
        late = Mapped(database, "late", a, lambda key, value: (value, sorted(kept(key).items())))
        self.asked: list[Query[int, Any]] = [
            members,
            high,
            choosing,
            Query(database, "counted", lambda key: dict(counted.get(key, {}))),
            Query(
                database, "groups", lambda _: sorted((key, sorted(group)) for key, group in counted.items())
            ),
            Query(database, "merged all", lambda _: sorted(merged.items())),
            Query(database, "kept all", lambda key: sorted(kept(key).items())),
            Query(database, "late", lambda key: late.get(key)),
            Query(database, "merged", lambda key: (merged.get(key), key in joined, len(merged))),
        ]


def _above(database: Database, source: Any, bound: int) -> Mapped[int, int, int]:
    return Mapped(database, "above", source, lambda _, value: value if value > bound else None)


@given(STEPS)
@settings(max_examples=300)
def test_the_same_as_from_nothing(steps: list[tuple[str, int, int]]) -> None:
    graph = Graph(checking=False)
    watches: dict[tuple[int, int], tuple[Any, Any]] = {}
    for what, one, two in steps:
        word, _, name = what.partition(" ")
        if word == "set":
            graph.tables[name][one] = two
        elif word == "remove":
            graph.tables[name].discard(one)
        elif word == "ask":
            assert graph.asked[one](two) == _anew(graph).asked[one](two)
        elif word == "sweep":
            graph.database.sweep()
        elif word == "watch" and (one, two) not in watches:
            watch = graph.asked[one].watch(two)
            watches[one, two] = (watch, watch.value())
        elif word == "close" and (one, two) in watches:
            watches.pop((one, two))[0].close()
        stale = graph.database.take_stale()
        for place, (watch, value) in watches.items():
            fresh = _anew(graph).asked[place[0]](place[1])
            assert watch.value() == fresh
            assert fresh == value or watch in stale
            watches[place] = (watch, fresh)
    for watch, _ in watches.values():
        watch.close()
    graph.database.sweep()
    # The collections stand for good, and one of them reads the first of the queries.
    assert [len(query) for query in graph.asked[1:]] == [0] * (len(graph.asked) - 1)


@given(STEPS)
@settings(max_examples=100)
def test_no_read_goes_unrecorded(steps: list[tuple[str, int, int]]) -> None:
    graph = Graph(checking=True)
    for what, one, two in steps:
        word, _, name = what.partition(" ")
        if word == "set":
            graph.tables[name][one] = two
        elif word == "remove":
            graph.tables[name].discard(one)
        else:
            graph.asked[one](two)


def _anew(graph: Graph) -> Graph:
    new = Graph(checking=False)
    for name, table in graph.tables.items():
        for key, value in table.items():
            new.tables[name][key] = value
    return new
