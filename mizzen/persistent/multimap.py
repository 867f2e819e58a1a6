"""An immutable mapping with several members under each key, each member with a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Generic, TypeVar

from mizzen.persistent.layered_dict import DictEdit, LayeredDict

Key = TypeVar("Key")
Member = TypeVar("Member")
Value = TypeVar("Value")

_NONE: Final[LayeredDict[object, object]] = LayeredDict()


class Multimap(Generic[Key, Member, Value]):
    """Several members, each with a value, under each key; immutable. A key without members is not in it."""

    __slots__ = ("_buckets",)

    def __init__(self, buckets: LayeredDict[Key, LayeredDict[Member, Value]] | None = None) -> None:
        self._buckets = buckets if buckets is not None else LayeredDict()

    @property
    def buckets(self) -> LayeredDict[Key, LayeredDict[Member, Value]]:
        """The members of each key that has any."""
        return self._buckets

    def get(self, key: Key) -> Mapping[Member, Value]:
        """Return the members under `key`; empty if there are none."""
        return self._buckets.get(key) or _NONE  # type: ignore[return-value]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._buckets)

    def __len__(self) -> int:
        return len(self._buckets)

    def differing(self, other: Multimap[Key, Member, Value]) -> list[Key]:
        """Return the keys under which the two differ. If one is a later version of the other, the cost is
        that of the changes between them."""
        return self._buckets.differing(other._buckets)

    def edit(self) -> MultimapEdit[Key, Member, Value]:
        """Return an edit that starts from this."""
        return MultimapEdit(self)


class MultimapEdit(Generic[Key, Member, Value]):
    """The next version of a multimap while it is being made."""

    __slots__ = ("_base", "_edits")

    def __init__(self, base: Multimap[Key, Member, Value]) -> None:
        self._base = base
        self._edits: dict[Key, DictEdit[Member, Value]] = {}

    def get(self, key: Key) -> Mapping[Member, Value]:
        """Return the members under `key`, with the changes so far."""
        edit = self._edits.get(key)
        return self._base.get(key) if edit is None else edit

    def put(self, key: Key, member: Member, value: Value) -> None:
        """Set the value of `member` under `key`."""
        self._edit(key).put(member, value)

    def discard(self, key: Key, member: Member) -> None:
        """Take `member` out of `key`, if it is there."""
        if member in self.get(key):
            self._edit(key).discard(member)

    def _edit(self, key: Key) -> DictEdit[Member, Value]:
        edit = self._edits.get(key)
        if edit is None:
            edit = self._edits[key] = DictEdit(self._base._buckets.get(key) or LayeredDict())
        return edit

    def finish(self) -> Multimap[Key, Member, Value]:
        """Return the multimap with all changes; the original object if there were none. The edit must not be
        used after that."""
        buckets = self._base._buckets.edit()
        for key, edit in self._edits.items():
            bucket = edit.finish()
            if bucket:
                buckets.put(key, bucket)
            else:
                buckets.discard(key)
        finished = buckets.finish()
        return self._base if finished is self._base._buckets else Multimap(finished)
