"""DestinationRules: merging those of one host, finding the one for a client, and the policy of a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from mizzen.config import models
from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config, ConfigKey
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.hosts import HostIndex, resolve_short_name
from mizzen.mesh.rules.failover_labels import MentionedLabel, mentioned_labels
from mizzen.mesh.service import Service
from mizzen.mesh.settings import MeshSettings, creation_order
from mizzen.mesh.visibility import PRIVATE, PUBLIC, is_visible, visible_to
from mizzen.persistent import LayeredDict, Multimap


@dataclass(frozen=True, slots=True, eq=False)
class MergedDestinationRule:
    """The DestinationRules of one namespace for one host, merged into one.

    `configs` are the documents, the owner of the host first; `seen_by` are the namespaces that the rule is
    exported to. `subset_configs` has the document of each subset.
    """

    host: str
    namespace: str
    configs: tuple[Config[models.DestinationRule], ...]
    subsets: tuple[models.Subset, ...]
    traffic_policy: models.TrafficPolicy | None
    seen_by: frozenset[str]
    workload_selector: Mapping[str, str] | None
    subset_configs: Mapping[str, Config[models.DestinationRule]]

    def subset(self, name: str) -> models.Subset | None:
        """Return the subset of that name, or None."""
        for subset in self.subsets:
            if subset.name == name:
                return subset
        return None


MergedRules = tuple[MergedDestinationRule, ...]

_Members = tuple[Config[models.DestinationRule], ...]


def exported_to(config: Config[models.DestinationRule], settings: MeshSettings) -> frozenset[str]:
    """Return the namespaces that see the rule. A rule with a workloadSelector is seen only by its own. For an
    empty exportTo, only `.` of the mesh's default is honoured."""
    spec = config.spec
    if spec.workload_selector is not None:
        return frozenset({config.namespace})
    default = settings.mesh_config.default_destination_rule_export_to
    return visible_to(spec.export_to, (PRIVATE,) if PRIVATE in default else (PUBLIC,), config.namespace)


def _selector(config: Config[models.DestinationRule]) -> Mapping[str, str] | None:
    selector = config.spec.workload_selector
    return selector.match_labels if selector is not None else None


def merge_rules(
    host: str, configs: Sequence[Config[models.DestinationRule]], settings: MeshSettings
) -> MergedRules:
    """Merge the rules of one host and one namespace, in this order: with a selector first, then the oldest.

    A rule joins an earlier one if both have the same selector and its exportTo names the same namespaces or
    more. Its subsets with new names are added; its trafficPolicy is used if there is none yet (Istio's
    mergeDestinationRule).
    """
    groups: list[list[Config[models.DestinationRule]]] = []
    for config in configs:
        joined = False
        for group in groups:
            if _selector(config) == _selector(group[0]) and _as_wide(config, group[0]):
                group.append(config)
                joined = True
        if not joined:
            groups.append([config])
    return tuple(_merged(host, tuple(group), settings) for group in groups)


def _as_wide(config: Config[models.DestinationRule], other: Config[models.DestinationRule]) -> bool:
    """Return True if the exportTo of `config` includes all namespaces of the other's."""
    if other.spec.workload_selector is not None:
        return True
    mine, others = set(config.spec.export_to), set(other.spec.export_to)
    return mine == others or (bool(others) and mine > others)


def _merged(host: str, group: _Members, settings: MeshSettings) -> MergedDestinationRule:
    owner = group[0]
    subsets: dict[str, models.Subset] = {}
    subset_configs: dict[str, Config[models.DestinationRule]] = {}
    policy = None
    for config in group:
        for subset in config.spec.subsets:
            if subset.name not in subsets:
                subsets[subset.name] = subset
                subset_configs[subset.name] = config
        policy = policy if policy is not None else config.spec.traffic_policy
    return MergedDestinationRule(
        host=host,
        namespace=owner.namespace,
        configs=group,
        subsets=tuple(subsets.values()),
        traffic_policy=policy,
        seen_by=exported_to(owner, settings),
        workload_selector=_selector(owner),
        subset_configs=subset_configs,
    )


def ignored_subsets(rules: Iterable[MergedDestinationRule]) -> tuple[Diagnostic, ...]:
    """Return a warning for each subset whose name an earlier rule of the host already uses."""
    found: dict[Diagnostic, None] = {}
    for rule in rules:
        for config in rule.configs:
            for index, subset in enumerate(config.spec.subsets):
                owner = rule.subset_configs[subset.name]
                if owner is not config:
                    found[
                        Diagnostic(
                            Severity.WARNING,
                            "MZ0202",
                            f"subset {subset.name} of {rule.host} is already defined at {owner.origin}, "
                            "so this one is ignored; rename one of them",
                            config.origin_of("spec", "subsets", index),
                            f"spec.subsets[{index}]",
                            (owner.origin,),
                        )
                    ] = None
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class NamespaceRules:
    """The rules of one namespace by host: `local` for its own clients, `exported` for other namespaces too,
    `private` for itself only."""

    local: HostIndex[MergedRules] = field(default_factory=HostIndex)
    exported: HostIndex[MergedRules] = field(default_factory=HostIndex)
    private: HostIndex[MergedRules] = field(default_factory=HostIndex)


