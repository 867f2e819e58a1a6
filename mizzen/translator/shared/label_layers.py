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
from mizzen.translator.shared.label_layer import Fetched, LabelLayer, Listened, Read, Sum, Touched
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
        self._reads: dict[Key, frozenset[Read]] = {}
        """What layers read, where the index does not have it yet."""
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

    def note_step(self, step: Step, rules: LabelRules) -> None:
        """Mark the layers that a step of the shared resources concerns; `rules` are the new mesh's."""
        shared, before = self._shared, (self._rules, self._sums)
        self._rules, self._sums = rules, (shared.secrets_of, shared.diagnostics)
        self._alike = AlikeListeners(rules)
        behind, self._behind = self._behind, dict.fromkeys(self._layers)  # if this fails
        changed: set[Read] = {*step.difference.facts, *step.gone, *step.come}
        changed.update(map(Fetched, step.come.values()))
        changed.update(map(Listened, step.listened))
        if self._layers:
            changed.update(self._touched(step))
        changed.update(rules.labels_since(before[0]))
        changed.update(
            [each for each, was, now in zip(Sum, before[1], self._sums, strict=True) if was is not now]
        )
        self._readers, self._reads = self._readers.reading(self._reads), {}
        concerned = self._layers if step.difference.everything else self._readers.of(changed)
        behind.update({key: None if key in behind else step for key in concerned})
        self._behind = behind

    def _touched(self, step: Step) -> Iterator[Touched]:
        routing = self._shared.builder.routing
        for fact in step.difference.routed:
            before, after = step.before.get(fact), self._shared.cached.get(fact)
            if before is not None and after is not None:
                for name in routing.touched(before, after, step.difference, fact):
                    yield Touched(fact, name)

    def bring(self, key: Key, profile: OutboundProfile) -> LaidOver:
        """Return the layer for the proxies of a profile, up to date with the shared resources."""
        layer = self._layers.get(key)
        if layer is None:
            layer = self._layers[key] = LabelLayer(self._shared, profile, self._rules, self._alike)
            self._reads[key] = layer.read
        elif key in self._behind:
            # If the update fails, the layer must be built again.
            step, self._behind[key] = self._behind[key], None
            before = layer.read
            layer.update(self._rules, step, self._alike)
            del self._behind[key]
            if layer.read is not before:
                self._reads[key] = layer.read
        return layer.laid

    def forget(self, key: Key) -> None:
        """Forget a layer, if there is one."""
        if self._layers.pop(key, None) is not None:
            self._behind.pop(key, None)
            self._reads[key] = frozenset()
