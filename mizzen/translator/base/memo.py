"""Remembering what was built from objects that have not changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

Value = TypeVar("Value")

_MISSING: Final[Any] = object()


class Memo:
    """Values by the identity of everything that they were built from.

    A key is a tuple: a word that names the function, then every argument that the value depends on. Services,
    endpoint pools, configurations and merged rules are hashed by identity, and an unchanged one keeps its
    object from snapshot to snapshot, so a key that is found again means that nothing it depends on has
    changed. What a function does not get as an argument it cannot read, so no dependency can be forgotten
    as long as everything that it gets is in the key.

    Entries that were not asked for between two calls of `sweep` are dropped. Sweeping counts entries, so what
    is large (made of a whole mesh, or of many endpoints) belongs `beside` what it was made from.
    """

    __slots__ = ("_beside", "_current", "_previous", "_swept_at", "_whole", "misses")

    def __init__(self, whole: Memo | None = None) -> None:
        self._current: dict[Hashable, Any] = {}
        self._previous: dict[Hashable, Any] = {}
        self._beside: WeakKeyDictionary[object, Memo] | None = None
        self._whole = whole
        self._swept_at = 0
        self.misses = 0

    def __call__(self, function: Callable[..., Value], *arguments: Hashable) -> Value:
        """Return what `function` makes of `arguments`, which is all that it may read."""
        return self.get((function, *arguments), lambda: function(*arguments))

    def get(self, key: Hashable, build: Callable[[], Value]) -> Value:
        """Return the value remembered under `key`, building it if there is none."""
        value: Value = self._current.get(key, _MISSING)
        if value is _MISSING:
            value = self._current[key] = self._kept_or_built(key, build)
        return value

    def _kept_or_built(self, key: Hashable, build: Callable[[], Value]) -> Value:
        if key in self._previous:
            value: Value = self._previous.pop(key)
            return value
        self.misses += 1
        if self._whole is not None:
            self._whole.misses += 1
        return build()

    def beside(self, owner: object) -> Memo:
        """Return the memo of what was built from `owner` among others: it goes when the owner does.

        Neither its keys nor its values may hold the owner.
        """
        if self._beside is None:
            self._beside = WeakKeyDictionary()
        found = self._beside.get(owner)
        if found is None:
            found = self._beside[owner] = Memo(self)
        return found

    @property
    def built_since_sweep(self) -> int:
        """How many values were built since the last sweep: what has been superseded is at most as much. A
        sweep each time that this passes a bound keeps what is alive, for it is asked for in between."""
        return self.misses - self._swept_at

    def sweep(self) -> int:
        """Forget what was not asked for since the last sweep; return how many entries went."""
        self._swept_at = self.misses
        return self._drop()

    def _drop(self) -> int:
        dropped = len(self._previous)
        self._previous, self._current = self._current, {}
        return dropped + sum(memo._drop() for memo in self._parts())

    def _parts(self) -> Collection[Memo]:
        return tuple(self._beside.values()) if self._beside is not None else ()

    def __len__(self) -> int:
        return len(self._current) + len(self._previous) + sum(map(len, self._parts()))