_NO_RULES: Final = NamespaceRules()


@dataclass(frozen=True, slots=True, eq=False)
class DestinationRuleIndex:
    """All DestinationRules, by namespace and host; immutable. `labelled` has the rules that look at a
    client's labels: who sees each, and the labels."""

    settings: MeshSettings
    by_host: Multimap[tuple[str, str], ConfigKey, Config[models.DestinationRule]] = field(
        default_factory=Multimap
    )
    by_namespace: dict[str, NamespaceRules] = field(default_factory=dict)
    diagnostics: LayeredDict[tuple[str, str], tuple[Diagnostic, ...]] = field(default_factory=LayeredDict)
    labelled: LayeredDict[ConfigKey, tuple[frozenset[str], frozenset[MentionedLabel]]] = field(
        default_factory=LayeredDict
    )

    def updated(
        self,
        changes: Iterable[
            tuple[Config[models.DestinationRule] | None, Config[models.DestinationRule] | None]
        ],
    ) -> DestinationRuleIndex:
        """Return the index after documents changed (old, new); the rules of all
        other hosts keep their objects."""
        by_host = self.by_host.edit()
        touched: dict[tuple[str, str], None] = {}
        labelled = self.labelled.edit()
        for old, new in changes:
            if old is not None:
                by_host.discard(self._key_of(old), old.key)
                labelled.discard(old.key)
                touched[self._key_of(old)] = None
            if new is not None:
                by_host.put(self._key_of(new), new.key, new)
                mentioned = mentioned_labels(new.spec)
                if mentioned:
                    labelled.put(new.key, (exported_to(new, self.settings), mentioned))
                touched[self._key_of(new)] = None
        if not touched:
            return self
        rules: dict[str, _HostChanges] = {}
        diagnostics = self.diagnostics.edit()
        for namespace, host in touched:
            changed = rules.setdefault(namespace, _HostChanges({}, {}, {}))
            merged = self._merge_into(changed, host, list(by_host.get((namespace, host)).values()))
            ignored = ignored_subsets(merged)
            if ignored:
                diagnostics.put((namespace, host), ignored)
            else:
                diagnostics.discard((namespace, host))
        by_namespace = dict(self.by_namespace)
        for namespace, changed in rules.items():
            known = by_namespace.get(namespace, _NO_RULES)
            by_namespace[namespace] = NamespaceRules(
                local=known.local.updated(changed.local),
                exported=known.exported.updated(changed.exported),
                private=known.private.updated(changed.private),
            )
        return DestinationRuleIndex(
            self.settings,
            by_host.finish(),
            by_namespace,
            diagnostics.finish(),
            labelled.finish(),
        )

    def _key_of(self, config: Config[models.DestinationRule]) -> tuple[str, str]:
        return (config.namespace, self.host_of(config))

    def host_of(self, config: Config[models.DestinationRule]) -> str:
        """Return the full host name, or the wildcard, of a rule."""
        return resolve_short_name(config.spec.host, config.namespace, self.settings.domain)

    def _merge_into(
        self, changed: _HostChanges, host: str, configs: list[Config[models.DestinationRule]]
    ) -> MergedRules:
        configs.sort(key=lambda config: (config.spec.workload_selector is None, creation_order(config)))
        known: dict[_Members, MergedRules] = {}
        for name, index in (
            ("local", changed.local),
            ("exported", changed.exported),
            ("private", changed.private),
        ):
            members = tuple(config for config in configs if name in self._pools(config))
            if members not in known:
                known[members] = merge_rules(host, members, self.settings)
            index[host] = known[members] or None
        return tuple(rule for rules in known.values() for rule in rules)

    def _pools(self, config: Config[models.DestinationRule]) -> tuple[str, ...]:
        """Return the parts of NamespaceRules that the rule belongs to (Istio's setDestinationRules)."""
        seen_by = exported_to(config, self.settings)
        pools = ("local",) if is_visible(seen_by, config.namespace) or not config.spec.export_to else ()
        return (*pools, "private" if seen_by == {config.namespace} else "exported")

    def rules_for(self, client_namespace: str, host: str, service_namespace: str) -> MergedRules:
        """Return the rules for `host` that apply to clients of `client_namespace`.

        Three namespaces are asked in turn: the client's own, the service's, the root namespace. The first
        with a rule for the host, or for a wildcard over it, decides alone. In the last two the most specific
        host is chosen first, and its rules count only if they are exported to the client (Istio's
        PushContext.destinationRule).
        """
        root = self.settings.root_namespace
        own = self.by_namespace.get(client_namespace, _NO_RULES)
        found = (own.private if client_namespace == root else own.local).most_specific(host)
        if found is not None:
            return found[1]
        for namespace in (service_namespace, root):
            exported = self.by_namespace.get(namespace, _NO_RULES).exported.most_specific(host)
            if exported is not None:
                rules = tuple(rule for rule in exported[1] if is_visible(rule.seen_by, client_namespace))
                if rules:
                    return rules
        return ()

    def inbound_rule(self, client_namespace: str, service: Service) -> MergedDestinationRule | None:
        """Return the rule for the inbound ports of a service's workload in
        `client_namespace`: a rule without workloadSelector."""
        rules = self.rules_for(client_namespace, service.hostname, service.namespace)
        return rule_for_client(rules, client_namespace, None)


