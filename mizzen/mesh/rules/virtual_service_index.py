"""All VirtualServices, by gateway, visibility and host."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.document import ConfigKey
from mizzen.config.group_kinds import VIRTUAL_SERVICE
from mizzen.mesh.hosts import HostIndex
from mizzen.mesh.rules.virtual_services import (
    MESH,
    VirtualServiceConfig,
    VirtualServiceRule,
    delegates_of,
    is_delegate,
    resolve_virtual_service,
)
from mizzen.mesh.settings import Creation, MeshSettings
from mizzen.mesh.visibility import HIDDEN, PUBLIC
from mizzen.persistent import ChunkedSequence, DictEdit, LayeredDict, Multimap, MultimapEdit

Rules = ChunkedSequence[VirtualServiceRule]
"""Rules in the order in which they are tried."""
HostRules = tuple[VirtualServiceRule, ...]
"""The rules of one host, oldest first."""
GroupKey = tuple[str, int, str]
"""A gateway, one of the three groups, and the namespace that sees it (empty: all namespaces)."""

_PRIVATE, _EXPORTED, _PUBLIC = range(3)

_ALL = ""

_NO_RULES: Final[Rules] = ChunkedSequence()

_by_age = attrgetter("order")


@dataclass(frozen=True, slots=True, eq=False)
class VirtualServiceIndex:
    """All VirtualServices; immutable. Unchanged rules keep their objects.

    `groups` are Istio's: for each gateway name (or "mesh") the rules that are private to a namespace,
    exported to it by name, or public; each oldest first. `labelled` are the rules that mention sourceLabels.
    `mesh_hosts` finds the rules for sidecars by host, `mesh_hosts_of` those of one namespace, `leading_to`
    all rules that route to a host.
    """

    settings: MeshSettings
    configs: LayeredDict[ConfigKey, VirtualServiceConfig] = field(default_factory=LayeredDict)
    rules: LayeredDict[ConfigKey, VirtualServiceRule] = field(default_factory=LayeredDict)
    delegate_users: Multimap[tuple[str, str], ConfigKey, None] = field(default_factory=Multimap)
    groups: LayeredDict[GroupKey, Rules] = field(default_factory=LayeredDict)
    labelled: LayeredDict[ConfigKey, VirtualServiceRule] = field(default_factory=LayeredDict)
    mesh_hosts: HostIndex[HostRules] = field(default_factory=HostIndex)
    mesh_hosts_of: dict[str, HostIndex[HostRules]] = field(default_factory=dict)
    leading_to: Multimap[str, VirtualServiceRule, None] = field(default_factory=Multimap)
    diagnostics: LayeredDict[ConfigKey, tuple[Diagnostic, ...]] = field(default_factory=LayeredDict)

    def updated(
        self, changes: Iterable[tuple[VirtualServiceConfig | None, VirtualServiceConfig | None]]
    ) -> VirtualServiceIndex:
        """Return the index after documents changed (old, new): their own rules, and the rules that delegate
        to them, are made again."""
        configs = self.configs.edit()
        users = self.delegate_users.edit()
        stale = _replaced(configs, users, changes)
        if not stale:
            return self

        def find(namespace: str, name: str) -> VirtualServiceConfig | None:
            return configs.get(VIRTUAL_SERVICE.key(namespace, name))

        rules = self.rules.edit()
        labelled = self.labelled.edit()
        diagnostics = self.diagnostics.edit()
        gone: list[VirtualServiceRule] = []
        made: list[VirtualServiceRule] = []
        for key in stale:
            before = self.rules.get(key)
            if before is not None:
                rules.discard(key)
                labelled.discard(key)
                diagnostics.discard(key)
                gone.append(before)
            config = configs.get(key)
            if config is not None and not is_delegate(config):
                rule = resolve_virtual_service(config, find, self.settings)
                rules.put(key, rule)
                if rule.source_labels:
                    labelled.put(key, rule)
                if rule.diagnostics:
                    diagnostics.put(key, rule.diagnostics)
                made.append(rule)
        return VirtualServiceIndex(
            self.settings,
            configs.finish(),
            rules.finish(),
            users.finish(),
            _regrouped(self.groups, gone, made),
            labelled.finish(),
            _rehosted({_ALL: self.mesh_hosts}, gone, made, lambda _: _ALL).get(_ALL, HostIndex()),
            _rehosted(self.mesh_hosts_of, gone, made, lambda rule: rule.config.namespace),
            _redirected(self.leading_to, gone, made),
            diagnostics.finish(),
        )

    def for_gateway(self, gateway: str, namespace: str) -> Rules:
        """Return the rules bound to `gateway` ("mesh" or "namespace/name") that `namespace` sees: private
        ones, those exported to it by name, public ones; each group oldest first."""
        return ChunkedSequence.joined(
            self.groups.get((gateway, _PRIVATE, namespace), _NO_RULES),
            self.groups.get((gateway, _EXPORTED, namespace), _NO_RULES),
            self.groups.get((gateway, _PUBLIC, _ALL), _NO_RULES),
        )

    def covering(self, host: str) -> Iterator[tuple[str, HostRules]]:
        """Yield (VirtualService host, rules for sidecars) for the hosts that cover
        `host`, most specific first."""
        return self.mesh_hosts.covering(host)


def _replaced(
    configs: DictEdit[ConfigKey, VirtualServiceConfig],
    users: MultimapEdit[tuple[str, str], ConfigKey, None],
    changes: Iterable[tuple[VirtualServiceConfig | None, VirtualServiceConfig | None]],
) -> Iterable[ConfigKey]:
    """Replace documents (old, new) and what they delegate to. Return their keys, and the keys of those that
    delegate to them."""
    stale: dict[ConfigKey, None] = {}
    for old, new in changes:
        if old is not None:
            stale[old.key] = None
            configs.discard(old.key)
            for delegate in delegates_of(old):
                users.discard(delegate, old.key)
        if new is not None:
            stale[new.key] = None
            configs.put(new.key, new)
            for delegate in delegates_of(new):
                users.put(delegate, new.key, None)
    for key in list(stale):
        stale.update(dict.fromkeys(users.get((key.namespace, key.name))))
    return stale


def precedence(rule: VirtualServiceRule, namespace: str) -> tuple[int, Creation]:
    """Return the sort key of a rule for `namespace` (see `VirtualServiceIndex.for_gateway`)."""
    return (_group(rule, namespace), rule.order)


def _group(rule: VirtualServiceRule, namespace: str) -> int:
    if PUBLIC in rule.seen_by:
        return _PUBLIC
    return _PRIVATE if rule.config.namespace == namespace else _EXPORTED


def _group_keys(rule: VirtualServiceRule) -> Iterator[GroupKey]:
    if HIDDEN in rule.seen_by:
        return
    for gateway in dict.fromkeys(rule.gateways):
        if PUBLIC in rule.seen_by:
            yield (gateway, _PUBLIC, "")
        else:
            for namespace in rule.seen_by:
                yield (gateway, _group(rule, namespace), namespace)


def _regrouped(
    groups: LayeredDict[GroupKey, Rules],
    gone: Iterable[VirtualServiceRule],
    made: Iterable[VirtualServiceRule],
) -> LayeredDict[GroupKey, Rules]:
    removed: dict[GroupKey, list[VirtualServiceRule]] = {}
    added: dict[GroupKey, list[VirtualServiceRule]] = {}
    for rules, into in ((gone, removed), (made, added)):
        for rule in rules:
            for key in _group_keys(rule):
                into.setdefault(key, []).append(rule)
    edit = groups.edit()
    for key in dict.fromkeys((*removed, *added)):
        before = groups.get(key, _NO_RULES)
        members = before.updated(removed.get(key, []), added.get(key, []), _by_age)
        if members:
            edit.put(key, members)
        else:
            edit.discard(key)
    return edit.finish()


def _rehosted(
    indexes: dict[str, HostIndex[HostRules]],
    gone: Iterable[VirtualServiceRule],
    made: Iterable[VirtualServiceRule],
    index_of: Callable[[VirtualServiceRule], str],
) -> dict[str, HostIndex[HostRules]]:
    """Return the indexes of rules for sidecars by host, updated; `index_of` names the index of a rule."""
    hosts: dict[str, dict[str, list[VirtualServiceRule]]] = {}

    def members(rule: VirtualServiceRule, host: str) -> list[VirtualServiceRule]:
        name = index_of(rule)
        changed = hosts.setdefault(name, {})
        if host not in changed:
            changed[host] = list(indexes[name].get(host) or () if name in indexes else ())
        return changed[host]

    for rule in gone:
        if MESH in rule.gateways:
            for host in rule.hosts:
                members(rule, host).remove(rule)
    for rule in made:
        if MESH in rule.gateways:
            for host in rule.hosts:
                insort(members(rule, host), rule, key=_by_age)
    changes = {
        name: {host: tuple(rules) or None for host, rules in changed.items()}
        for name, changed in hosts.items()
    }
    return HostIndex.patched(indexes, changes)


def _redirected(
    leading_to: Multimap[str, VirtualServiceRule, None],
    gone: Iterable[VirtualServiceRule],
    made: Iterable[VirtualServiceRule],
) -> Multimap[str, VirtualServiceRule, None]:
    edit = leading_to.edit()
    for rule in gone:
        for host in sorted(rule.destination_hosts):
            edit.discard(host, rule)
    for rule in made:
        for host in sorted(rule.destination_hosts):
            edit.put(host, rule, None)
    return edit.finish()
