"""Filters that declare themselves: a module holds one filter, and the filter says where it stands.

    FILTER = HttpFilter("envoy.filters.http.fault", HttpStep.FAULT, fault)        # a module of http/

A module with filters for several steps, such as the phases of Wasm, declares a tuple. A package of filters
calls `in_order` once, when it is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final, Generic, TypeVar

from mizzen.config.document import GroupKind

Context = TypeVar("Context")
Kind = TypeVar("Kind", bound="Filter[Any]")

_DECLARATION: Final = "FILTER"


class FilterDeclarationError(Exception):
    """A module declares no filter, or two filters have one position."""


@dataclass(frozen=True, slots=True)
class Filter(Generic[Context]):
    """A filter: its name in Envoy, its position, and the function that yields its messages.

    `configure` yields nothing if the connection manager or chain needs no such filter. `step` is the filter's
    step in Istio's order. A filter that Istio does not have stands directly before a step (`offset=-1`) or
    directly after it (`offset=1`). `policy` is the kind of the policies that the filter is made from.
    """

    name: str
    step: IntEnum
    configure: Callable[[Context], Iterator[Any]]
    offset: int = 0
    policy: GroupKind | None = None

    @property
    def position(self) -> tuple[int, int]:
        """The position in the order of filters; no other filter has it."""
        return self.step, self.offset


def in_order(kind: type[Kind], package: str, path: Iterable[str]) -> tuple[Kind, ...]:
    """Return the filters that the modules of a package declare, in the order in which Envoy runs them.

    `package` and `path` are the package's `__name__` and `__path__`. Raises FilterDeclarationError if a
    module has no `FILTER` of this kind, or if two filters have one position.
    """
    found: dict[tuple[int, int], tuple[str, Kind]] = {}
    for module in iter_modules(path, f"{package}."):
        for declared in _declared(kind, module.name):
            first, other = found.setdefault(declared.position, (module.name, declared))
            if other is not declared:
                raise FilterDeclarationError(
                    f"{first} and {module.name} declare filters for one position: {declared.step.name}, "
                    f"offset {declared.offset}; give one of them another step or offset"
                )
    return tuple(declared for _, (_, declared) in sorted(found.items(), key=lambda item: item[0]))


def _declared(kind: type[Kind], module: str) -> tuple[Kind, ...]:
    """Return the filters of a module: one, or those of a tuple."""
    declared = getattr(import_module(module), _DECLARATION, ())
    filters = declared if isinstance(declared, tuple) else (declared,)
    if not filters or not all(isinstance(each, kind) for each in filters):
        raise FilterDeclarationError(
            f"{module} declares no filter; write {_DECLARATION} = {kind.__name__}(name, step, configure), or "
            "move the module out of the package"
        )
    return filters
