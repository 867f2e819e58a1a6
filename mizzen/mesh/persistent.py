"""Dictionaries that can be changed without touching the copy that others still read.

An edit copies what it writes to, once, and nothing else, so that the parts that did not change are shared
between one snapshot of the mesh and the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Generic, TypeVar

Key = TypeVar("Key")
Member = TypeVar("Member")
Value = TypeVar("Value")

_NOTHING: Mapping[object, object] = MappingProxyType({})


_STEPS: Final = 64
"""So many steps back it can be told what changed: more than a proxy is behind that is still looked after."""


class Lineage:
    """Where a version of something immutable stands behind earlier ones, and the names that changed since.

    It holds names only, so it may be kept where the version itself would cost memory.
    """

    __slots__ = ("_place", "_steps")

    def __init__(self, steps: tuple[tuple[object, frozenset[str]], ...] = ()) -> None:
        self._place = object()
        self._steps = steps

    def following(self, names: frozenset[str]) -> Lineage:
        """Return the lineage of the next version, in which what has these names is different."""
        return Lineage(((self._place, names), *self._steps[: _STEPS - 1]))

    def since(self, earlier: Lineage) -> frozenset[str] | None:
        """Return the names that changed after the version `earlier`; None if that is not known any more."""
        if earlier is self:
            return frozenset()
        changed: list[frozenset[str]] = []
        for place, names in self._steps:
            changed.append(names)
            if place is earlier._place:
                return frozenset().union(*changed)
        return None


class DictEdit(Generic[Key, Value]):
    """Changes to a dictionary, which is copied at the first of them."""

    __slots__ = ("_base", "_current")

    def __init__(self, base: dict[Key, Value]) -> None:
        self._base = base
        self._current = base

    def get(self, key: Key) -> Value | None:
        """Return the value as the changes so far leave it, or None."""
        return self._current.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Set the value."""
        if self._current is self._base:
            self._current = dict(self._base)
        self._current[key] = value

    def discard(self, key: Key) -> None:
        """Take the key out, if it is there."""
        if key in self._current:
            if self._current is self._base:
                self._current = dict(self._base)
            del self._current[key]

    def finish(self) -> dict[Key, Value]:
        """Return the dictionary as the changes leave it: the very same if there were none."""
        return self._current


class Multimap(Generic[Key, Member, Value]):
    """Several members, each with a value, under each key; immutable."""

    __slots__ = ("_buckets",)

    def __init__(self, buckets: dict[Key, dict[Member, Value]] | None = None) -> None:
        self._buckets = buckets if buckets is not None else {}

    def get(self, key: Key) -> Mapping[Member, Value]:
        """Return the members under `key`; empty if there are none."""
        return self._buckets.get(key) or _NOTHING  # type: ignore[return-value]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._buckets)

    def __len__(self) -> int:
        return len(self._buckets)

    def edit(self) -> MultimapEdit[Key, Member, Value]:
        """Return an edit that starts from this."""
        return MultimapEdit(self)


class MultimapEdit(Generic[Key, Member, Value]):
    """Changes to a multimap: the outer dictionary and each bucket are copied when first written to."""

    __slots__ = ("_base", "_buckets", "_owned")

    def __init__(self, base: Multimap[Key, Member, Value]) -> None:
        self._base = base
        self._buckets = base._buckets
        self._owned: set[Key] = set()

    def get(self, key: Key) -> Mapping[Member, Value]:
        """Return the members under `key` as the changes so far leave them."""
        return self._buckets.get(key) or _NOTHING  # type: ignore[return-value]

    def put(self, key: Key, member: Member, value: Value) -> None:
        """Set the value of `member` under `key`."""
        self._own(key)[member] = value

    def discard(self, key: Key, member: Member) -> None:
        """Take `member` out of `key`, if it is there; a key without members goes too."""
        if member not in self._buckets.get(key, _NOTHING):
            return
        bucket = self._own(key)
        del bucket[member]
        if not bucket:
            del self._buckets[key]
            self._owned.discard(key)

    def _own(self, key: Key) -> dict[Member, Value]:
        if self._buckets is self._base._buckets:
            self._buckets = dict(self._base._buckets)
        if key not in self._owned:
            self._owned.add(key)
            self._buckets[key] = dict(self._buckets.get(key, {}))
        return self._buckets[key]

    def finish(self) -> Multimap[Key, Member, Value]:
        """Return the multimap as the changes leave it: the very same if there were none."""
        if self._buckets is self._base._buckets:
            return self._base
        return Multimap(self._buckets)
