"""The PeerAuthentications, RequestAuthentications and AuthorizationPolicies of a workload.

A policy applies to its own namespace, a policy of the root namespace to all; its selector limits that to the
workloads with those labels. Source: https://istio.io/latest/docs/reference/config/security/ ("selector" of
each kind).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from mizzen.config.diagnostics import Origin
from mizzen.config.document import Config, GroupKind
from mizzen.config.group_kinds import AUTHORIZATION_POLICY, PEER_AUTHENTICATION, REQUEST_AUTHENTICATION
from mizzen.mesh.rules.closed_policies import denying, is_closed_policy
from mizzen.mesh.rules.external_authorizers import ExternalAuthorizer
from mizzen.mesh.rules.token_keys import Fetched
from mizzen.mesh.settings import MeshSettings, creation_order
from mizzen.persistent import LayeredDict

POLICY_KINDS: Final = frozenset({PEER_AUTHENTICATION, REQUEST_AUTHENTICATION, AUTHORIZATION_POLICY})

Policies = tuple[Config[Any], ...]


@dataclass(frozen=True, slots=True)
class WorkloadPolicies:
    """The policies that select one workload: those of the root namespace first, then those of its own, each
    oldest first. Equal values have the very same documents."""

    peer_authentications: Policies = ()
    request_authentications: Policies = ()
    authorization_policies: Policies = ()
    external_authorizers: tuple[ExternalAuthorizer, ...] = ()
    """The authorizers that policies of action CUSTOM name, sorted by name."""
    fetched_keys: Fetched = ()
    """The fetched keys of the RequestAuthentications whose rules do not contain their keys."""

    @property
    def filter_origins(self) -> tuple[Origin, ...]:
        """The origins of the policies that make filters: if a client rejects a
        listener, one of them may be the cause."""
        found = chain(self.request_authentications, self.authorization_policies)
        return tuple(config.origin_of() for config in found)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The origins of all the policies. PeerAuthentications, for calls by other
        workloads, change inbound listeners too."""
        return (*(config.origin_of() for config in self.peer_authentications), *self.filter_origins)


NO_POLICIES: Final = WorkloadPolicies()


@dataclass(frozen=True, slots=True, eq=False)
class PolicyIndex:
    """All policies by kind and namespace (`by_kind`), oldest first; immutable."""

    settings: MeshSettings
    by_kind: LayeredDict[tuple[GroupKind, str], Policies] = field(default_factory=LayeredDict)
    _denying: dict[Config[Any], Config[Any]] = field(default_factory=dict)
    """For the closed policy of each RequestAuthentication, the AuthorizationPolicy that denies everything."""

    def updated(self, changes: Iterable[tuple[Config[Any] | None, Config[Any] | None]]) -> PolicyIndex:
        """Return the index after documents changed (old, new)."""
        edit = self.by_kind.edit()
        closed = dict(self._denying)
        for old, new in changes:
            config = new if new is not None else old
            assert config is not None
            key = (config.group_kind, config.namespace)
            known = [one for one in edit.get(key) or () if one is not old]
            if old is not None:
                closed.pop(old, None)
            if new is not None:
                if new.group_kind == REQUEST_AUTHENTICATION and is_closed_policy(new):
                    closed[new] = denying(new)
                known.append(new)
            known.sort(key=creation_order)
            if known:
                edit.put(key, tuple(known))
            else:
                edit.discard(key)
        by_kind = edit.finish()
        return self if by_kind is self.by_kind else PolicyIndex(self.settings, by_kind, closed)

    def of_workload(self, namespace: str, labels: Mapping[str, str]) -> WorkloadPolicies:
        """Return the policies that select a workload of `namespace` with these labels."""
        return workload_policies(namespace, labels, self.settings.root_namespace, self.at, self.closing)

    def at(self, kind: GroupKind, namespace: str) -> Policies:
        """Return all policies of a kind in a namespace, oldest first."""
        return self.by_kind.get((kind, namespace), ())

    def closing(self, config: Config[Any]) -> Config[Any] | None:
        """Return the AuthorizationPolicy that denies everything for the closed policy of a
        RequestAuthentication; None for every other policy."""
        return self._denying.get(config)

    def peer_authentications(self, namespace: str) -> Policies:
        """Return the PeerAuthentications of the root namespace, then those of `namespace`, oldest first."""
        namespaces = dict.fromkeys((self.settings.root_namespace, namespace))
        return tuple(one for each in namespaces for one in self.by_kind.get((PEER_AUTHENTICATION, each), ()))


def workload_policies(
    namespace: str,
    labels: Mapping[str, str],
    root: str,
    policies: Callable[[GroupKind, str], Policies],
    closing: Callable[[Config[Any]], Config[Any] | None],
) -> WorkloadPolicies:
    """Return the policies that select a workload of `namespace` with these labels. `policies` returns those
    of a kind and a namespace; `root` is the root namespace; `closing` is that of `PolicyIndex`."""
    namespaces = tuple(dict.fromkeys((root, namespace)))

    def selecting(kind: GroupKind) -> Policies:
        return tuple(
            config for each in namespaces for config in policies(kind, each) if _selects(config, labels)
        )

    tokens = selecting(REQUEST_AUTHENTICATION)
    closed = tuple(policy for policy in map(closing, tokens) if policy is not None)
    authorization = (*selecting(AUTHORIZATION_POLICY), *closed)
    return WorkloadPolicies(selecting(PEER_AUTHENTICATION), tokens, authorization)


def has_target_refs(policy: Config[Any]) -> bool:
    """True if a policy applies to Gateways of the Kubernetes Gateway API or to waypoints: to no workload."""
    return (
        bool(getattr(policy.spec, "target_refs", ())) or getattr(policy.spec, "target_ref", None) is not None
    )


def _selects(config: Config[Any], labels: Mapping[str, str]) -> bool:
    if has_target_refs(config):
        return False
    selector = config.spec.selector
    wanted = selector.match_labels if selector is not None else {}
    return all(labels.get(key) == value for key, value in wanted.items())
