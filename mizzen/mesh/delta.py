"""What changed from one snapshot of the mesh to the next."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mizzen.config.document import Config, ConfigKey
from mizzen.mesh.services.registry import ServiceKey

Change = tuple[Config[Any] | None, Config[Any] | None]
"""A document before and after; None: there was none, or there is none any more."""


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
    """What changed. `services` and `endpoints` name what is not the same object as before; the others hold
    the changed documents, `documents` those of every kind. `peers` are services of which a changed
    PeerAuthentication says something, where mutual TLS is automatic. `token_keys`: keys of token issuers were
    fetched.
    `everything`: the mesh configuration changed, so nothing can be taken over."""

    services: frozenset[ServiceKey] = frozenset()
    endpoints: frozenset[ServiceKey] = frozenset()
    virtual_services: tuple[Change, ...] = ()
    destination_rules: tuple[Change, ...] = ()
    sidecars: tuple[Change, ...] = ()
    policies: tuple[Change, ...] = ()
    peers: frozenset[ServiceKey] = frozenset()
    gateways: tuple[Change, ...] = ()
    secrets: tuple[Change, ...] = ()
    token_keys: bool = False
    everything: bool = False
    documents: tuple[Change, ...] = ()

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
            virtual_services=_joined(delta.virtual_services for delta in deltas),
            destination_rules=_joined(delta.destination_rules for delta in deltas),
            sidecars=_joined(delta.sidecars for delta in deltas),
            policies=_joined(delta.policies for delta in deltas),
            peers=frozenset().union(*(delta.peers for delta in deltas)),
            gateways=_joined(delta.gateways for delta in deltas),
            secrets=_joined(delta.secrets for delta in deltas),
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
            or self.virtual_services
            or self.destination_rules
            or self.sidecars
            or self.policies
            or self.gateways
            or self.secrets
            or self.token_keys
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed that a mesh reads."""
        return self.endpoints_only and not self.endpoints

    @property
    def hostnames(self) -> frozenset[str]:
        """The hostnames of the services and endpoints that changed."""
        return frozenset(hostname for _, hostname in (*self.services, *self.endpoints))


def _joined(parts: Iterable[Sequence[Change]]) -> tuple[Change, ...]:
    """Return for each document its first version before and its last one after."""
    found: dict[ConfigKey, Change] = {}
    for part in parts:
        for old, new in part:
            config = new if new is not None else old
            assert config is not None
            first = found[config.key][0] if config.key in found else old
            found[config.key] = (first, new)
    return tuple(change for change in found.values() if change[0] is not change[1])
