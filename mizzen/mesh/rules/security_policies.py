"""Which PeerAuthentications, RequestAuthentications and AuthorizationPolicies are a workload's.

A policy holds in its own namespace, one of the root namespace in all; its selector narrows that to workloads
with those labels. Source: https://istio.io/latest/docs/reference/config/security/ ("selector" of each kind).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mizzen.config.document import Config
from mizzen.mesh.persistent import DictEdit
from mizzen.mesh.rules.closed_policies import denying, is_closed_policy
from mizzen.mesh.rules.external_authorizers import ExternalAuthorizer
from mizzen.mesh.rules.token_keys import Fetched
from mizzen.mesh.settings import MeshSettings, creation_order

POLICY_KINDS: Final = frozenset({"PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy"})

Policies = tuple[Config[Any], ...]


@dataclass(frozen=True, slots=True)
class WorkloadPolicies:
    """The policies that select one workload: those of the root namespace first, then those of its own, each
    oldest first. Equal ones are made of the very same documents."""

    peer_authentications: Policies = ()
    request_authentications: Policies = ()
    authorization_policies: Policies = ()
    external_authorizers: tuple[ExternalAuthorizer, ...] = ()
    """Those that the policies of action CUSTOM name, by name."""
    fetched_keys: Fetched = ()
    """What was fetched for the RequestAuthentications whose rules do not hold their keys themselves."""


NO_POLICIES: Final = WorkloadPolicies()


@dataclass(frozen=True, slots=True, eq=False)
class PolicyIndex:
    """All policies by kind and namespace, oldest first; immutable."""

    settings: MeshSettings
    by_place: dict[tuple[str, str], Policies] = field(default_factory=dict)
    _denying: dict[Config[Any], Config[Any]] = field(default_factory=dict)
    """By the stand-in of a RequestAuthentication what makes it let nothing pass."""

    def updated(self, changes: Iterable[tuple[Config[Any] | None, Config[Any] | None]]) -> PolicyIndex:
        """Return the index after documents changed (old, new)."""
        edit = DictEdit(self.by_place)
        closed = dict(self._denying)
        for old, new in changes:
            config = new if new is not None else old
            assert config is not None
            place = (config.kind, config.namespace)
            known = [one for one in edit.get(place) or () if one is not old]
            if old is not None:
                closed.pop(old, None)
            if new is not None:
                if new.kind == "RequestAuthentication" and is_closed_policy(new):
                    closed[new] = denying(new)
                known.append(new)
            known.sort(key=creation_order)
            if known:
                edit.put(place, tuple(known))
            else:
                edit.discard(place)
        by_place = edit.finish()
        return self if by_place is self.by_place else PolicyIndex(self.settings, by_place, closed)

    def of_workload(self, namespace: str, labels: Mapping[str, str]) -> WorkloadPolicies:
        """Return the policies that select a workload of `namespace` with these labels."""
        tokens = self._selecting("RequestAuthentication", namespace, labels)
        closed = tuple(self._denying[config] for config in tokens if config in self._denying)
        return WorkloadPolicies(
            self._selecting("PeerAuthentication", namespace, labels),
            tokens,
            (*self._selecting("AuthorizationPolicy", namespace, labels), *closed),
        )

    def peer_authentications(self, namespace: str) -> Policies:
        """Return the PeerAuthentications of the root namespace, then those of `namespace`, oldest first."""
        places = dict.fromkeys((self.settings.root_namespace, namespace))
        return tuple(one for place in places for one in self.by_place.get(("PeerAuthentication", place), ()))

    def _selecting(self, kind: str, namespace: str, labels: Mapping[str, str]) -> Policies:
        places = dict.fromkeys((self.settings.root_namespace, namespace))
        return tuple(
            config
            for place in places
            for config in self.by_place.get((kind, place), ())
            if _selects(config, labels)
        )


def _selects(config: Config[Any], labels: Mapping[str, str]) -> bool:
    if getattr(config.spec, "target_refs", ()) or getattr(config.spec, "target_ref", None) is not None:
        return False  # these attach to Gateways of the Kubernetes Gateway API and to waypoints
    selector = config.spec.selector
    wanted = selector.match_labels if selector is not None else {}
    return all(labels.get(key) == value for key, value in wanted.items())
