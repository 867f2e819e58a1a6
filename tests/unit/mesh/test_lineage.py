"""Telling what changed between two versions of something immutable."""

from mizzen.mesh.hosts import HostIndex
from mizzen.mesh.lineage import Lineage


def test_what_changed_since_an_earlier_version_is_told() -> None:
    first = Lineage()
    second = first.following(frozenset({"a"}))
    third = second.following(frozenset({"b"}))
    assert third.since(first) == {"a", "b"}
    assert third.since(second) == {"b"}
    assert third.since(third) == frozenset()


def test_of_a_version_that_is_none_of_its_own_nothing_is_known() -> None:
    first = Lineage()
    one, other = first.following(frozenset({"a"})), first.following(frozenset({"b"}))
    assert one.since(other) is None
    assert first.since(one) is None


def test_a_version_too_far_back_is_not_known_any_more() -> None:
    oldest = latest = Lineage()
    for number in range(100):
        latest = latest.following(frozenset({str(number)}))
    assert latest.since(oldest) is None


def test_an_index_knows_its_changes_and_keeps_its_place_without_any() -> None:
    index = HostIndex({"a.com": 1, "b.com": 2})
    changed = index.updated({"a.com": None, "*.c.com": 3})
    assert changed.lineage.since(index.lineage) == {"a.com", "*.c.com"}
    assert changed.updated({}).lineage is changed.lineage


def test_several_indexes_are_changed_where_they_differ() -> None:
    indexes = HostIndex.patched({}, {"one": {"a.com": 1}, "two": {"b.com": 2}})
    after = HostIndex.patched(indexes, {"two": {"b.com": None}})
    assert after == {"one": indexes["one"]}
    assert HostIndex.patched(indexes, {}) is indexes
