"""Immutable collections hold what plain ones would hold, and earlier versions stay as they were."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mizzen.persistent import ChunkedSequence, LayeredDict, Multimap

KEYS = st.integers(0, 400)
STEPS = st.lists(
    st.tuples(st.dictionaries(KEYS, st.integers(0, 3), max_size=8), st.lists(KEYS, max_size=4)), max_size=60
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 300), STEPS)
def test_a_layered_dict_is_a_dict(size: int, steps: list[tuple[dict[int, int], list[int]]]) -> None:
    model = dict.fromkeys(range(size), 9)
    now = LayeredDict(model)
    versions = [(now, dict(model))]
    for changed, removed in steps:
        for key in removed:
            model.pop(key, None)
        model |= changed
        now = now.updated(changed, removed)
        versions.append((now, dict(model)))
    for version, wanted in versions:
        assert len(version) == len(wanted)
        assert dict(version.items()) == wanted
        assert list(version) == [key for key, _ in version.items()]
        assert list(version.values()) == [version[key] for key in version]
        assert {key for key in range(401) if key in version} == wanted.keys()
        assert [version.get(key) for key in range(401)] == [wanted.get(key) for key in range(401)]
    for at, (version, wanted) in enumerate(versions):
        different = {key for key in range(401) if wanted.get(key) != model.get(key)}
        assert set(now.differing(version)) == set(version.differing(now)) == different
        since = now._since(version)
        assert since is None or different <= since
        assert len(versions) - at > 30 or since is not None or size < 2 * len(steps)


@given(st.dictionaries(KEYS, st.integers()), st.dictionaries(KEYS, st.integers()), st.sets(KEYS))
def test_one_laid_over_another(base: dict[int, int], members: dict[int, int], removed: set[int]) -> None:
    below = LayeredDict(base)
    wanted = {key: value for key, value in base.items() if key not in removed} | members
    over = LayeredDict.over(below, members, removed)
    assert (dict(over.items()), len(over)) == (wanted, len(wanted))
    other = LayeredDict.over(below.updated({3: 9}), members, removed)
    assert set(other.differing(over)) == ({3} - members.keys() - removed if base.get(3) != 9 else set())
    untouched = next(key for key in range(1000, 0, -1) if key not in {*members, *removed})
    moved = below.updated({untouched: 5})
    assert over.rebased(moved) == LayeredDict.over(moved, members, removed)
    assert len(over.rebased(moved)) == len(LayeredDict.over(moved, members, removed))
    assert set(over.differing(moved)) == {key for key in range(1001) if over.get(key) is not moved.get(key)}
    changed = over.updated({1: 7}, [2])
    wanted[1] = 7
    wanted.pop(2, None)
    assert (dict(changed.items()), len(changed)) == (wanted, len(wanted))
    assert dict(below.items()) == base


class _Thing:
    """Compared by identity, ordered by a number that no other has."""

    def __init__(self, number: int) -> None:
        self.number = number


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 600), st.lists(st.tuples(st.sets(KEYS, max_size=5), st.sets(KEYS, max_size=5))))
def test_a_chunked_sequence_is_a_sorted_list(size: int, steps: list[tuple[set[int], set[int]]]) -> None:
    model = {number: _Thing(number) for number in range(size)}
    now = ChunkedSequence(model.values())
    versions = [(now, list(model.values()))]
    for removed, put in steps:
        gone = [model.pop(number) for number in removed | put if number in model]
        made = [_Thing(number) for number in put]
        model |= {each.number: each for each in made}
        now = now.updated(gone, made, lambda each: each.number)
        versions.append((now, [model[number] for number in sorted(model)]))
    for version, wanted in versions:
        assert list(version) == wanted
        assert len(version) == len(wanted)
        assert [version[at] for at in range(len(wanted))] == wanted
        left, came = now.difference(version)
        assert set(now) - set(version) <= set(left)
        assert set(version) - set(now) <= set(came)
        assert (now == version) == (list(now) == list(version))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 5)), max_size=80))
def test_a_multimap_is_a_dict_of_dicts(steps: list[tuple[bool, int, int]]) -> None:
    model: dict[int, dict[int, int]] = {}
    now: Multimap[int, int, int] = Multimap()
    for number, (puts, key, member) in enumerate(steps):
        edit = now.edit()
        if puts:
            edit.put(key, member, number)
            model.setdefault(key, {})[member] = number
        else:
            edit.discard(key, member)
            model.get(key, {}).pop(member, None)
        assert dict(edit.get(key)) == model.get(key, {})
        now = edit.finish()
        assert {each: dict(now.get(each)) for each in now} == {k: v for k, v in model.items() if v}
