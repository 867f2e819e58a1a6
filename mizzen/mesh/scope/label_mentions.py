"""Finds the labels that some rule mentions: only these can make two proxies differ.

A rule asks whether a label has a certain value, so to the rule a proxy with any other value equals one
without the label. If sourceLabels select one of fifty workloads, there are therefore two classes of proxies,
not fifty.
"""

from __future__ import annotations

from collections.abc import Iterable

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import LoadBalancerSettings
from mizzen.mesh.rules.destination_rules import DestinationRuleIndex
from mizzen.mesh.rules.failover_labels import MentionedLabel, failover_labels
from mizzen.mesh.rules.virtual_service_index import VirtualServiceIndex
from mizzen.mesh.scope.sidecars import SidecarIndex
from mizzen.mesh.visibility import is_visible


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
    """Finds the labels for a namespace, and caches them until a rule that mentions labels changes."""

    def __init__(self) -> None:
        self._inputs: tuple[object, ...] = ()
        self._by_namespace: dict[str, frozenset[MentionedLabel]] = {}

    def of(
        self,
        namespace: str,
        virtual_services: VirtualServiceIndex,
        destination_rules: DestinationRuleIndex,
        sidecars: SidecarIndex,
        mesh_config: MeshConfig,
    ) -> frozenset[MentionedLabel]:
        """Return the labels that rules for clients of `namespace` mention."""
        inputs = (virtual_services.labelled, destination_rules.labelled, sidecars, mesh_config)
        if len(self._inputs) != len(inputs) or any(
            known is not now for known, now in zip(self._inputs, inputs, strict=True)
        ):
            self._inputs = inputs
            self._by_namespace = {}
        found = self._by_namespace.get(namespace)
        if found is None:
            found = self._find(namespace, virtual_services, destination_rules, sidecars, mesh_config)
            self._by_namespace[namespace] = found
        return found

    def keep(self, namespaces: Iterable[str]) -> None:
        """Forget the labels for all namespaces but these: proxies may name any namespace."""
        used = frozenset(namespaces)
        self._by_namespace = {name: keys for name, keys in self._by_namespace.items() if name in used}

    @staticmethod
    def _find(
        namespace: str,
        virtual_services: VirtualServiceIndex,
        destination_rules: DestinationRuleIndex,
        sidecars: SidecarIndex,
        mesh_config: MeshConfig,
    ) -> frozenset[MentionedLabel]:
        labels: set[MentionedLabel] = {(key, None) for key in mesh_wide_labels(mesh_config)}
        for rule in virtual_services.labelled.values():
            if is_visible(rule.seen_by, namespace):
                labels.update(rule.source_labels)
        for seen_by, mentioned in destination_rules.labelled.values():
            if is_visible(seen_by, namespace):
                labels.update(mentioned)
        for config in sidecars.by_namespace.get(namespace, ()):
            if config.spec.workload_selector is not None:
                labels.update(config.spec.workload_selector.labels.items())
        return frozenset(labels)
