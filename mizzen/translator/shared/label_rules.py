"""The rules of a mesh that look at labels of the calling proxy, and those that distinguish two proxies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Final

from mizzen.mesh.hosts import is_wildcard
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.failover_labels import MentionedLabel
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.label_mentions import mesh_wide_labels
from mizzen.mesh.scope.sidecars import SidecarIndex, selector_of
from mizzen.mesh.snapshot import Mesh
from mizzen.mesh.visibility import is_visible

_MOST_LAID_OVER: Final = 64
"""Most hosts with labelled DestinationRules for which a layer is worthwhile: with more, proxies share
little."""


@dataclass(frozen=True, slots=True)
class Telling:
    """The rules that distinguish two proxies with different labels: VirtualServices, and the hosts of
    DestinationRules."""

    virtual_services: frozenset[VirtualServiceRule]
    destination_hosts: frozenset[str]


def labels_apart(profile: OutboundProfile, other: OutboundProfile) -> frozenset[MentionedLabel]:
    """Return the labels in which two profiles differ, as rules mention them: with their values, and by key
    alone."""
    apart = frozenset(profile.labels).symmetric_difference(other.labels)
    return apart | {(key, None) for key, _ in apart}


class LabelRules:
    """All rules that look at labels. It stays the same object from snapshot to snapshot until one changes."""

    def __init__(self, mesh: Mesh) -> None:
        destination_rules = mesh.destination_rule_index
        self._virtual_services = mesh.virtual_service_index.labelled
        self._destination_rules = destination_rules.labelled
        self._hosts = {key: destination_rules.host_of(mesh.document(key)) for key in self._destination_rules}
        self._sidecars: SidecarIndex = mesh.sidecar_index
        self._mesh_wide = mesh_wide_labels(mesh.mesh_config)

    def renewed(self, mesh: Mesh) -> LabelRules:
        """Return the rules of a different snapshot with the same settings."""
        same = (
            self._virtual_services is mesh.virtual_service_index.labelled
            and self._destination_rules is mesh.destination_rule_index.labelled
            and self._sidecars is mesh.sidecar_index
        )
        return self if same else LabelRules(mesh)

    def shared_profile(self, profile: OutboundProfile) -> OutboundProfile:
        """Return the profile whose resources are the base for the layer of `profile`.

        It has no labels, except those that select its Sidecar. It is `profile` itself if labels may affect
        most resources: for gateways, and if a rule for many hosts looks at labels.
        """
        if not profile.labels or profile.is_router or self._mesh_wide:
            return profile
        sidecar = self._sidecars.choose(profile.namespace, dict(profile.labels))
        selector = (selector_of(sidecar) if sidecar is not None else None) or {}
        labels = tuple(label for label in profile.labels if label[0] in selector)
        shared = replace(profile, labels=labels)
        hosts = set(self._destination_hosts(labels_apart(profile, shared), profile.namespace))
        return profile if len(hosts) > _MOST_LAID_OVER or any(map(is_wildcard, hosts)) else shared

    def labels_since(self, before: LabelRules) -> frozenset[MentionedLabel]:
        """Return the labels in rules that were added, removed or changed since `before`."""
        if before is self:
            return frozenset()
        found: set[MentionedLabel] = set()
        for key in self._virtual_services.differing(before._virtual_services):
            for rules in (before._virtual_services, self._virtual_services):
                rule = rules.get(key)
                if rule is not None:
                    found |= rule.source_labels
        for key in self._destination_rules.differing(before._destination_rules):
            for destination_rules in (before._destination_rules, self._destination_rules):
                looking = destination_rules.get(key)
                if looking is not None:
                    found |= looking[1]
        return frozenset(found)

    def telling(self, namespace: str, labels: frozenset[MentionedLabel]) -> Telling:
        """Return the rules that distinguish two profiles of a namespace that differ in these labels."""
        mentioning = chain.from_iterable([self._mentioning.get(label, ()) for label in labels])
        return Telling(
            frozenset([rule for rule in mentioning if is_visible(rule.seen_by, namespace)]),
            frozenset(self._destination_hosts(labels, namespace)),
        )

    @cached_property
    def _mentioning(self) -> Mapping[MentionedLabel, list[VirtualServiceRule]]:
        """The VirtualServices that mention each label."""
        found: dict[MentionedLabel, list[VirtualServiceRule]] = {}
        for rule in self._virtual_services.values():
            for label in rule.source_labels:
                found.setdefault(label, []).append(rule)
        return found

    def _destination_hosts(self, labels: frozenset[MentionedLabel], namespace: str) -> Iterator[str]:
        for key, (seen_by, mentioned) in self._destination_rules.items():
            if not labels.isdisjoint(mentioned) and is_visible(seen_by, namespace):
                yield self._hosts[key]
