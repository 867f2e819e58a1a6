"""Each scenario of the public xDS test harness (docs/conformance.md), in all variants to which it applies."""

from __future__ import annotations

import pytest

from tests.conformance.cases import EVERY, FULL, cases
from tests.conformance.peer import AGGREGATED, ALL, INCREMENTAL, SOTW, TYPES

# Subscribing, state of the world


@cases(SOTW, FULL)
async def test_the_wildcard_brings_everything_in_one_response(target, variant, type_url) -> None:
    await target.serve((type_url,), "A,B,C")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url)
    await peer.until_held(type_url, {"A": "1", "B": "1", "C": "1"})
    await target.quiet()
    assert len(peer.told) == 1


@cases(SOTW, FULL)
async def test_the_wildcard_brings_updates(target, variant, type_url) -> None:
    await target.serve((type_url,), "A,B,C")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url)
    await peer.until_held(type_url, {"A": "1", "B": "1", "C": "1"})
    await target.update(type_url, "A", "2")
    await peer.until_held(type_url, {"A": "2", "B": "2", "C": "2"})
    await target.quiet()
    assert peer.told[-1].names == {"A", "B", "C"}
    assert len(peer.told) == 2


@cases(SOTW, FULL)
async def test_the_wildcard_brings_what_is_added(target, variant, type_url) -> None:
    await target.serve((type_url,), "A,B,C")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url)
    await peer.until_held(type_url, {"A": "1", "B": "1", "C": "1"})
    await target.add(type_url, "D", "2")
    await peer.until_held(type_url, {"A": "2", "B": "2", "C": "2", "D": "2"})
    await target.quiet()
    assert len(peer.told) == 2


@cases(ALL, EVERY)
async def test_only_what_is_asked_for_comes(target, variant, type_url) -> None:
    await target.serve((type_url,), "A,B,C,D")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "B", "D")
    await peer.until_held(type_url, {"B": "1", "D": "1"})
    await target.quiet()
    assert peer.held(type_url) == {"B": "1", "D": "1"}
    assert len(peer.told) == 1


@cases(SOTW, EVERY)
async def test_updates_of_what_is_asked_for(target, variant, type_url) -> None:
    """All names again for the types that say everything each time, only the changed one for the others."""
    await target.serve((type_url,), "A,B,C,D")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "B", "D")
    await peer.until_held(type_url, {"B": "1", "D": "1"})
    await target.update(type_url, "B", "2")
    full = type_url in {TYPES[each] for each in FULL}
    await peer.until_held(type_url, {"B": "2", "D": "2" if full else "1"})
    await target.update(type_url, "A", "3")
    await target.quiet()
    assert len(peer.told) == 2


@cases(SOTW, EVERY)
async def test_what_did_not_exist_comes_when_it_is_made(target, variant, type_url) -> None:
    await target.serve((type_url,), "A,B,C")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A", "Z")
    await peer.until_held(type_url, {"A": "1"})
    await target.add(type_url, "Z", "2")
    full = type_url in {TYPES[each] for each in FULL}
    await peer.until_held(type_url, {"A": "2" if full else "1", "Z": "2"})
    await target.quiet()
    assert len(peer.told) == 2


@pytest.mark.parametrize(
    ("first", "second"), [("CDS", "LDS"), ("LDS", "CDS"), ("RDS", "EDS"), ("EDS", "RDS")]
)
@pytest.mark.parametrize("variant", AGGREGATED, ids=str)
async def test_two_types_on_one_stream(target, variant, first, second) -> None:
    one, two = TYPES[first], TYPES[second]
    await target.serve((one, two), "A,B,C")
    peer = target.peer(variant, one)
    await peer.subscribe(one, "B")
    await peer.subscribe(two, "B")
    await peer.until_held(one, {"B": "1"})
    await peer.until_held(two, {"B": "1"})
    await target.update(one, "B", "2")
    await peer.until_held(one, {"B": "2"})
    assert peer.held(two) == {"B": "1"}
    await target.update(two, "B", "2")
    await peer.until_held(two, {"B": "2"})
    await target.quiet()


# Unsubscribing, state of the world


