"""The labels of workloads that the mesh knows, with which selectors are compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final

from mizzen.config import models
from mizzen.config.document import Config, ConfigKey
from mizzen.incremental import Collection, Database, Grouped, Query, Table, Union
from mizzen.mesh.analysis.near_names import Parts, near, parts_of
from mizzen.mesh.rules.gateways import GatewayConfig
from mizzen.mesh.service import Service
from mizzen.mesh.services.registry import LabelKey, ServiceKey
from mizzen.persistent import LayeredDict

EVERYWHERE: Final = ""
"""Stands for all namespaces."""

_GATEWAYS: Final = "*"
"""The namespace of labels that Gateways select, as their proxies may be in any namespace."""

_ANY: Final = "any"


class AnalysedLabels:
    """The labels of workloads and endpoints, and the labels that Services and Gateways select. They are
    searched when a selector names a label that no workload has."""

    def __init__(
        self,
        database: Database,
        workloads: Table[LabelKey, LayeredDict[ConfigKey, Any]],
        services: Table[ServiceKey, Service],
        entries: Table[ConfigKey, Config[models.ServiceEntry]],
        gateways: Table[ConfigKey, GatewayConfig],
    ) -> None:
        self._database = database
        self._workloads = workloads
        self._sources = (services, entries, gateways)
        self._values: Query[str, str, Parts] = Query(database, "values of a label", self._values_of)
        self._names: Query[str, Parts] = Query(database, "names of labels", self._names_in)

    def misspelt(
        self, namespace: str, selector: Mapping[str, str], *, of_gateway: bool = False
    ) -> Iterator[tuple[str, str, str]]:
        """Yield the labels of a selector that nothing in `namespace` has and that are probably wrong:
        something has the same label with a different value, or the same value under a similar label. Each is
        a name, a value, and the label that was probably meant (`app=web`), if one is similar. Labels that
        Gateways select count as existing, except for the selector `of_gateway`."""
        for name, value in sorted(selector.items()):
            if (namespace, name, value) in self._workloads:
                continue
            values = self._values(namespace, name)
            if (_ANY, value) in values or (not of_gateway and (_GATEWAYS, value) in values):
                continue
            if _ANY in values:
                meant = near(values, _ANY, value)
                yield name, value, f"{name}={meant}" if meant else ""
            else:
                other = near(self._names(namespace), _ANY, name)
                if other is not None and (_ANY, value) in self._values(namespace, other):
                    yield name, value, f"{other}={value}"

    def elsewhere(self, namespace: str, selector: Mapping[str, str]) -> list[str]:
        """Return the other namespaces that have all labels of a selector, sorted; none if `namespace` has one
        of the labels, with any value, or Gateways select one."""
        for name, value in selector.items():
            if (namespace, name, value) in self._workloads:
                return []
            here = self._values(namespace, name)
            if _ANY in here or (_GATEWAYS, value) in here:
                return []
        found = [
            {label[0] for label in self._values(EVERYWHERE, name).get((_ANY, value)) or ()}
            for name, value in selector.items()
        ]
        return sorted(set[str].intersection(*found)) if found else []

    def _values_of(self, namespace: str, name: str) -> Grouped[LabelKey, Any, Any, str]:
        def parts(label: LabelKey, _: object) -> Mapping[Any, str]:
            if label[1] != name:
                return {}
            if label[0] == _GATEWAYS:
                return {(_GATEWAYS, label[2]): ""}
            if namespace not in (EVERYWHERE, label[0]):
                return {}
            return {(_ANY, label[2]): "", _ANY: "", **parts_of(_ANY, label[2])}

        return Grouped(self._database, f"values of {name}", self._labels, parts)

    def _names_in(self, namespace: str) -> Grouped[tuple[str, str], Any, Any, str]:
        def parts(key: tuple[str, str], _: object) -> Mapping[Any, str]:
            return parts_of(_ANY, key[1]) if namespace in (EVERYWHERE, key[0]) else {}

        return Grouped(self._database, f"labels in {namespace}", self._all_names, parts)

    @cached_property
    def _all_names(self) -> Collection[tuple[str, str], Any]:
        """The names of labels by namespace."""
        return Grouped(
            self._database, "names of labels", self._labels, lambda label, _: {(label[0], label[1]): None}
        )

    @cached_property
    def _labels(self) -> Collection[LabelKey, Any]:
        """All labels. Made when first needed, as most meshes never need them."""
        services, entries, gateways = self._sources
        database = self._database

        def of_service(_: ServiceKey, service: Service) -> Mapping[LabelKey, None]:
            return _keys(service.namespace, (one.selector or {} for one in service.declared))

        def of_entry(key: ConfigKey, entry: Config[models.ServiceEntry]) -> Mapping[LabelKey, None]:
            return _keys(key.namespace, (endpoint.labels for endpoint in entry.spec.endpoints))

        def of_gateway(_: ConfigKey, gateway: GatewayConfig) -> Mapping[LabelKey, None]:
            return _keys(_GATEWAYS, (gateway.spec.selector,))

        return Union(
            database,
            "labels",
            self._workloads,
            Grouped(database, "Services by label", services, of_service),
            Grouped(database, "ServiceEntries by label", entries, of_entry),
            Grouped(database, "Gateways by label", gateways, of_gateway),
        )


def _keys(namespace: str, labels: Iterable[Mapping[str, str]]) -> dict[LabelKey, None]:
    return {(namespace, name, value): None for each in labels for name, value in each.items()}
