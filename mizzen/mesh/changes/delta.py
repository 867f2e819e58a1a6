"""The changes from one snapshot of the mesh to the next."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mizzen.config.document import Config, ConfigKey, GroupKind
from mizzen.mesh.services.registry import ServiceKey

DocumentChange = tuple[Config[Any] | None, Config[Any] | None]
"""A document before and after; None if it did not exist before, or does not exist after."""


class ConfigChange(Protocol):
    """Documents that were added or changed, and the keys of removed ones (the store's ConfigChange)."""

    @property
    def updated(self) -> Iterable[Config[Any]]:
        """The documents that were added or changed."""

    @property
    def removed(self) -> Iterable[ConfigKey]:
        """The keys of removed documents."""

    @property
    def moved(self) -> Mapping[ConfigKey, Config[Any]]:
        """The documents that moved to different lines: new objects with the same `spec`."""


@dataclass(frozen=True, slots=True)
class MeshDelta:
    """All changes. `services` and `endpoints` name services and pools that are no longer the same objects;
    `documents` are the changed documents of every kind. `token_keys`: keys of token issuers were fetched.
    `everything`: the mesh configuration changed, so nothing can be reused."""

    services: frozenset[ServiceKey] = frozenset()
    endpoints: frozenset[ServiceKey] = frozenset()
    token_keys: bool = False
    everything: bool = False
    documents: tuple[DocumentChange, ...] = ()

    def of_kind(self, kind: GroupKind) -> Iterator[DocumentChange]:
        """Yield the changed documents of a kind."""
        return (change for change in self.documents if _either(change).group_kind == kind)

    def names(self, most: int) -> tuple[tuple[str, ...], int]:
        """Return the names of at most `most` changed documents, and the number of the rest. A changed mesh
        configuration and fetched keys are named too, without being counted."""
        keys = {config.key for pair in self.documents for config in pair if config is not None}
        own = ("the mesh configuration",) if self.everything else ()
        fetched = ("the keys of a token issuer",) if self.token_keys else ()
        first = heapq.nsmallest(most, keys)
        return (*own, *fetched, *map(str, first)), len(keys) - len(first)

    @classmethod
    def joined(cls, deltas: Sequence[MeshDelta]) -> MeshDelta:
        """Return the changes from the snapshot before the first of `deltas` to the one after the last."""
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
    def is_empty(self) -> bool:
        """True if nothing changed, except perhaps the lines at which documents are written."""
        return self == MeshDelta()


def _joined(parts: Iterable[Sequence[DocumentChange]]) -> tuple[DocumentChange, ...]:
    """Return for each document its first version before and its last one after."""
    found: dict[ConfigKey, DocumentChange] = {}
    for part in parts:
        for old, new in part:
            key = _either((old, new)).key
            first = found[key][0] if key in found else old
            found[key] = (first, new)
    return tuple(change for change in found.values() if change[0] is not change[1])


def _either(change: DocumentChange) -> Config[Any]:
    config = change[1] if change[1] is not None else change[0]
    assert config is not None
    return config
