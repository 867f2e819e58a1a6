"""The PeerAuthentications, RequestAuthentications and AuthorizationPolicies of a workload.

A policy applies to its own namespace, a policy of the root namespace to all; its selector limits that to the
workloads with those labels. Source: https://istio.io/latest/docs/reference/config/security/ ("selector" of
each kind).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, TypeVar

from mizzen.config.diagnostics import Origin
from mizzen.config.document import Config, GroupKind
from mizzen.config.group_kinds import AUTHORIZATION_POLICY, PEER_AUTHENTICATION, REQUEST_AUTHENTICATION
from mizzen.mesh.rules.closed_policies import denying, is_closed_policy
from mizzen.mesh.rules.external_authorizers import ExternalAuthorizer
from mizzen.mesh.rules.token_keys import Fetched
from mizzen.mesh.settings import MeshSettings, creation_order
from mizzen.persistent import DictEdit, LayeredDict

POLICY_KINDS: Final = frozenset({PEER_AUTHENTICATION, REQUEST_AUTHENTICATION, AUTHORIZATION_POLICY})

Policies = tuple[Config[Any], ...]

Key = TypeVar("Key")


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


Label = tuple[str, str]
"""Key and value."""
PolicyPlace = tuple[GroupKind, str, Label | None]
"""Where a policy is found: its kind, its namespace, and a label that every workload it selects has. None:
the policy has no selector."""


@dataclass(frozen=True, slots=True, eq=False)
class PolicyIndex:
    """All policies that select workloads (`by_place`), and the PeerAuthentications of each namespace; oldest
    first, immutable. So a policy of one workload costs only the workloads that share a label with it."""

    settings: MeshSettings
    by_place: LayeredDict[PolicyPlace, Policies] = field(default_factory=LayeredDict)
    peers_of: LayeredDict[str, Policies] = field(default_factory=LayeredDict)
    _denying: LayeredDict[Config[Any], Config[Any]] = field(default_factory=LayeredDict)
    """For the closed policy of each RequestAuthentication, the AuthorizationPolicy that denies everything."""

    def updated(self, changes: Iterable[tuple[Config[Any] | None, Config[Any] | None]]) -> PolicyIndex:
        """Return the index after documents changed (old, new)."""
        by_place, peers, closed = self.by_place.edit(), self.peers_of.edit(), self._denying.edit()
        changed = False
        for old, new in changes:
            changed = True
            for config, replace in ((old, _without), (new, _with)):
                if config is None:
                    continue
                if not has_target_refs(config):
                    replace(by_place, _place(config), config)
                if config.group_kind == PEER_AUTHENTICATION:
                    replace(peers, config.namespace, config)
            if old is not None:
                closed.discard(old)
            if new is not None and new.group_kind == REQUEST_AUTHENTICATION and is_closed_policy(new):
                closed.put(new, denying(new))
        if not changed:
            return self
        return PolicyIndex(self.settings, by_place.finish(), peers.finish(), closed.finish())

    def of_workload(self, namespace: str, labels: Mapping[str, str]) -> WorkloadPolicies:
        """Return the policies that select a workload of `namespace` with these labels."""

        def near(kind: GroupKind, of: str) -> Policies:
            found = [self.by_place.get((kind, of, label), ()) for label in (None, *labels.items())]
            return tuple(sorted(chain.from_iterable(found), key=creation_order))

        return workload_policies(
            namespace, labels, self.settings.root_namespace, near, lambda policy: self._denying.get(policy)
        )

    def selections_changed(
        self, before: PolicyIndex, workloads: Iterable[tuple[str, tuple[Label, ...]]]
    ) -> set[tuple[str, tuple[Label, ...]]]:
        """Return those of `workloads`, given by namespace and labels, that may have different policies than
        before."""
        found: set[tuple[str, tuple[Label, ...]]] = set()
        root = self.settings.root_namespace
        for _, of, wanted in self.by_place.differing(before.by_place):
            # A loop of comparisons without a call: most of a thousand workloads are passed over here.
            found.update(
                [
                    each
                    for each in workloads
                    if (each[0] == of or of == root) and (wanted is None or wanted in each[1])
                ]
            )
        return found

    def peer_authentications(self, namespace: str) -> Policies:
        """Return the PeerAuthentications of the root namespace, then those of `namespace`, oldest first."""
        namespaces = dict.fromkeys((self.settings.root_namespace, namespace))
        return tuple(one for each in namespaces for one in self.peers_of.get(each, ()))


def _place(config: Config[Any]) -> PolicyPlace:
    wanted = _wanted(config)
    return (config.group_kind, config.namespace, min(wanted.items()) if wanted else None)


def _with(edit: DictEdit[Key, Policies], key: Key, config: Config[Any]) -> None:
    found = [*edit.get(key, ())]
    insort(found, config, key=creation_order)
    edit.put(key, tuple(found))


def _without(edit: DictEdit[Key, Policies], key: Key, config: Config[Any]) -> None:
    left = tuple([one for one in edit.get(key, ()) if one is not config])
    if left:
        edit.put(key, left)
    else:
        edit.discard(key)


def workload_policies(
    namespace: str,
    labels: Mapping[str, str],
    root: str,
    policies: Callable[[GroupKind, str], Policies],
    closing: Callable[[Config[Any]], Config[Any] | None],
) -> WorkloadPolicies:
    """Return the policies that select a workload of `namespace` with these labels. `policies` returns those
    of a kind and a namespace, oldest first; `root` is the root namespace; `closing` returns the
    AuthorizationPolicy that denies everything for the closed policy of a RequestAuthentication, else None."""
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
    return all(labels.get(key) == value for key, value in _wanted(config).items())


def _wanted(config: Config[Any]) -> Mapping[str, str]:
    selector = config.spec.selector
    return selector.match_labels if selector is not None else {}