@dataclass(frozen=True, slots=True)
class _HostChanges:
    local: dict[str, MergedRules | None]
    exported: dict[str, MergedRules | None]
    private: dict[str, MergedRules | None]


def rule_for_client(
    rules: MergedRules, client_namespace: str, labels: Mapping[str, str] | None
) -> MergedDestinationRule | None:
    """Return the one of `rules` for a client with `labels` (None: inbound, rules with a selector do not
    count).

    A rule of the client's namespace whose workloadSelector picks the client comes first; else the last rule
    without a selector (Istio's SidecarScope.DestinationRule).
    """
    chosen = None
    for rule in rules:
        if rule.workload_selector is None:
            chosen = rule
        elif (
            labels is not None
            and rule.namespace == client_namespace
            and all(labels.get(key) == value for key, value in rule.workload_selector.items())
        ):
            return rule
    return chosen


@dataclass(frozen=True, slots=True)
class EffectiveTrafficPolicy:
    """The policy of one cluster; None: not set."""

    connection_pool: models.ConnectionPoolSettings | None = None
    outlier_detection: models.OutlierDetection | None = None
    load_balancer: models.LoadBalancerSettings | None = None
    tls: models.ClientTLSSettings | None = None
    tunnel: models.TunnelSettings | None = None
    proxy_protocol: models.ProxyProtocol | None = None
    retry_budget: models.RetryBudget | None = None


_UNSAID: Final = EffectiveTrafficPolicy()


def effective_traffic_policy(
    rule: MergedDestinationRule | None, port: int, subset: str, mesh_config: MeshConfig
) -> EffectiveTrafficPolicy:
    """Return the policy for `port` of the subset (empty: of the service as a whole).

    Blocks are taken whole, never merged field by field. portLevelSettings of the port replace all the blocks
    that they can hold, even those that they leave out. The mesh's defaultTrafficPolicy fills connectionPool
    and outlierDetection. The subset's policy comes last (Istio's util.MergeSubsetTrafficPolicy and
    clusterBuilder.applyDefaultTrafficPolicy).
    """
    base = rule.traffic_policy if rule is not None else None
    policy = _UNSAID
    if base is not None:
        port_level = _port_level(base, port)
        if port_level is not None:
            policy = EffectiveTrafficPolicy(
                connection_pool=port_level.connection_pool,
                outlier_detection=port_level.outlier_detection,
                load_balancer=port_level.load_balancer,
                tls=port_level.tls,
            )
        else:
            policy = _overridden(policy, base)
    default = mesh_config.default_traffic_policy
    if default is not None:
        policy = replace(
            policy,
            connection_pool=policy.connection_pool or default.connection_pool,
            outlier_detection=policy.outlier_detection or default.outlier_detection,
        )
    found = rule.subset(subset) if rule is not None and subset else None
    if found is None or found.traffic_policy is None:
        return policy
    policy = _overridden(policy, found.traffic_policy)
    port_level = _port_level(found.traffic_policy, port)
    if port_level is not None:
        policy = replace(
            policy,
            connection_pool=port_level.connection_pool,
            outlier_detection=port_level.outlier_detection,
            load_balancer=port_level.load_balancer,
            tls=port_level.tls,
        )
    return policy


def _port_level(policy: models.TrafficPolicy, port: int) -> models.PortTrafficPolicy | None:
    for settings in policy.port_level_settings:
        if settings.port is not None and settings.port.number == port:
            return settings
    return None


def _overridden(policy: EffectiveTrafficPolicy, by: models.TrafficPolicy) -> EffectiveTrafficPolicy:
    return EffectiveTrafficPolicy(
        connection_pool=by.connection_pool or policy.connection_pool,
        outlier_detection=by.outlier_detection or policy.outlier_detection,
        load_balancer=by.load_balancer or policy.load_balancer,
        tls=by.tls or policy.tls,
        tunnel=by.tunnel or policy.tunnel,
        proxy_protocol=by.proxy_protocol or policy.proxy_protocol,
        retry_budget=by.retry_budget or policy.retry_budget,
    )
