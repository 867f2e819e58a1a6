"""Look-up of the longest CIDR range that contains an address."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Generic, TypeVar

Value = TypeVar("Value")

_BITS = {4: 32, 6: 128}


@lru_cache(maxsize=4096)
def parsed(address: str) -> tuple[int, int]:
    """Return the version of an IP address and its number; version 0 if it is not an IP address."""
    try:
        found = ip_address(address)
    except ValueError:
        return 0, 0
    return found.version, int(found)


class Prefixes(Generic[Value]):
    """Values by CIDR range, and one value for all addresses outside the ranges."""

    __slots__ = ("_by_length", "everywhere")

    def __init__(self) -> None:
        self._by_length: dict[int, list[tuple[int, dict[int, Value]]]] = {4: [], 6: []}
        self.everywhere: Value | None = None

    def of(self, ranges: Iterable[tuple[str, int]], make: Callable[[], Value]) -> list[Value]:
        """Return the value of each range, made if it is new; without ranges, the value of everywhere."""
        found = []
        for address, length in ranges:
            version, number = parsed(address)
            if version:
                found.append(self._range(version, number, length, make))
        if not found:
            if self.everywhere is None:
                self.everywhere = make()
            found.append(self.everywhere)
        return found

    def _range(self, version: int, number: int, length: int, make: Callable[[], Value]) -> Value:
        shift = _BITS[version] - length
        lengths = self._by_length[version]
        values = next((values for other, values in lengths if other == shift), None)
        if values is None:
            values = {}
            lengths.append((shift, values))
            lengths.sort(key=lambda each: each[0])
        key = number >> shift
        if key not in values:
            values[key] = make()
        return values[key]

    def longest(self, address: str) -> Value | None:
        """Return the value of the longest range that contains the address, else that of everywhere."""
        if self._by_length[4] or self._by_length[6]:
            version, number = parsed(address)
            if version:
                for shift, values in self._by_length[version]:
                    found = values.get(number >> shift)
                    if found is not None:
                        return found
        return self.everywhere


def contains(ranges: Iterable[tuple[str, int]], address: str) -> bool:
    """Return True if one of the ranges contains the address."""
    version, number = parsed(address)
    for prefix, length in ranges:
        other_version, other = parsed(prefix)
        if version and version == other_version:
            shift = _BITS[version] - length
            if number >> shift == other >> shift:
                return True
    return False


@lru_cache(maxsize=4096)
def canonical(address: str) -> str:
    """Return an IP address in its canonical form, and any other text unchanged."""
    try:
        return str(ip_address(address))
    except ValueError:
        return address