@cases(SOTW, EVERY)
async def test_what_is_asked_for_no_longer_does_not_come(target, variant, type_url) -> None:
    await target.serve((type_url,), "A,B,C,D")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A", "B")
    await peer.until_held(type_url, {"A": "1", "B": "1"})
    await target.quiet()
    await peer.subscribe(type_url, "A")
    await target.heard(type_url, "A")
    await target.update(type_url, "B", "2")
    await target.update(type_url, "A", "3")
    await peer.until(lambda: peer.held(type_url).get("A") == "3")
    await target.quiet()
    assert peer.told[-1].names == {"A"}
    assert "B" not in {name for told in peer.told[1:] for name in told.names}


@cases(SOTW, EVERY)
async def test_who_asks_for_nothing_any_more_is_told_nothing(target, variant, type_url) -> None:
    await target.serve((type_url,), "A,B,C,D")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A", "B")
    await peer.until_held(type_url, {"A": "1", "B": "1"})
    await target.quiet()
    await peer.subscribe(type_url)
    await target.heard(type_url)
    await target.quiet()
    told = len(peer.told)
    await target.update(type_url, "B", "2")
    await target.quiet()
    assert [each for each in peer.told[told:] if each.names] == []


# Incremental


@cases(INCREMENTAL, EVERY)
async def test_one_name_after_the_other(target, variant, type_url) -> None:
    await target.serve((type_url,), "A,B,C")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A")
    await peer.until_held(type_url, {"A": "1"})
    await peer.subscribe(type_url, "B")
    await peer.until_held(type_url, {"A": "1", "B": "1"})
    await target.quiet()
    assert [told.names for told in peer.told] == [{"A"}, {"B"}]


@cases(INCREMENTAL, EVERY)
async def test_an_update_brings_only_what_changed(target, variant, type_url) -> None:
    await target.serve((type_url,), "A,B,C")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A", "B", "C")
    await peer.until_held(type_url, {"A": "1", "B": "1", "C": "1"})
    await target.update(type_url, "A", "2")
    await peer.until_held(type_url, {"A": "2", "B": "1", "C": "1"})
    await target.quiet()
    assert peer.told[-1].names == {"A"}
    assert len(peer.told) == 2


@cases(INCREMENTAL, EVERY)
async def test_what_does_not_exist_is_said_and_comes_when_it_is_made(target, variant, type_url) -> None:
    """The harness has the first half only as a comment."""
    await target.serve((type_url,), "A")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A", "B")
    await peer.until(lambda: any("B" in told.removed for told in peer.told))
    await peer.until_held(type_url, {"A": "1"})
    await target.add(type_url, "B", "2")
    await peer.until_held(type_url, {"A": "1", "B": "2"})
    await target.quiet()
    assert peer.told[-1].names == {"B"}


@cases(INCREMENTAL, EVERY)
async def test_what_is_removed_is_said_and_comes_when_it_is_made_again(target, variant, type_url) -> None:
    await target.serve((type_url,), "A,B")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A", "B")
    await peer.until_held(type_url, {"A": "1", "B": "1"})
    await target.remove(type_url, "B", "1")
    await peer.until_held(type_url, {"A": "1"})
    assert peer.told[-1].removed == {"B"}
    await target.add(type_url, "B", "2")
    await peer.until_held(type_url, {"A": "1", "B": "2"})
    await target.quiet()
    assert peer.told[-1].names == {"B"}
    assert len(peer.told) == 3


@cases(INCREMENTAL, EVERY)
async def test_names_are_given_up_one_by_one(target, variant, type_url) -> None:
    await target.serve((type_url,), "A,B")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A", "B")
    await peer.until_held(type_url, {"A": "1", "B": "1"})
    await target.quiet()
    await peer.unsubscribe(type_url, "B")
    await target.heard(type_url, "A")
    await target.update(type_url, "B", "2")
    await target.quiet()
    await target.update(type_url, "A", "2")
    await peer.until_held(type_url, {"A": "2"})
    await target.quiet()
    await peer.unsubscribe(type_url, "A")
    await target.heard(type_url)
    await target.update(type_url, "A", "3")
    await target.quiet()
    assert [told.names for told in peer.told] == [{"A", "B"}, {"A"}]
