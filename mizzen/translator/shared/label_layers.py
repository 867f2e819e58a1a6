"""All layers over the resources of one class of proxies, indexed by the facts that they read.

One kind without labels may be the base of a hundred kinds with labels. Thanks to the index, a change costs
only the layers that read something of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from mizzen.incremental import Readers
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.translator.shared.alike_listeners import AlikeListeners
from mizzen.translator.shared.label_layer import Fetched, LabelLayer, Listened, Read, Sum
from mizzen.translator.shared.label_rules import LabelRules
from mizzen.translator.shared.laid_over import LaidOver
from mizzen.translator.shared.outbound import OutboundResources, Step

Key = TypeVar("Key", bound=Hashable)


class LabelLayers(Generic[Key]):
    """The layers over `shared`, by keys that the owner chooses."""

    def __init__(self, shared: OutboundResources, rules: LabelRules) -> None:
        self._shared = shared
        self._rules = rules
        self._sums = (shared.secrets_of, shared.diagnostics)
        self._alike = AlikeListeners(rules)
        self._layers: dict[Key, LabelLayer] = {}
        self._readers: Readers[Read, Key] = Readers()
        # The step that each outdated layer is missing; None: several steps, or unknown ones.
        self._behind: dict[Key, Step | None] = {}

    def __iter__(self) -> Iterator[Key]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def get(self, key: Key) -> LabelLayer | None:
        """Return a layer, if there is one."""
        return self._layers.get(key)

    def is_current(self, key: Key) -> bool:
        """Return whether a layer is there and up to date with the shared resources."""
        return key in self._layers and key not in self._behind

    @property
    def behind(self) -> tuple[Key, ...]:
        """The layers that are not up to date with the shared resources."""
        return tuple(self._behind)

    def note_step(self, rules: LabelRules) -> None:
        """Mark the layers that the last step of the shared resources concerns; `rules` are the new mesh's."""
        shared, before = self._shared, (self._rules, self._sums)
        self._rules, self._sums = rules, (shared.secrets_of, shared.diagnostics)
        self._alike = AlikeListeners(rules)
        step = shared.step
        changed: set[Read] = {*step.difference.facts, *step.gone, *step.routes}
        changed.update(map(Fetched, step.routes.values()))
        changed.update(map(Listened, step.listened))
        changed.update(rules.labels_since(before[0]))
        changed.update(
            [each for each, was, now in zip(Sum, before[1], self._sums, strict=True) if was is not now]
        )
        concerned = self._layers if step.difference.everything else self._readers.of(changed)
        for key in concerned:
            self._behind[key] = None if key in self._behind else step

    def bring(self, key: Key, profile: OutboundProfile) -> LaidOver:
        """Return the layer for the proxies of a profile, up to date with the shared resources."""
        layer = self._layers.get(key)
        if layer is None:
            layer = self._layers[key] = LabelLayer(self._shared, profile, self._rules, self._alike)
            self._readers = self._readers.reading({key: layer.read})
        elif key in self._behind:
            # If the update fails, the layer must be built again.
            step, self._behind[key] = self._behind[key], None
            before = layer.read
            layer.update(self._rules, step, self._alike)
            del self._behind[key]
            if layer.read is not before:
                self._readers = self._readers.reading({key: layer.read})
        return layer.laid

    def forget(self, key: Key) -> None:
        """Forget a layer, if there is one."""
        if self._layers.pop(key, None) is not None:
            self._behind.pop(key, None)
            self._readers = self._readers.reading({key: frozenset()})
