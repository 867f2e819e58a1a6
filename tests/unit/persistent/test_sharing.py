"""A next version shares what did not change, and is the same object if nothing did."""

from __future__ import annotations

from collections.abc import Sequence

from mizzen.persistent import ChunkedSequence, LayeredDict, Multimap


def test_nothing_changed_is_the_same_object() -> None:
    numbers = LayeredDict({1: "one"})
    assert numbers.updated({}, [2]) is numbers
    assert numbers.updated({1: numbers[1]}) is numbers
    sequence = ChunkedSequence([1, 2])
    assert sequence.updated([], [], lambda each: each) is sequence
    assert ChunkedSequence.joined(sequence, ChunkedSequence()) is sequence
    members: Multimap[int, int, str] = Multimap(LayeredDict({1: LayeredDict({2: "two"})}))
    edit = members.edit()
    edit.discard(1, 3)
    edit.put(1, 2, members.get(1)[2])
    assert edit.finish() is members


def test_a_change_of_a_large_mapping_copies_little() -> None:
    before = LayeredDict(dict.fromkeys(range(10_000), 0))
    for number in range(40):
        after = before.updated({number: 1}, [9_999 - number])
        assert after._base is before._base
        assert len(after._changes) <= 100
        before = after


def test_a_later_version_knows_what_changed() -> None:
    first = now = LayeredDict(dict.fromkeys(range(1_000), 0))
    for number in range(100):
        now = now.updated({number: 1})
    assert now._since(first) == set(range(100))
    assert sorted(now.differing(first)) == sorted(first.differing(now)) == list(range(100))
    assert first._since(now) is None
    assert LayeredDict(dict(first))._since(first) is None


def test_a_version_too_far_back_is_not_known_any_more() -> None:
    first = now = LayeredDict(dict.fromkeys(range(40), 0))
    for number in range(1_000):
        now = now.updated({number % 40: number})
    assert now._since(first) is None
    assert sorted(now.differing(first)) == list(range(40))


def test_many_mappings_over_one_share_all_of_it() -> None:
    base = LayeredDict(dict.fromkeys(range(10_000), 0))
    over = LayeredDict.over(base, {5: 1}, [6])
    assert (over._base, len(over._changes)) == (base, 2)
    assert (over[5], 6 in over, over[7], len(over)) == (1, False, 0, 9_999)


def test_chunks_that_did_not_change_are_shared() -> None:
    before = ChunkedSequence(map(float, range(10_000)))
    after = before.updated([], [2.5], lambda each: each)
    assert len(set(map(id, after._chunks)) - set(map(id, before._chunks))) <= 2
    assert after.difference(before) == ([2.5], [])


def test_what_is_made_of_chunks_is_made_again_only_where_members_changed() -> None:
    made: list[int] = []

    def total(members: Sequence[float]) -> float:
        made.append(len(members))
        return sum(members)

    before = ChunkedSequence(map(float, range(10_000)))
    assert sum(before.of_chunks(total)) == sum(range(10_000))
    made.clear()
    after = before.updated([], [2.5], lambda each: each)
    assert sum(after.of_chunks(total)) == sum(before.of_chunks(total)) + 2.5
    assert (len(made), sum(made) < 200) == (1, True)
    assert after.of_chunks(len) == [len(chunk) for chunk in after._chunks], "of another function"
