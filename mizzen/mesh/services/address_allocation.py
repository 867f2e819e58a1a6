"""Virtual addresses for services that have none, so that captured DNS can tell TCP services apart.

The algorithm is Istio's (autoAllocateIPs of pilot/pkg/serviceregistry/serviceentry): the same name gets the
same slot in every control plane, as far as names do not collide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_SLOTS: Final = 256 * 254
_PRIME: Final = 65011
_FNV_OFFSET: Final = 0x811C9DC5
_FNV_PRIME: Final = 0x01000193

ServiceKey = tuple[str, str]


def fnv1a(text: str) -> int:
    """Return the 32-bit FNV-1a hash of the text's UTF-8 bytes."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return value


@dataclass(frozen=True, slots=True)
class AddressAllocation:
    """What was allocated to each (namespace, hostname): the number that its addresses are made of.

    `hashes` are kept so that another allocation need not compute them again.
    """

    numbers: dict[ServiceKey, int] = field(default_factory=dict)
    hashes: dict[ServiceKey, int] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Iterable[ServiceKey], previous: AddressAllocation) -> AddressAllocation:
        """Allocate to `keys`, oldest first. Keys beyond the 65,023 that there is room for get nothing.

        A key that stands there several times, because several services claim an address for it, takes a slot
        for each and gets the address of the lowest.
        """
        keys = list(keys)
        known = previous.hashes
        hashes = {key: known[key] if key in known else fnv1a(f"{key[0]}/{key[1]}") for key in keys}
        slots: dict[int, ServiceKey] = {}
        for key in keys:
            if len(slots) >= _SLOTS - 1:
                break
            slots[_free_slot(hashes[key], slots)] = key
        numbers: dict[ServiceKey, int] = {}
        skipped = 1
        for slot in sorted(slots):
            # No address ends in 0; a number that is skipped moves all that follow, as in Istio.
            if (slot + skipped) % 255 == 0:
                skipped += 1
            numbers.setdefault(slots[slot], slot + skipped)
        return cls(numbers, hashes)

    def addresses(self, key: ServiceKey) -> tuple[str, ...]:
        """Return the IPv4 and the IPv6 address of `key`; nothing if it was allocated none."""
        number = self.numbers.get(key)
        if number is None:
            return ()
        third, fourth = divmod(number, 255)
        # Two digits for the last part: Istio writes one or two, which makes different pairs look the same.
        last = f"{third:x}{fourth:02x}" if third else f"{fourth:x}"
        return (f"240.240.{third}.{fourth}", f"2001:2::f0f0:{last}")


def _free_slot(value: int, slots: dict[int, ServiceKey]) -> int:
    slot = value % _SLOTS
    step = _PRIME - value % _PRIME
    attempt = 0
    while slot in slots:
        attempt += 1
        slot = (value + attempt * step) % (_SLOTS - 1)
    return slot
