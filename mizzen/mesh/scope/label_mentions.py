"""Finds the labels that some rule mentions: only these can make two proxies differ.

A rule asks whether a label has a certain value, so to the rule a proxy with any other value equals one
without the label. If sourceLabels select one of fifty workloads, there are therefore two classes of proxies,
not fifty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import LoadBalancerSettings
from mizzen.mesh.rules.destination_rules import DestinationRuleIndex
from mizzen.mesh.rules.failover_labels import MentionedLabel, failover_labels
from mizzen.mesh.rules.virtual_service_index import VirtualServiceIndex
from mizzen.mesh.scope.sidecars import SidecarIndex, selector_of
from mizzen.mesh.visibility import PUBLIC, is_visible

Labels = tuple[tuple[str, str], ...]


def mesh_wide_labels(mesh_config: MeshConfig) -> frozenset[str]:
    """Return the keys of the labels by which clients prefer endpoints, for every service."""
    return frozenset(
        failover_labels(
            LoadBalancerSettings.of(
                locality_lb_setting=mesh_config.locality_lb_setting,
                zone_aware_lb_setting=mesh_config.zone_aware_lb_setting,
            )
        )
    )


class LabelMentions:
    """The labels that rules mention, for each namespace. It stays the same object from snapshot to snapshot
    until a rule that mentions labels changes."""

    def __init__(
        self,
        virtual_services: VirtualServiceIndex,
        destination_rules: DestinationRuleIndex,
        sidecars: SidecarIndex,
        mesh_config: MeshConfig,
    ) -> None:
        self._virtual_services = virtual_services.labelled
        self._destination_rules = destination_rules.labelled
        self._sidecars = sidecars.by_namespace
        self._mesh_wide = frozenset((key, None) for key in mesh_wide_labels(mesh_config))
        self._by_namespace: dict[str, frozenset[MentionedLabel]] = {}

    def equals(self, other: LabelMentions) -> bool:
        """Return True if both are of the same rules; they have one MeshConfig."""
        return (
            self._virtual_services is other._virtual_services
            and self._destination_rules is other._destination_rules
            and self._sidecars is other._sidecars
        )

    def among(self, namespace: str, labels: Labels) -> frozenset[MentionedLabel]:
        """Return which of a client's `labels` rules for clients of `namespace` mention, and all keys of
        labels that they mention without a value."""
        found = self._by_namespace.get(namespace)
        if found is None:
            found = self._by_namespace[namespace] = self._find(namespace)
        return frozenset([label for label in found if label[1] is None or label in labels])

    def keep(self, namespaces: Iterable[str]) -> None:
        """Forget the labels for all namespaces but these: proxies may name any namespace."""
        used = frozenset(namespaces)
        self._by_namespace = {name: keys for name, keys in self._by_namespace.items() if name in used}

    def _find(self, namespace: str) -> frozenset[MentionedLabel]:
        labels: set[MentionedLabel] = set(self._mesh_wide)
        for rule in self._virtual_services.values():
            if is_visible(rule.seen_by, namespace):
                labels.update(rule.source_labels)
        for seen_by, mentioned in self._destination_rules.values():
            if is_visible(seen_by, namespace):
                labels.update(mentioned)
        for config in self._sidecars.get(namespace, ()):
            labels.update((selector_of(config) or {}).items())
        return frozenset(labels)

    def changed_among(
        self, before: LabelMentions, clients: Iterable[tuple[str, Labels]]
    ) -> set[tuple[str, Labels]]:
        """Return those of `clients`, given by namespace and labels, for whom `among` may differ from
        before."""
        found: set[tuple[str, Labels]] = set()
        for seen_by, mentioned in self._changed(before):
            everywhere = PUBLIC in seen_by
            for label in mentioned:
                # A loop of comparisons without a call: most of a thousand clients are passed over here.
                found.update(
                    [
                        each
                        for each in clients
                        if (everywhere or each[0] in seen_by) and (label[1] is None or label in each[1])
                    ]
                )
        return found

    def _changed(self, before: LabelMentions) -> Iterator[tuple[frozenset[str], Iterable[MentionedLabel]]]:
        """Yield who sees each rule that is new or gone, and the labels that the rule mentions."""
        for key in self._virtual_services.differing(before._virtual_services):
            for rule in (self._virtual_services.get(key), before._virtual_services.get(key)):
                if rule is not None:
                    yield rule.seen_by, rule.source_labels
        for key in self._destination_rules.differing(before._destination_rules):
            for looking in (self._destination_rules.get(key), before._destination_rules.get(key)):
                if looking is not None:
                    yield looking
        for namespace in self._sidecars.differing(before._sidecars):
            now, was = self._sidecars.get(namespace, ()), before._sidecars.get(namespace, ())
            for config in set(now).symmetric_difference(was):
                yield frozenset({namespace}), (selector_of(config) or {}).items()
