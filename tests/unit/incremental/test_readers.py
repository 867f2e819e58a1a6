"""Who read what, as a value that its owner can go back to."""

from __future__ import annotations

from mizzen.incremental import Readers


def test_those_who_read_what_changed_are_found() -> None:
    readers = Readers[str, int]().reading({1: {"a", "b"}, 2: {"b"}, 3: frozenset()})
    assert readers.of(["b"]) == {1, 2}
    assert readers.of(["a", "c"]) == {1}
    assert readers.of([]) == set()
    assert sorted(readers) == ["a", "b"]


def test_only_the_last_reads_of_a_reader_count() -> None:
    before = Readers[str, int]().reading({1: {"a", "b"}, 2: {"b"}})
    after = before.reading({1: {"c"}})
    assert (after.of(["a", "b"]), after.of(["c"])) == ({2}, {1})
    assert (before.of(["a"]), before.of(["c"])) == ({1}, set()), "what was before stays as it was"
    assert list(after.reading({1: frozenset(), 2: frozenset()})) == []
