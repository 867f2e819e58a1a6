"""An immutable mapping: a large dictionary that versions share, and a small one of what changed since.

Each version copies the small one. When that has grown to about the square root of the whole, both are joined
into a new large one. So a version costs some microseconds, and joining is rare.
"""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterable, Iterator, Mapping, ValuesView
from math import isqrt
from typing import Any, Final, TypeVar, overload

Key = TypeVar("Key")
Value = TypeVar("Value")
Default = TypeVar("Default")

_GONE: Final[Any] = object()
"""Stands in the small dictionary for a member that was removed."""
_MISSING: Final[Any] = object()

_NO_CHANGES: Final[dict[Any, Any]] = {}
"""Shared by all mappings without changes; never written to."""

_SMALL: Final = 32
"""Up to this size a version copies everything: sharing would save nothing."""

_STEPS: Final = 32
"""How many earlier large dictionaries a mapping knows the changes of: thousands of changes in a large one."""


class LayeredDict(Mapping[Key, Value]):
    """An immutable mapping. `updated` and `edit` make its next version.

    Members stand in the order in which they were added; a replaced member keeps its position.
    """

    __slots__ = ("__weakref__", "_base", "_changes", "_history", "_length", "_token")

    def __init__(self, members: Mapping[Key, Value] | None = None) -> None:
        self._base: Mapping[Key, Value] = dict(members) if members else {}
        self._changes: dict[Key, Any] = _NO_CHANGES
        self._length = len(self._base)
        # Identifies the large dictionary; and the earlier ones, each with the keys that changed after it.
        self._token = object()
        self._history: tuple[tuple[object, frozenset[Key]], ...] = ()

    @classmethod
    def over(
        cls, base: LayeredDict[Key, Value], members: dict[Key, Value], removed: Collection[Key] = ()
    ) -> LayeredDict[Key, Value]:
        """Return `base` with `members` set and `removed` taken out. It always shares all of `base`: for many
        mappings that differ little from a common one. `members` must not change afterwards."""
        changes: dict[Key, Any] = members
        length = base._length
        for key in members:
            length += key not in base
        gone = [key for key in removed if key in base and key not in members] if removed else ()
        if gone:
            changes = {**dict.fromkeys(gone, _GONE), **members}
        made = cls.__new__(cls)
        made._base, made._changes, made._length = base, changes, length - len(gone)
        made._token, made._history = object(), ()
        return made

    def rebased(self, base: LayeredDict[Key, Value]) -> LayeredDict[Key, Value]:
        """Return what `over` returned, over a different base that has the same members for the keys that were
        set and removed."""
        below: Any = self._base
        made = LayeredDict.__new__(LayeredDict)
        made._base, made._changes = base, self._changes
        made._length = self._length - below._length + base._length
        made._token, made._history = object(), ()
        return made

    def _since(self, earlier: LayeredDict[Key, Any]) -> set[Key] | None:
        """Return the keys whose members changed since an earlier version, perhaps with keys that did not;
        None if this mapping does not know that version."""
        if earlier._token is self._token:
            return {*self._changes, *earlier._changes}
        if isinstance(self._base, LayeredDict):
            below = self._base._since(earlier._base) if isinstance(earlier._base, LayeredDict) else None
            return None if below is None else below.union(self._changes, earlier._changes)
        found = {*self._changes, *earlier._changes}
        for token, keys in self._history:
            found |= keys
            if token is earlier._token:
                return found
        return None

    def differing(self, other: LayeredDict[Key, Any]) -> list[Key]:
        """Return the keys that have different objects in the two. If one is a later version of the other, the
        cost is that of the changes between them."""
        if self is other:
            return []
        keys: Iterable[Key] | None
        if self._token is other._token or self._base is other._base:
            # Most of what changed since the large dictionary changed before both versions.
            mine, theirs = self._changes, other._changes
            keys = [key for key, value in mine.items() if theirs.get(key, _MISSING) is not value]
            keys += [key for key in theirs if key not in mine]
        else:
            keys = self._since(other)
            if keys is None:
                keys = other._since(self)
            if keys is None and isinstance(self._base, LayeredDict):
                keys = {*self._base.differing(other), *self._changes}
            if keys is None:
                keys = (*self, *(key for key in other if key not in self))
        return [key for key in keys if self.get(key, _MISSING) is not other.get(key, _MISSING)]

    @overload
    def get(self, key: Key) -> Value | None: ...
    @overload
    def get(self, key: Key, default: Default) -> Value | Default: ...
    def get(self, key: Key, default: Any = None) -> Any:
        """Return the member of that key, or `default`."""
        found = self._changes.get(key, _MISSING)
        if found is _MISSING:
            return self._base.get(key, default)
        return default if found is _GONE else found

    def __getitem__(self, key: Key) -> Value:
        found = self._changes.get(key, _MISSING)
        if found is _MISSING:
            return self._base[key]
        if found is _GONE:
            raise KeyError(key)
        return found  # type: ignore[no-any-return]

    def __contains__(self, key: object) -> bool:
        found = self._changes.get(key, _MISSING)  # type: ignore[arg-type]
        return key in self._base if found is _MISSING else found is not _GONE

    def __len__(self) -> int:
        return self._length

    def __bool__(self) -> bool:
        return self._length > 0

    def __iter__(self) -> Iterator[Key]:
        return iter(self._base) if not self._changes else (key for key, _ in self._merged())

    def values(self) -> ValuesView[Value]:
        """Return the members."""
        return _Values(self)

    def items(self) -> ItemsView[Key, Value]:
        """Return the keys with their members."""
        return _Items(self)

    def _merged(self) -> Iterator[tuple[Key, Value]]:
        base, changes = self._base, self._changes
        if not changes:
            yield from base.items()
            return
        for key, value in base.items():
            now = changes.get(key, value)
            if now is not _GONE:
                yield key, now
        for key, value in changes.items():
            if value is not _GONE and key not in base:
                yield key, value

    def _joined(self) -> dict[Key, Value]:
        """Return one dictionary of all members, in their order."""
        found = dict(self._base)
        found.update(self._changes)
        for key in [key for key, value in self._changes.items() if value is _GONE]:
            del found[key]
        return found

    def updated(self, changed: Mapping[Key, Value], removed: Iterable[Key] = ()) -> LayeredDict[Key, Value]:
        """Return the next version: without the keys `removed`, and with the members `changed`."""
        if not self._length:
            return LayeredDict(changed) if changed else self
        edit = DictEdit(self)
        for key in removed:
            edit.discard(key)
        for key, value in changed.items():
            edit.put(key, value)
        return edit.finish()

    def edit(self) -> DictEdit[Key, Value]:
        """Return an edit that starts from this version."""
        return DictEdit(self)


