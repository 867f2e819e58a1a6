"""What is laid over the resources that proxies share: values, as `LabelLayer` makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.translator.tls.secret_references import SecretNames
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Resources of one type that are laid over a collection, and the names that they leave out of it.
    Compared by identity."""

    resources: tuple[Resource, ...] = ()
    hidden: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.resources or self.hidden)

    @classmethod
    def over(cls, below: Collection, made: Iterable[Resource], names: Iterable[str] = ()) -> Layer:
        """Return what leaves of all `names` the resources `made`; those that are the same below are not laid
        over."""
        latest = {each.name: each for each in made}
        return cls(
            tuple([each for each in latest.values() if not _same(below.resources.get(each.name), each)]),
            frozenset([name for name in names if name in below and name not in latest]),
        )

    def is_like(self, other: Layer) -> bool:
        """Return whether both lay the very same over a collection."""
        return self.resources == other.resources and self.hidden == other.hidden


def _same(below: Resource | None, made: Resource) -> bool:
    return below is made or (
        below is not None and below.version == made.version and below.origins == made.origins
    )


NO_LAYER: Final = Layer()


@dataclass(frozen=True, slots=True)
class LaidOver:
    """All that a kind of sidecars has instead of what is shared. `layers` has what is laid over the
    collections of SharedResources, by their names there. None: the shared one holds."""

    layers: Mapping[str, Layer]
    secrets: SecretNames | None = None
    diagnostics: tuple[Diagnostic, ...] | None = None

    def layer(self, collection: str) -> Layer:
        """Return what is laid over the collection of that name."""
        return self.layers.get(collection, NO_LAYER)

    def with_layers(self, **layers: Layer) -> LaidOver:
        """Return the same with other layers; empty ones are left out, and those that are like the ones before
        stay."""
        found = dict(self.layers)
        for collection, layer in layers.items():
            if not layer:
                found.pop(collection, None)
            elif not layer.is_like(self.layer(collection)):
                found[collection] = layer
        return self if found == self.layers else replace(self, layers=found)


NOTHING_LAID_OVER: Final = LaidOver({})
