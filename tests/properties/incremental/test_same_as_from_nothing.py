"""After any changes, in any order of asking, everything is what a new database computes from the inputs."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mizzen.incremental import Collection, Database, Gradual, Grouped, Lookup, Query, Table, Union

KEYS = st.integers(0, 4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["set a", "set b", "set c"]), KEYS, st.integers(-2, 3)),
        st.tuples(st.sampled_from(["remove a", "remove b", "remove c"]), KEYS, st.just(0)),
        st.tuples(st.just("ask"), st.integers(0, 10), KEYS),
        st.tuples(st.sampled_from(["watch", "unwatch", "sweep", "go on"]), st.integers(0, 10), KEYS),
    ),
    max_size=60,
)


class Graph:
    """Every kind of node, standing on each other in more than one way."""

    def __init__(self, *, checking: bool) -> None:
        self.database = database = Database(checking=checking)
        a, b, c = (Table[int, int](database, name) for name in "abc")
        self.tables = {"a": a, "b": b, "c": c}
        index = Grouped(database, "index", a, lambda key, value: {value: value, key % 2: -value})
        sizes = Grouped(database, "sizes", index, lambda _, group: {len(group): sorted(group)})
        keys = Union(database, "keys", index, b)
        self.found = Lookup[dict[int, int], int, int](database, "found", {}, lambda of, key: 10 // of[key])
        members = Query(database, "members", lambda group: tuple(sorted(index.get(group, {}).items())))
        low = Query(database, "low", lambda key: min(b.get(key, 0), 1))
        high = Query(database, "high", lambda key: (low(key), low(c.get(key, 0)), members(key)))
        choosing = Query(database, "choosing", lambda key: high(key) if low(key) else members(c.get(key, 1)))
        # Reads members that its reader has read already.
        through = Query(database, "through", lambda key: c.get(c.get(key, 0)))
        failing = Query(database, "failing", lambda key: 10 // c[key])
        kept = Query(database, "kept", lambda key: _above(database, keys, low(key)))
        self.asked: list[Query[int, Any]] = [
            members,
            high,
            choosing,
            Query(database, "sizes of", lambda key: dict(sizes.get(key, {}))),
            Query(database, "groups", lambda _: sorted((key, dict(group)) for key, group in sizes.items())),
            Query(database, "all keys", lambda _: sorted(keys)),
            Query(database, "kept all", lambda key: sorted(kept(key).items())),
            Query(database, "kept", lambda key: (kept(key).get(True), key in keys, len(keys))),
            Query(database, "around", lambda key: (c.get(key), through(key), through(0))),
            Query(database, "failed", lambda key: (c.get(0), failing(key))),
            Query(database, "found", lambda key: (self.found(key), low(key))),
        ]
        self.gradual = Gradual(
            database, "gradual", a, lambda key, value: (value, high(value)) if key else value
        )
        self.numbers: dict[int, int] = {}

    def set(self, name: str, key: int, value: int) -> None:
        self.tables[name][key] = value
        if name == "a":
            self.numbers = {**self.numbers, key: value}
            self.found.renew(self.numbers, [key])

    def remove(self, name: str, key: int) -> None:
        self.tables[name].discard(key)
        if name == "a":
            self.numbers = {each: value for each, value in self.numbers.items() if each != key}
            self.found.renew(self.numbers, [key])

    def answer(self, place: int, key: int) -> Any:
        """Return what is answered, or the kind of error that is raised."""
        try:
            return self.asked[place](key)
        except (ZeroDivisionError, KeyError) as error:
            return type(error)


def _above(database: Database, source: Collection[int, None], bound: int) -> Grouped[int, None, bool, None]:
    return Grouped(database, "above", source, lambda key, _: {key > bound: None})


@given(STEPS)
@settings(max_examples=300)
def test_the_same_as_from_nothing(steps: list[tuple[str, int, int]]) -> None:
    graph = Graph(checking=False)
    watched: dict[tuple[int, int], Any] = {}
    for what, one, two in steps:
        word, _, name = what.partition(" ")
        if word == "set":
            graph.set(name, one, two)
        elif word == "remove":
            graph.remove(name, one)
        elif word == "ask":
            assert graph.answer(one, two) == _anew(graph).answer(one, two)
        elif word == "sweep":
            graph.database.sweep()
        elif word == "watch":
            graph.asked[one].watch(two)
            watched[one, two] = graph.answer(one, two)
        elif word == "unwatch" and (one, two) in watched:
            graph.asked[one].unwatch(two)
            del watched[one, two]
        elif word == "go":
            graph.gradual.go_on(one)
            if not graph.gradual.due:
                assert graph.gradual.results == _results(_anew(graph))
        stale = {(place, *key) for place, query in enumerate(graph.asked) for key in query.take_stale()}
        for (place, key), value in watched.items():
            fresh = _anew(graph).answer(place, key)
            assert graph.answer(place, key) == fresh
            assert fresh == value or (place, key) in stale
            watched[place, key] = fresh
    for place, key in watched:
        graph.asked[place].unwatch(key)
    for key in range(5):
        graph.tables["a"].discard(key)
    graph.gradual.go_on(100)
    graph.database.sweep()
    assert not any(query.keys_read for query in graph.asked)
    assert not any(table.keys_read for table in graph.tables.values())


@given(STEPS)
@settings(max_examples=100)
def test_no_read_goes_unrecorded(steps: list[tuple[str, int, int]]) -> None:
    graph = Graph(checking=True)
    for what, one, two in steps:
        word, _, name = what.partition(" ")
        if word == "set":
            graph.set(name, one, two)
        elif word == "remove":
            graph.remove(name, one)
        elif word == "go":
            graph.gradual.go_on(one)
        else:
            graph.answer(one, two)


def _results(graph: Graph) -> dict[int, Any]:
    graph.gradual.go_on(100)
    return graph.gradual.results


def _anew(graph: Graph) -> Graph:
    new = Graph(checking=False)
    for name, table in graph.tables.items():
        for key, value in table.items():
            new.set(name, key, value)
    return new
