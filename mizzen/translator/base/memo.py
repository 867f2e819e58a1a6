"""A memo: values are made once and shared, and disappear with the last reference to them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, TypeVarTuple
from weakref import ref

Value = TypeVar("Value")
Arguments = TypeVarTuple("Arguments")


class _Remembered(ref[Any]):
    """A weak reference to a value, with the key under which the memo has it."""

    __slots__ = ("key",)

    key: Hashable


class Memo:
    """Remembers the results of functions, as long as there are references to them.

        clusters = memo(outbound_clusters, destinations, servers, client, None, settings)

    The function and its arguments are the key. A function gets nothing besides its arguments, so no
    dependency can be forgotten; it must be a function of a module, never a closure. Services, endpoint pools
    and merged rules are hashed by identity, and an unchanged one stays the same object from snapshot to
    snapshot. The parts of a proxy that a function reads are a small value made for the purpose (`Client`,
    `Viewpoint`). So proxies share a result if these parts are equal.

    The memo has only weak references. Its users hold the values (the resources that proxies of a class share,
    or a gateway's own ones) until they replace them, so no cleanup is needed. If the function raises, nothing
    is remembered.
    """

    __slots__ = ("__weakref__", "_forget", "_values")

    def __init__(self) -> None:
        # Not a WeakValueDictionary, which takes five calls for each of a mesh's tens of thousands of values.
        self._values: dict[Hashable, _Remembered] = {}
        myself = ref(self)

        def forget(gone: _Remembered) -> None:
            memo = myself()
            if memo is not None and memo._values.get(gone.key) is gone:
                del memo._values[gone.key]

        self._forget = forget

    def __call__(self, function: Callable[[*Arguments], Value], *arguments: *Arguments) -> Value:
        """Return `function(*arguments)`: the same object as before, while there is a reference to it."""
        key = (function, *arguments)
        known = self._values.get(key)
        value: Value | None = None if known is None else known()
        if value is None:
            value = function(*arguments)
            made = _Remembered(value, self._forget)
            made.key = key
            self._values[key] = made
        return value

    def __len__(self) -> int:
        """Return the number of remembered values."""
        return len(self._values)