class _Values(ValuesView[Value]):
    """Iterates over a mapping in one pass, without looking up each key."""

    _mapping: LayeredDict[Any, Value]

    def __iter__(self) -> Iterator[Value]:
        return (value for _, value in self._mapping._merged())


class _Items(ItemsView[Key, Value]):
    """Iterates over a mapping in one pass, without looking up each key."""

    _mapping: LayeredDict[Key, Value]

    def __iter__(self) -> Iterator[tuple[Key, Value]]:
        return self._mapping._merged()


class DictEdit(LayeredDict[Key, Value]):
    """The next version of a mapping while it is being made; reading it shows the changes so far."""

    __slots__ = ("_before",)

    def __init__(self, before: LayeredDict[Key, Value]) -> None:
        self._before = before
        self._base = before._base
        self._changes = before._changes
        self._length = before._length

    def put(self, key: Key, value: Value) -> None:
        """Set the member of that key."""
        changes = self._changes
        known = changes.get(key, _MISSING)
        if known is _MISSING:
            known = self._base.get(key, _GONE)
        if known is value:
            return
        if changes is self._before._changes:
            changes = self._own()
        changes[key] = value
        self._length += known is _GONE

    def setdefault(self, key: Key, value: Value) -> Value:
        """Return the member of that key, after setting it to `value` if there is none."""
        changes = self._changes
        known = changes.get(key, _MISSING)
        if known is _MISSING:
            known = self._base.get(key, _GONE)
        if known is not _GONE:
            return known  # type: ignore[no-any-return]
        if changes is self._before._changes:
            changes = self._own()
        changes[key] = value
        self._length += 1
        return value

    def discard(self, key: Key) -> None:
        """Take the key out, if it is there."""
        if key not in self:
            return
        changes = self._own()
        if key in self._base:
            changes[key] = _GONE
        else:
            del changes[key]
        self._length -= 1

    def _own(self) -> dict[Key, Any]:
        if self._changes is self._before._changes:
            self._changes = dict(self._changes)
        return self._changes

    def finish(self) -> LayeredDict[Key, Value]:
        """Return the mapping with all changes; the original object if there were none. The edit must not be
        used after that."""
        if self._changes is self._before._changes:
            return self._before
        before, made = self._before, LayeredDict[Key, Value]()
        made._length = self._length
        if self._length > _SMALL and len(self._changes) <= isqrt(self._length):
            made._base, made._changes = self._base, self._changes
            made._token, made._history = before._token, before._history
            return made
        made._base = self._joined() if self._base else self._changes
        if self._base and len(self._changes) <= _SMALL + self._length // 2:
            made._history = ((before._token, frozenset(self._changes)), *before._history[: _STEPS - 1])
        return made
