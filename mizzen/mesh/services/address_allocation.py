"""Virtual addresses for services that have none, so that captured DNS can tell TCP services apart.

The algorithm is Istio's (autoAllocateIPs of pilot/pkg/serviceregistry/serviceentry): the same name gets the
same slot in every control plane, as far as names do not collide. Where they do, the older one has the slot:
the order in which documents came does not matter.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from mizzen.persistent import DictEdit, LayeredDict, Multimap, MultimapEdit

_SLOTS: Final = 256 * 254
_PRIME: Final = 65011
_FNV_OFFSET: Final = 0x811C9DC5
_FNV_PRIME: Final = 0x01000193
_LAST_PARTS: Final = 255
"""No address ends in 0, so there are so many last parts."""

ServiceKey = tuple[str, str]
Claim = tuple[tuple[float, str, str, str], ServiceKey, int]
"""A service's claim to a slot: its age, its namespace and hostname, and a number among equal ones. Claims are
sorted by age."""


def fnv1a(text: str) -> int:
    """Return the 32-bit FNV-1a hash of the text's UTF-8 bytes."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return value


def _wanted(claim: Claim) -> Iterator[int]:
    """Yield the slots that a claim takes if it gets them, the first one first. It does not end."""
    namespace, hostname = claim[1]
    value = fnv1a(f"{namespace}/{hostname}")
    yield value % _SLOTS
    step = _PRIME - value % _PRIME
    for attempt in count(1):
        yield (value + attempt * step) % (_SLOTS - 1)


@dataclass(frozen=True, slots=True, eq=False)
class AddressAllocation:
    """Who has which slot; immutable.

    `passed_by` finds the claims that wanted a slot before the one they have. `held` are the slots of a
    namespace and hostname, sorted: several services may claim an address for one. `skips` are the slots from
    which on one more number is skipped. `left_out` are claims that there is no room for.
    """

    slots: LayeredDict[int, Claim] = field(default_factory=LayeredDict)
    passed_by: Multimap[int, Claim, None] = field(default_factory=Multimap)
    held: LayeredDict[ServiceKey, tuple[int, ...]] = field(default_factory=LayeredDict)
    skips: tuple[int, ...] = ()
    left_out: tuple[Claim, ...] = ()

    def updated(self, gone: Iterable[Claim], new: Iterable[Claim]) -> AddressAllocation:
        """Return the allocation without the claims `gone` and with `new`: the same as one from nothing. It
        costs what moves. Claims beyond the 65,023 that there is room for get nothing, the youngest first."""
        gone, new = sorted(gone), sorted(new)
        if self.left_out or len(self.slots) + len(new) >= _SLOTS:
            return self._from_nothing({*self.slots.values(), *self.left_out}.difference(gone).union(new))
        edit = _Edit(self)
        for claim in gone:
            edit.remove(claim)
        for claim in new:
            edit.add(claim)
        return edit.finish()

    @staticmethod
    def _from_nothing(claims: Iterable[Claim]) -> AddressAllocation:
        edit = _Edit(AddressAllocation())
        in_order = sorted(claims)
        for claim in in_order[: _SLOTS - 1]:
            edit.add(claim)
        return edit.finish(tuple(in_order[_SLOTS - 1 :]))

    def addresses(self, key: ServiceKey) -> tuple[str, ...]:
        """Return the IPv4 and the IPv6 address of a namespace and hostname: those of its lowest slot; nothing
        if it has none."""
        number = self._number(key)
        if not number:
            return ()
        third, fourth = divmod(number, _LAST_PARTS)
        # Two digits for the last part: Istio writes one or two, which makes different pairs look the same.
        last = f"{third:x}{fourth:02x}" if third else f"{fourth:x}"
        return (f"240.240.{third}.{fourth}", f"2001:2::f0f0:{last}")

    def _number(self, key: ServiceKey) -> int:
        """Return the number that the addresses are made of; 0 for none."""
        slots = self.held.get(key)
        return slots[0] + 1 + bisect_right(self.skips, slots[0]) if slots else 0

    def differing(self, other: AddressAllocation) -> list[ServiceKey]:
        """Return namespaces and hostnames with all among them that have another address in the other one."""
        if self.skips == other.skips:
            return self.held.differing(other.held)
        # A number that is skipped moves all that follow, as in Istio.
        return [key for key in self.held if self._number(key) != other._number(key)]


class _Edit:
    """The next allocation while it is being made."""

    def __init__(self, base: AddressAllocation) -> None:
        self._base = base
        self._slots: DictEdit[int, Claim] = base.slots.edit()
        self._passed_by: MultimapEdit[int, Claim, None] = base.passed_by.edit()
        self._held: DictEdit[ServiceKey, tuple[int, ...]] = base.held.edit()
        self._taken_or_left: set[int] = set()

    def add(self, claim: Claim) -> None:
        """Give the claim the first slot that no older one has. Whose it was looks for another."""
        wanted = _wanted(claim)
        while True:
            slot = next(wanted)
            owner = self._slots.get(slot)
            if owner is not None and owner < claim:
                self._passed_by.put(slot, claim, None)
                continue
            if owner is not None:
                self._hold(owner, slot, holds=False)
            self._take(slot, claim)
            if owner is None:
                return
            self._passed_by.put(slot, owner, None)
            claim, wanted = owner, _wanted(owner)
            for passed in wanted:
                if passed == slot:
                    break

    def remove(self, claim: Claim) -> None:
        """Take the slot from the claim. The oldest of those that wanted it gets it, and leaves its own."""
        slot = self._forget(claim, None)
        while True:
            heir = min(self._passed_by.get(slot), default=None)
            if heir is None:
                self._slots.discard(slot)
                self._taken_or_left.add(slot)
                return
            left = self._forget(heir, slot)
            self._take(slot, heir)
            slot = left

    def _forget(self, claim: Claim, until: int | None) -> int:
        """Forget which slots a claim has passed by, from `until` on (None: all); return the slot that it
        has."""
        kept: set[int] = set()
        passing = until is None
        for slot in _wanted(claim):
            if self._slots.get(slot) == claim:
                self._hold(claim, slot, holds=False)
                return slot
            passing = passing or slot == until
            if not passing:
                kept.add(slot)
            elif slot not in kept:
                self._passed_by.discard(slot, claim)
        raise AssertionError("a claim wants slots for ever")

    def _take(self, slot: int, claim: Claim) -> None:
        self._slots.put(slot, claim)
        self._hold(claim, slot, holds=True)
        self._taken_or_left.add(slot)

    def _hold(self, claim: Claim, slot: int, *, holds: bool) -> None:
        slots = [one for one in self._held.get(claim[1], ()) if one != slot]
        if holds:
            slots.append(slot)
        if slots:
            self._held.put(claim[1], tuple(sorted(slots)))
        else:
            self._held.discard(claim[1])

    def finish(self, left_out: tuple[Claim, ...] = ()) -> AddressAllocation:
        """Return the allocation as the changes leave it."""
        return AddressAllocation(
            self._slots.finish(), self._passed_by.finish(), self._held.finish(), self._skips(), left_out
        )

    def _skips(self) -> tuple[int, ...]:
        """Return the slots at which a number is skipped: those that would get a number that ends in 0."""
        skips = self._base.skips
        if not any((slot + 1 + bisect_left(skips, slot)) % _LAST_PARTS == 0 for slot in self._taken_or_left):
            return skips
        found: list[int] = []
        slot = _LAST_PARTS - 1
        while slot < _SLOTS:
            if slot in self._slots:
                found.append(slot)
                slot += _LAST_PARTS - 1
            else:
                slot += _LAST_PARTS
        return tuple(found)
