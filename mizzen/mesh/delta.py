"""What changed from one snapshot of the mesh to the next."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from mizzen.config.document import Config, ConfigKey, GroupKind
from mizzen.config.group_kinds import DESTINATION_RULE, GATEWAY, SECRET, SIDECAR, VIRTUAL_SERVICE
from mizzen.mesh.rules.security_policies import POLICY_KINDS
from mizzen.mesh.services.registry import ServiceKey

Change = tuple[Config[Any] | None, Config[Any] | None]
"""A document before and after; None: there was none, or there is none any more."""


_RULE_KINDS: Final = POLICY_KINDS | {VIRTUAL_SERVICE, DESTINATION_RULE, SIDECAR, GATEWAY, SECRET}
"""Kinds that matter to more than endpoints, beside those of the registry."""


class ConfigChange(Protocol):
    """Documents that are new or changed, and the keys of those that went (the store's ConfigChange)."""

    @property
    def updated(self) -> Iterable[Config[Any]]:
        """The documents that are new or have changed."""

    @property
    def removed(self) -> Iterable[ConfigKey]:
        """The documents that are gone."""

    @property
    def moved(self) -> Mapping[ConfigKey, Config[Any]]:
        """The documents that stand at other lines: new objects with the same `spec`."""


@dataclass(frozen=True, slots=True)
class MeshDelta:
    """What changed. `services` and `endpoints` name what is not the same object as before, `documents` are
    those that changed, of every kind. `token_keys`: keys of token issuers were fetched. `everything`: the
    mesh configuration changed, so nothing can be taken over."""

    services: frozenset[ServiceKey] = frozenset()
    endpoints: frozenset[ServiceKey] = frozenset()
    token_keys: bool = False
    everything: bool = False
    documents: tuple[Change, ...] = ()

    def of_kind(self, kind: GroupKind) -> Iterator[Change]:
        """Yield the documents of a kind that changed."""
        return (change for change in self.documents if _either(change).group_kind == kind)

    def names(self, most: int) -> tuple[tuple[str, ...], int]:
        """Return `most` of the changed documents by their names, and how many others there are; the mesh
        configuration and fetched keys may be what changed, and are no documents."""
        keys = {config.key for pair in self.documents for config in pair if config is not None}
        own = ("the mesh configuration",) if self.everything else ()
        fetched = ("the keys of a token issuer",) if self.token_keys else ()
        first = heapq.nsmallest(most, keys)
        return (*own, *fetched, *map(str, first)), len(keys) - len(first)

    @classmethod
    def joined(cls, deltas: Sequence[MeshDelta]) -> MeshDelta:
        """Return what changed from before the first of `deltas` to after the last."""
        if len(deltas) == 1:
            return deltas[0]
        return cls(
            services=frozenset().union(*(delta.services for delta in deltas)),
            endpoints=frozenset().union(*(delta.endpoints for delta in deltas)),
            token_keys=any(delta.token_keys for delta in deltas),
            everything=any(delta.everything for delta in deltas),
            documents=_joined(delta.documents for delta in deltas),
        )

    @property
    def endpoints_only(self) -> bool:
        """Whether nothing but endpoints changed, so that only endpoints need to be sent."""
        return not (
            self.everything
            or self.services
            or self.token_keys
            or any(_either(change).group_kind in _RULE_KINDS for change in self.documents)
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed that a mesh reads."""
        return self.endpoints_only and not self.endpoints


def _joined(parts: Iterable[Sequence[Change]]) -> tuple[Change, ...]:
    """Return for each document its first version before and its last one after."""
    found: dict[ConfigKey, Change] = {}
    for part in parts:
        for old, new in part:
            key = _either((old, new)).key
            first = found[key][0] if key in found else old
            found[key] = (first, new)
    return tuple(change for change in found.values() if change[0] is not change[1])


def _either(change: Change) -> Config[Any]:
    config = change[1] if change[1] is not None else change[0]
    assert config is not None
    return config
