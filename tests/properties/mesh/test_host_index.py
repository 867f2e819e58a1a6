"""Lookups by index give what comparing with every host gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mizzen.mesh.hosts import HostIndex, is_subset_of, is_wildcard, matches, specificity

names = st.lists(st.sampled_from(("a", "b", "ab", "com")), min_size=1, max_size=4).map(".".join)
hosts = st.one_of(names, names.map("*.{}".format), names.map("*{}".format), st.just("*"))
indexes = st.dictionaries(hosts, st.integers(1, 9), max_size=12)
changes = st.dictionaries(hosts, st.one_of(st.none(), st.integers(1, 9)), max_size=6)


@given(indexes, st.lists(changes, max_size=3), hosts)
def test_index_equals_comparison(
    first: dict[str, int], steps: list[dict[str, int | None]], host: str
) -> None:
    known = dict(first)
    index = HostIndex(first)
    for step in steps:
        list(index.under("*.com"))
        index = index.updated(step)
        for name, value in step.items():
            known.pop(name, None)
            if value is not None:
                known[name] = value
    assert dict(index.under("*")) == known
    assert dict(index.matching(host)) == {one: known[one] for one in known if matches(one, host)}
    assert dict(index.under(host)) == {one: known[one] for one in known if is_subset_of(one, host)}
    covering = sorted((one for one in known if _covers(one, host)), key=specificity)
    assert [one for one, _ in index.covering(host)] == covering
    assert index.most_specific(host) == ((covering[0], known[covering[0]]) if covering else None)


def _covers(wide: str, host: str) -> bool:
    # Istio's MostSpecificHostMatch looks at the text behind a wildcard's star.
    return wide == host or (is_wildcard(wide) and host.removeprefix("*").endswith(wide[1:]))


@given(hosts, hosts)
def test_a_subset_matches(left: str, right: str) -> None:
    assert matches(left, right) == matches(right, left)
    if is_subset_of(left, right):
        assert matches(left, right)
