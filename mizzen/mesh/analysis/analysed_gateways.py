"""Facts about Gateways for the checks: the hosts that they serve, and the workloads that they select."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, Final

from mizzen.config.document import ConfigKey
from mizzen.incremental import Collection, Database, Grouped, Query, Table
from mizzen.mesh.hosts import HostIndex
from mizzen.mesh.rules.gateways import GatewayConfig, server_hosts
from mizzen.mesh.service import Service
from mizzen.mesh.services.registry import ServiceKey
from mizzen.mesh.services.workloads import Workload
from mizzen.persistent import LayeredDict

Labels = Mapping[str, str]
Selector = tuple[tuple[str, str], ...]
HostsServed = HostIndex[tuple[str, ...]]

_Group = str | tuple[str, str]
"""The name of a label, or its name and value."""
_Members = LayeredDict[Any, Labels]
_NONE: Final[_Members] = LayeredDict()


class AnalysedGateways:
    """Answers about all Gateways of the mesh. Workloads and Services are indexed only by labels that
    selectors of Gateways name, so that the index is small in most meshes."""

    def __init__(
        self,
        database: Database,
        configs: Table[ConfigKey, GatewayConfig],
        workloads: Table[ConfigKey, Workload],
        services: Table[ServiceKey, Service],
    ) -> None:
        self._database = database
        self._configs = configs
        self._hosts = Query(database, "hosts of a Gateway's servers", self._find_hosts)
        self._served = Query(database, "hosts that a Gateway serves", lambda key: HostIndex(self._hosts(key)))
        self._selectors = Query(database, "selectors of Gateways", self._find_selectors)
        self._names = Query(database, "labels that Gateways select by", self._find_names)
        self._workloads = self._by_label("labels of workloads", workloads, attrgetter("labels"))
        self._services = self._by_label("selectors of Services", services, attrgetter("selector"))

    def selectors(self) -> tuple[Labels, ...]:
        """Return the selectors of all Gateways, once each."""
        return self._selectors()

    def _find_selectors(self) -> tuple[Labels, ...]:
        found = {sorted_selector(config) for _, config in self._configs.items()}
        return tuple(dict(selector) for selector in sorted(found))

    def _find_names(self) -> frozenset[str]:
        return frozenset(name for selector in self._selectors() for name in selector)

    def _by_label(
        self, name: str, source: Collection[Any, Any], labels_of: Callable[[Any], Labels | None]
    ) -> Query[Collection[_Group, _Members]]:
        def make() -> Grouped[Any, Any, _Group, Labels]:
            names = self._names()

            def groups_of(_: Any, member: Any) -> dict[_Group, Labels]:
                labels = labels_of(member) or {}
                return {
                    group: labels
                    for label, value in labels.items()
                    if label in names
                    for group in (label, (label, value))
                }

            return Grouped(self._database, name, source, groups_of)

        return Query(self._database, name, make)

    def hosts_served(self, key: ConfigKey) -> HostsServed:
        """Return the hosts of a Gateway's servers, each with the namespaces whose VirtualServices it accepts
        (empty: any)."""
        return self._served(key)

    def _find_hosts(self, key: ConfigKey) -> dict[str, tuple[str, ...]]:
        hosts: dict[str, tuple[str, ...]] = {}
        config = self._configs.get(key)
        for server in config.spec.servers if config is not None else ():
            for namespace, host in server_hosts(server, key.namespace):
                hosts[host] = (*hosts.get(host, ()), namespace)
        return hosts

    def workloads_selected(self, config: GatewayConfig) -> list[ConfigKey]:
        """Return the workloads that a Gateway selects, sorted; none if it selects all gateways."""
        selector = config.spec.selector.items()
        found = _smallest(self._workloads(), selector)
        return sorted(key for key, labels in found.items() if labels.items() >= selector)

    def namespaces_of_proxies(self, config: GatewayConfig) -> set[str]:
        """Return the namespaces of a Gateway's proxies, as far as documents say: the namespaces of the
        workloads that it selects, and of the Services whose endpoints it selects."""
        wanted = config.spec.selector.items()
        found = {key.namespace for key in self.workloads_selected(config)}
        services = _smallest(self._services(), wanted).items()
        return found | {namespace for (namespace, _), labels in services if labels.items() >= wanted}

    def labels_like(self, config: GatewayConfig) -> list[Labels]:
        """Return the labels of workloads, and the selectors of Services, that have all label names of a
        Gateway's selector with any values. If one has the very same values, return only that one."""
        wanted = config.spec.selector
        sources = (self._workloads(), self._services())
        for source in sources:
            for labels in _smallest(source, wanted.items()).values():
                if labels.items() >= wanted.items():
                    return [labels]
        return [
            labels
            for source in sources
            for labels in _smallest(source, wanted).values()
            if labels.keys() >= wanted.keys()
        ]


def sorted_selector(config: GatewayConfig) -> Selector:
    """Return a Gateway's selector in a form that can be compared."""
    return tuple(sorted(config.spec.selector.items()))


def _smallest(source: Collection[_Group, _Members], groups: Iterable[_Group]) -> _Members:
    """Return the group with the fewest members, which contains all members common to the groups."""
    return min((source.get(group) or _NONE for group in groups), key=len, default=_NONE)
