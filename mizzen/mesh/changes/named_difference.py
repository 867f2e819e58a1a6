"""What differs between two snapshots, as names: so the proxies that can see it are found, and no others.

A superset: a proxy that is found may turn out to have the same scope. Of a proxy that is not found, the scope
has the same services, rules and endpoints, and all that these lead to means the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeVar

from mizzen.mesh.hosts import is_wildcard, matches
from mizzen.mesh.rules.destination_rules import exported_to
from mizzen.mesh.rules.virtual_services import MESH, VirtualServiceRule
from mizzen.mesh.scope.reach import Named, Reaches
from mizzen.mesh.service import Service
from mizzen.mesh.services.registry import ServiceKey
from mizzen.mesh.visibility import EVERYWHERE, PUBLIC

if TYPE_CHECKING:
    from mizzen.mesh.snapshot import Mesh

Key = TypeVar("Key")

_MOST: Final = 256
"""With more services and rules that differ, all proxies count as concerned: to compare is no dearer then."""


@dataclass(frozen=True, slots=True)
class NamedDifference:
    """What the differences between two snapshots concern: sidecars of any namespace (`everyone`), gateways,
    the sidecars of some `namespaces`, and those that import something `named`."""

    everyone: bool = False
    gateways: bool = False
    namespaces: frozenset[str] = frozenset()
    named: frozenset[Named] = frozenset()

    @classmethod
    def between(cls, before: Mesh, after: Mesh) -> NamedDifference:
        """Compare two snapshots with the same settings. The cost depends only on the differences."""
        found = _Search(before, after)
        gateways = bool(found.services or found.destination_hosts)
        if len(found.services) + len(found.destination_hosts) + len(found.rules) > _MOST:
            return cls(everyone=True, gateways=gateways)
        root = after.settings.root_namespace
        namespaces = {*found.sidecars, *(namespace for namespace, _ in found.destination_hosts)}
        if root in found.sidecars or any(
            namespace == root and not found.is_private(namespace, host)
            for namespace, host in found.destination_hosts
        ):
            return cls(everyone=True, gateways=gateways)
        named = frozenset(chain(found.of_rules(), found.of_services(), found.of_destination_rules()))
        return cls(False, gateways, frozenset(namespaces), named)

    def sidecars(self, reaches: Reaches[Key]) -> Iterable[Key]:
        """Return the keys of the sidecars that are concerned."""
        if self.everyone:
            return tuple(reaches)
        found: dict[Key, None] = {}
        for namespace in self.namespaces:
            found.update(dict.fromkeys(reaches.in_namespace(namespace)))
        for named in self.named:
            found.update(dict.fromkeys(reaches.seeing(named)))
        return found


class _Search:
    """The keys that differ between two snapshots, and what proxies see of each."""

    def __init__(self, before: Mesh, after: Mesh) -> None:
        self._meshes = (before, after)
        difference = after.difference(before)
        self.services: frozenset[ServiceKey] = difference.services | difference.endpoints | difference.peers
        self.rules = after.virtual_service_index.rules.differing(before.virtual_service_index.rules)
        self.destination_hosts = after.destination_rule_index.by_host.differing(
            before.destination_rule_index.by_host
        )
        self.sidecars = after.sidecar_index.by_namespace.differing(before.sidecar_index.by_namespace)

    def of_rules(self) -> Iterator[Named]:
        """Yield VirtualServices that differ."""
        for key in self.rules:
            for mesh in self._meshes:
                rule = mesh.virtual_service_index.rules.get(key)
                if rule is not None:
                    yield from _of_rule(rule, EVERYWHERE)

    def of_services(self) -> Iterator[Named]:
        """Yield services that differ, their aliases, and the rules that route to them: these count for the
        proxies that see both."""
        for namespace, host in self.services:
            for mesh in self._meshes:
                service = mesh.registry.services.get((namespace, host))
                if service is None:
                    continue
                seen_by = _seen_by(service)
                yield Named(namespace, (host,), seen_by)
                yield from self._leading_to([host], seen_by)
                for alias in mesh.registry.aliases.of.get(host, ()):
                    for each in mesh.registry.hosts.get(alias) or ():
                        yield Named(each.namespace, (alias,), _seen_by(each))

    def of_destination_rules(self) -> Iterator[Named]:
        """Yield hosts whose DestinationRules differ, for clients outside the namespace of these rules."""
        for namespace, host in self.destination_hosts:
            if self.is_private(namespace, host):
                continue
            yield Named(namespace, (host,), EVERYWHERE)
            leading_to = self._meshes[1].virtual_service_index.leading_to
            covered = [each for each in leading_to if matches(host, each)] if is_wildcard(host) else [host]
            yield from self._leading_to(covered, EVERYWHERE)
            for mesh in self._meshes:
                of = mesh.registry.aliases.of
                for target in [each for each in of if matches(host, each)] if of else ():
                    yield from self._leading_to([target], EVERYWHERE)

    def is_private(self, namespace: str, host: str) -> bool:
        """Return True if no other namespace takes notice of a namespace's DestinationRules for a host."""
        return all(
            exported_to(config, mesh.settings) == {namespace}
            for mesh in self._meshes
            for config in mesh.destination_rule_index.by_host.get((namespace, host)).values()
        )

    def _leading_to(self, hosts: Iterable[str], seen_by: frozenset[str]) -> Iterator[Named]:
        """Yield the rules that route to one of `hosts` or their aliases, for those of `seen_by`. Rules that
        differ themselves need not be among them."""
        after = self._meshes[1]
        leading_to = after.virtual_service_index.leading_to
        for host in hosts:
            names = [host]
            for mesh in self._meshes:
                names += mesh.registry.aliases.of.get(host, ())
            for name in dict.fromkeys(names):
                for rule in leading_to.get(name):
                    yield from _of_rule(rule, seen_by)


def _of_rule(rule: VirtualServiceRule, seen_by: frozenset[str]) -> Iterator[Named]:
    """Yield a rule for sidecars, for those of `seen_by` that see it."""
    if MESH in rule.gateways:
        seen = _both(rule.seen_by, seen_by)
        if seen:
            yield Named(rule.config.namespace, rule.hosts, seen)


def _seen_by(service: Service) -> frozenset[str]:
    """Return who may see a service or one of its declarations, its own namespace included."""
    services = (service,) if service.shared is None else service.shared.services
    return frozenset({service.namespace}.union(*(each.export_to for each in services)))


def _both(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    if PUBLIC in one:
        return other
    return one if PUBLIC in other else one & other
