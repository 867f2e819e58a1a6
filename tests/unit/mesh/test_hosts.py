from __future__ import annotations

import pytest

from mizzen.mesh.hosts import HostIndex, is_subset_of, matches, resolve_short_name, specificity


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("a.com", "a.com", True),
        ("a.com", "b.com", False),
        ("*.com", "a.com", True),
        ("*.a.com", "a.com", False),
        ("*a.com", "a.com", True),
        ("*a.com", "ba.com", True),
        ("*.com", "*.a.com", True),
        ("*.a.com", "*.b.com", False),
        ("*", "*.a.com", True),
        ("*", "anything", True),
    ],
)
def test_matching_is_symmetric(left: str, right: str, expected: bool) -> None:
    assert matches(left, right) is expected
    assert matches(right, left) is expected


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [
        ("a.com", "a.com", True),
        ("a.com", "*.com", True),
        ("*.com", "a.com", False),
        ("*.a.com", "*.com", True),
        ("*.com", "*.a.com", False),
        ("*.com", "*", True),
        ("*", "*", True),
    ],
)
def test_subset(narrow: str, wide: str, expected: bool) -> None:
    assert is_subset_of(narrow, wide) is expected


def test_specific_hosts_sort_first() -> None:
    hosts = ["*", "*.com", "b.com", "*.a.com", "a.com", "long.a.com"]
    assert sorted(hosts, key=specificity) == ["long.a.com", "a.com", "b.com", "*.a.com", "*.com", "*"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("reviews", "reviews.shop.svc.cluster.local"),
        ("reviews.other", "reviews.other"),
        ("*", "*"),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
    ],
)
def test_short_names(host: str, expected: str) -> None:
    assert resolve_short_name(host, "shop") == expected


def test_short_name_without_a_domain() -> None:
    assert resolve_short_name("reviews", "shop", "") == "reviews.shop"


def test_lookups() -> None:
    index = HostIndex({"a.b.com": 1, "*.b.com": 2, "*.com": 3, "*": 4, "*b.com": 5})
    assert index.most_specific("a.b.com") == ("a.b.com", 1)
    assert index.most_specific("x.b.com") == ("*.b.com", 2)
    assert index.most_specific("xb.com") == ("*b.com", 5)
    assert index.most_specific("b.com") == ("*b.com", 5)
    assert index.most_specific("org") == ("*", 4)
    assert index.most_specific("*.b.com") == ("*.b.com", 2)
    assert index.most_specific("*.x.b.com") == ("*.b.com", 2)
    assert {host for host, _ in index.under("*.b.com")} == {"a.b.com", "*.b.com"}
    assert {host for host, _ in index.matching("*.x.b.com")} == {"*.b.com", "*.com", "*", "*b.com"}


def test_an_updated_index_leaves_the_old_one_alone() -> None:
    before = HostIndex({"a.com": 1, "*.com": 2})
    assert list(before.under("*.com"))
    after = before.updated({"a.com": None, "*.a.com": 3, "b.com": 4})
    assert before.most_specific("a.com") == ("a.com", 1)
    assert after.most_specific("a.com") == ("*.com", 2)
    assert after.most_specific("x.a.com") == ("*.a.com", 3)
    assert {host for host, _ in after.under("*.com")} == {"*.com", "*.a.com", "b.com"}


def test_an_index_knows_its_changes_and_is_the_same_without_any() -> None:
    index = HostIndex({"a.com": 1, "b.com": 2, "*.d.com": 4})
    changed = index.updated({"a.com": None, "*.c.com": 3})
    assert sorted(index.differing(changed)) == ["*.c.com", "a.com"]
    assert changed.updated({}) is changed


def test_several_indexes_are_changed_where_they_differ() -> None:
    indexes = HostIndex.patched({}, {"one": {"a.com": 1}, "two": {"b.com": 2}})
    after = HostIndex.patched(indexes, {"two": {"b.com": None}})
    assert after == {"one": indexes["one"]}
    assert HostIndex.patched(indexes, {}) is indexes
