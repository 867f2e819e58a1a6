"""Sidecar resources, and which of them a workload gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mizzen.config import models
from mizzen.config.document import Config
from mizzen.mesh.settings import MeshSettings, creation_order
from mizzen.persistent import LayeredDict

SidecarConfig = Config[models.Sidecar]


def selector_of(config: SidecarConfig) -> Mapping[str, str] | None:
    """Return the labels that select workloads, or None for all workloads of the namespace."""
    selector = config.spec.workload_selector
    return selector.labels if selector is not None else None


@dataclass(frozen=True, slots=True, eq=False)
class SidecarIndex:
    """All Sidecars by namespace, immutable: those with a selector first, then oldest first."""

    settings: MeshSettings
    by_namespace: LayeredDict[str, tuple[SidecarConfig, ...]] = field(default_factory=LayeredDict)

    def updated(self, changes: Iterable[tuple[SidecarConfig | None, SidecarConfig | None]]) -> SidecarIndex:
        """Return the index after documents changed (old, new)."""
        edit = self.by_namespace.edit()
        for old, new in changes:
            config = new if new is not None else old
            assert config is not None
            known = [one for one in edit.get(config.namespace) or () if one is not old]
            if new is not None:
                known.append(new)
            known.sort(key=lambda one: (selector_of(one) is None, creation_order(one)))
            if known:
                edit.put(config.namespace, tuple(known))
            else:
                edit.discard(config.namespace)
        by_namespace = edit.finish()
        return self if by_namespace is self.by_namespace else SidecarIndex(self.settings, by_namespace)

    def choose(self, namespace: str, labels: Mapping[str, str]) -> SidecarConfig | None:
        """Return the Sidecar of a workload. In its namespace, the oldest that selects it wins, else the
        oldest without a selector; else the root namespace's oldest without a selector; else None."""
        for config in self.by_namespace.get(namespace, ()):
            selector = selector_of(config)
            if selector is None or all(labels.get(key) == value for key, value in selector.items()):
                return config
        for config in self.by_namespace.get(self.settings.root_namespace, ()):
            if selector_of(config) is None:
                return config
        return None
