"""Virtual addresses for services that have none, so that TCP services can be distinguished by captured DNS.

The algorithm is Istio's (autoAllocateIPs of pilot/pkg/serviceregistry/serviceentry): a name gets the same
slot in every control plane unless names collide. In a collision the older service gets the slot; the order in
which documents arrive does not matter.
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
"""Number of possible last parts of an address: no address ends in 0."""

ServiceKey = tuple[str, str]
SlotRequest = tuple[tuple[float, str, str, str], ServiceKey, int]
"""A service's request for a slot: its age, its namespace and hostname, and a number that distinguishes equal
requests. Requests are sorted by age."""


def fnv1a(text: str) -> int:
    """Return the 32-bit FNV-1a hash of the text's UTF-8 bytes."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return value


def _wanted(request: SlotRequest) -> Iterator[int]:
    """Yield the slots for a request in the order in which they are tried, without end."""
    namespace, hostname = request[1]
    value = fnv1a(f"{namespace}/{hostname}")
    yield value % _SLOTS
    step = _PRIME - value % _PRIME
    for attempt in count(1):
        yield (value + attempt * step) % (_SLOTS - 1)


@dataclass(frozen=True, slots=True, eq=False)
class AddressAllocation:
    """Which request has which slot; immutable.

    `displaced` finds the requests that wanted a slot before the one they have. `slots_of` are the sorted
    slots of a namespace and hostname, whose services may make several requests. `skips` are the slots from
    which on one more number is skipped. `unserved` are the requests that found no slot.
    """

    slots: LayeredDict[int, SlotRequest] = field(default_factory=LayeredDict)
    displaced: Multimap[int, SlotRequest, None] = field(default_factory=Multimap)
    slots_of: LayeredDict[ServiceKey, tuple[int, ...]] = field(default_factory=LayeredDict)
    skips: tuple[int, ...] = ()
    unserved: tuple[SlotRequest, ...] = ()

    def updated(self, gone: Iterable[SlotRequest], new: Iterable[SlotRequest]) -> AddressAllocation:
        """Return the allocation without the requests `gone` and with `new`: equal to one made from nothing,
        at the cost of the requests that move. If there are more than 65,023 requests, the youngest get
        nothing."""
        gone, new = sorted(gone), sorted(new)
        if self.unserved or len(self.slots) + len(new) >= _SLOTS:
            return self._from_nothing({*self.slots.values(), *self.unserved}.difference(gone).union(new))
        edit = _Edit(self)
        for request in gone:
            edit.remove(request)
        for request in new:
            edit.add(request)
        return edit.finish()

    @staticmethod
    def _from_nothing(requests: Iterable[SlotRequest]) -> AddressAllocation:
        edit = _Edit(AddressAllocation())
        in_order = sorted(requests)
        for request in in_order[: _SLOTS - 1]:
            edit.add(request)
        return edit.finish(tuple(in_order[_SLOTS - 1 :]))

    def addresses(self, key: ServiceKey) -> tuple[str, ...]:
        """Return the IPv4 and the IPv6 address of a namespace and hostname, made
        from its lowest slot; empty if it has none."""
        number = self._number(key)
        if not number:
            return ()
        third, fourth = divmod(number, _LAST_PARTS)
        # Always two digits for the last part: Istio writes one or two, so that different pairs look the same.
        last = f"{third:x}{fourth:02x}" if third else f"{fourth:x}"
        return (f"240.240.{third}.{fourth}", f"2001:2::f0f0:{last}")

    def _number(self, key: ServiceKey) -> int:
        """Return the number that the addresses are made of; 0 if there is none."""
        slots = self.slots_of.get(key)
        return slots[0] + 1 + bisect_right(self.skips, slots[0]) if slots else 0

    def differing(self, other: AddressAllocation) -> list[ServiceKey]:
        """Return the namespaces and hostnames whose address differs between the two,
        perhaps with some whose address does not."""
        if self.skips == other.skips:
            return self.slots_of.differing(other.slots_of)
        # A skipped number moves all later ones, as in Istio.
        return [key for key in self.slots_of if self._number(key) != other._number(key)]


class _Edit:
    """The next allocation while it is being made."""

    def __init__(self, base: AddressAllocation) -> None:
        self._base = base
        self._slots: DictEdit[int, SlotRequest] = base.slots.edit()
        self._displaced: MultimapEdit[int, SlotRequest, None] = base.displaced.edit()
        self._slots_of: DictEdit[ServiceKey, tuple[int, ...]] = base.slots_of.edit()
        self._changed_slots: set[int] = set()

    def add(self, request: SlotRequest) -> None:
        """Give the request the first slot that no older request has. A request that
        loses its slot takes a later one."""
        wanted = _wanted(request)
        while True:
            slot = next(wanted)
            owner = self._slots.get(slot)
            if owner is not None and owner < request:
                self._displaced.put(slot, request, None)
                continue
            if owner is not None:
                self._set_slot(owner, slot, taken=False)
            self._take(slot, request)
            if owner is None:
                return
            self._displaced.put(slot, owner, None)
            request, wanted = owner, _wanted(owner)
            for passed in wanted:
                if passed == slot:
                    break

    def remove(self, request: SlotRequest) -> None:
        """Remove the request. Its slot goes to the oldest request that wanted it,
        which frees its own slot in turn."""
        slot = self._forget(request, None)
        while True:
            heir = min(self._displaced.get(slot), default=None)
            if heir is None:
                self._slots.discard(slot)
                self._changed_slots.add(slot)
                return
            left = self._forget(heir, slot)
            self._take(slot, heir)
            slot = left

    def _forget(self, request: SlotRequest, until: int | None) -> int:
        """Take a request out of its slot, and out of `displaced` for the slots that it wanted from `until` on
        (None: all). Return its slot."""
        kept: set[int] = set()
        passing = until is None
        for slot in _wanted(request):
            if self._slots.get(slot) == request:
                self._set_slot(request, slot, taken=False)
                return slot
            passing = passing or slot == until
            if not passing:
                kept.add(slot)
            elif slot not in kept:
                self._displaced.discard(slot, request)
        raise AssertionError("a request has no slot")

    def _take(self, slot: int, request: SlotRequest) -> None:
        self._slots.put(slot, request)
        self._set_slot(request, slot, taken=True)
        self._changed_slots.add(slot)

    def _set_slot(self, request: SlotRequest, slot: int, *, taken: bool) -> None:
        slots = [one for one in self._slots_of.get(request[1], ()) if one != slot]
        if taken:
            slots.append(slot)
        if slots:
            self._slots_of.put(request[1], tuple(sorted(slots)))
        else:
            self._slots_of.discard(request[1])

    def finish(self, unserved: tuple[SlotRequest, ...] = ()) -> AddressAllocation:
        """Return the allocation with all changes."""
        return AddressAllocation(
            self._slots.finish(), self._displaced.finish(), self._slots_of.finish(), self._skips(), unserved
        )

    def _skips(self) -> tuple[int, ...]:
        """Return the slots at which a number is skipped, because it would end in 0."""
        skips = self._base.skips
        if not any((slot + 1 + bisect_left(skips, slot)) % _LAST_PARTS == 0 for slot in self._changed_slots):
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
