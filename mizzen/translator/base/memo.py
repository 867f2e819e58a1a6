"""Values that are made once for all who need the same, and go with the last who holds them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

Value = TypeVar("Value")
Arguments = TypeVarTuple("Arguments")


class Memo:
    """Remembers what functions made of their arguments, for as long as somebody holds it.

        clusters = memo(outbound_clusters, destinations, servers, client, None, settings)

    A function is given its arguments and nothing else, and they are the key: what it does not get it cannot
    read, so no dependency can be forgotten. It is a function of a module, and never a closure. Services,
    endpoint pools and merged rules are hashed by identity, and an unchanged one keeps its object from
    snapshot to snapshot; what is read of a proxy is a small value made for the purpose (`Client`,
    `Viewpoint`), so that proxies which differ in other things share the result.

    Values are held weakly. Who uses one holds it (what proxies of a kind share, a gateway's own resources),
    until it is replaced: then nobody has to sweep. A function that raises leaves nothing behind.
    """

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()

    def __call__(self, function: Callable[[*Arguments], Value], *arguments: *Arguments) -> Value:
        """Return what `function` makes of `arguments`: the very same object while somebody holds it."""
        key = (function, *arguments)
        value: Value | None = self._values.get(key)
        if value is None:
            value = self._values[key] = function(*arguments)
        return value

    def __len__(self) -> int:
        """How many values somebody holds."""
        return len(self._values)
