"""Addresses that follow services are those that Istio's loop over all of them allocates."""

from __future__ import annotations

from collections.abc import Iterable
from unittest import mock

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mizzen.mesh.services import address_allocation
from mizzen.mesh.services.address_allocation import AddressAllocation, ServiceKey, SlotRequest, fnv1a

SMALL = {"_SLOTS": 42, "_PRIME": 37, "_LAST_PARTS": 7}
"""So few slots that requests meet; 41 is a prime, as attempts go on modulo one slot less."""


def at_once(
    requests: Iterable[SlotRequest], slots: int, prime: int, last_parts: int
) -> dict[ServiceKey, int]:
    """Return the numbers of Istio's loop over all requests, the oldest first."""
    taken: dict[int, ServiceKey] = {}
    for _, key, _ in sorted(requests):
        if len(taken) >= slots - 1:
            break
        value = fnv1a("/".join(key))
        slot, attempt = value % slots, 0
        while slot in taken:
            attempt += 1
            slot = (value + attempt * (prime - value % prime)) % (slots - 1)
        taken[slot] = key
    numbers: dict[ServiceKey, int] = {}
    skipped = 1
    for slot in sorted(taken):
        if (slot + skipped) % last_parts == 0:
            skipped += 1
        numbers.setdefault(taken[slot], slot + skipped)
    return numbers


def numbers(allocation: AddressAllocation) -> dict[ServiceKey, int]:
    return {key: allocation._number(key) for key in allocation.slots_of}


def slot_request(age: int, host: int, equal: int) -> SlotRequest:
    name = f"s{host}.example"
    return ((float(age), name, "default", name), ("default", name), equal)


REQUESTS = st.builds(slot_request, st.integers(0, 3), st.integers(0, 60), st.integers(0, 1))
HISTORIES = st.lists(st.tuples(st.sets(REQUESTS, max_size=25), st.sets(REQUESTS, max_size=8)), max_size=8)


@given(HISTORIES)
def test_the_same_as_at_once(history: list[tuple[set[SlotRequest], set[SlotRequest]]]) -> None:
    with mock.patch.multiple(address_allocation, **SMALL):
        allocation, there = AddressAllocation(), set[SlotRequest]()
        for new, gone in history:
            before, was = allocation, there
            there = (there | new) - gone
            allocation = allocation.updated(was - there, there - was)
            now = numbers(allocation)
            assert now == at_once(there, *SMALL.values())
            passed = allocation.displaced
            again = AddressAllocation().updated((), there)
            assert {slot: set(passed.get(slot)) for slot in passed} == {
                slot: set(again.displaced.get(slot)) for slot in again.displaced
            }
            differing = {key for key in now if numbers(before).get(key) != now[key]}
            assert differing <= set(allocation.differing(before))


@pytest.mark.parametrize("taken_away", [0, 1_500, 2_999])
def test_thousands_of_services_as_at_once(taken_away: int) -> None:
    requests = [slot_request(number % 5, number, 0) for number in range(3_000)]
    allocation = AddressAllocation().updated((), requests)
    constants = (256 * 254, 65011, 255)
    assert numbers(allocation) == at_once(requests, *constants)
    without = allocation.updated([requests[taken_away]], ())
    assert numbers(without) == at_once([one for one in requests if one != requests[taken_away]], *constants)
    assert numbers(without.updated((), [requests[taken_away]])) == numbers(allocation)
