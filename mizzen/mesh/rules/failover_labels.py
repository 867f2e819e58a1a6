"""The labels by which failoverPriority compares a client with its endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.config.models import DestinationRule, LoadBalancerSettings

MentionedLabel = tuple[str, str | None]
"""A label of a client that a rule looks at: its key, and the only value that
matters; None if every value does."""


def failover_labels(settings: LoadBalancerSettings | None) -> Iterator[str]:
    """Yield the label keys of failoverPriority; an entry is `key` or `key=value`."""
    if settings is None:
        return
    for setting in (settings.locality_lb_setting, settings.zone_aware_lb_setting):
        if setting is not None:
            for entry in setting.failover_priority:
                yield entry.partition("=")[0]


def mentioned_labels(rule: DestinationRule) -> frozenset[MentionedLabel]:
    """Return the client labels that a DestinationRule looks at."""
    selector = rule.workload_selector
    labels: set[MentionedLabel] = set(selector.match_labels.items()) if selector is not None else set()
    policies = [rule.traffic_policy, *(subset.traffic_policy for subset in rule.subsets)]
    for policy in policies:
        if policy is not None:
            labels.update((key, None) for key in failover_labels(policy.load_balancer))
            for port_level in policy.port_level_settings:
                labels.update((key, None) for key in failover_labels(port_level.load_balancer))
    return frozenset(labels)
